"""The limits of one delivery; a delivery that exceeds one is not landed.

Every limit is a setting. A delivery past one is named with the limit, and is tried again by the next run; the limit, or
the delivery, can be changed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# Below this, how many times a delivery expands says nothing: repetitive feeds of a few megabytes compress well.
_SMALL = 256 << 20
# What an operating system says when it lacks something, whatever file it is about.
_LACKING = {
    errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOBUFS,
    errno.EROFS,
}  # fmt: skip


class DeliveryError(RuntimeError):
    """One delivery cannot be landed now: it is past a stated limit, or the machine lacks what it takes; nothing of
    it is kept, and it is tried again.

    The message says what, the limit and its setting, and does not name the delivery.
    """


@dataclass(frozen=True)
class Limits:
    """The limits of one delivery: see the settings `AUDIT_MAX_DELIVERY_BYTES` and those that follow it."""

    delivery_bytes: int = 16 << 30
    delivery_records: int = 100_000_000
    delivery_expansion: int = 200
    delivery_memory: int = 1 << 30

    def check_size(self, size: int) -> None:
        """Refuse a delivery that is itself too large.

        Raises:
            DeliveryError: if it is.
        """
        if size > self.delivery_bytes:
            raise self.too_many_bytes()

    def too_many_bytes(self) -> DeliveryError:
        """What a delivery of too many bytes is refused with."""
        return DeliveryError(
            f"it has more than {self.delivery_bytes} bytes of records (AUDIT_MAX_DELIVERY_BYTES); deliver it in "
            "several files, or raise the limit"
        )

    def too_many_records(self) -> DeliveryError:
        """What a delivery of too many records is refused with."""
        return DeliveryError(
            f"it has more than {self.delivery_records} records (AUDIT_MAX_DELIVERY_RECORDS); deliver it in several "
            "files, or raise the limit"
        )

    def too_much_memory(self, what: str, size: int | None = None) -> DeliveryError:
        """What a delivery is refused with of which a part takes too many bytes of memory to read: `size`, if known."""
        known = f", about {size}" if size else ""
        return DeliveryError(
            f"reading {what} takes more than {self.delivery_memory} bytes of memory{known} "
            "(AUDIT_MAX_DELIVERY_MEMORY); write it in smaller parts, or raise the limit"
        )


DEFAULT = Limits()


@dataclass
class Expansion:
    """Counts what a delivery of `size` bytes becomes: by decompression, and as records.

    A row of a table has the names of its columns as a record, and a few bytes of a Parquet file may be millions of
    rows; so records are bounded like what comes out of compression.
    """

    limits: Limits
    size: int
    _expanded: int = 0

    def add(self, count: int) -> None:
        """So many more bytes came out of compression.

        Raises:
            DeliveryError: if that is too much.
        """
        self._expanded += count
        if self._expanded > self.limits.delivery_bytes:
            raise self.limits.too_many_bytes()
        self._check(self._expanded, self.size, "expand to")

    def checked(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
        """The same batches of records, each with its bytes, as long as they are not too many or too large together.

        Raises:
            DeliveryError: if they are.
        """
        rows = size = 0
        for batch in batches:
            rows += batch.num_rows
            nbytes = batch.nbytes
            size += nbytes
            if rows > self.limits.delivery_records:
                raise self.limits.too_many_records()
            if size > self.limits.delivery_bytes:
                raise self.limits.too_many_bytes()
            self._check(size, max(self.size, self._expanded), "become records of")
            yield batch, nbytes

    def _check(self, result: int, of: int, verb: str) -> None:
        if result > max(self.limits.delivery_expansion * of, _SMALL):
            raise DeliveryError(
                f"its {of} bytes {verb} more than {result // of} times as many (AUDIT_MAX_DELIVERY_EXPANSION); "
                "deliver it with less repetition, or raise the limit"
            )


@contextmanager
def machine_is_at_fault() -> Iterator[None]:
    """Tell what this machine lacks, in the block, from what is wrong with a delivery.

    Raises:
        DeliveryError: for a lack of memory, of room on the disk, of file handles, or for a failing disk.
    """
    try:
        yield
    except MemoryError as error:
        raise _without_memory() from error
    except RuntimeError as error:
        # So Python says that there is no memory for a thread.
        if "can't start new thread" not in str(error):
            raise
        raise _without_memory() from error
    except OSError as error:
        if error.errno not in _LACKING:
            raise
        raise DeliveryError(f"this machine cannot read or keep it: {error.strerror}") from error


def _without_memory() -> DeliveryError:
    return DeliveryError("this machine has too little memory to read it; add memory, or run less at the same time")
