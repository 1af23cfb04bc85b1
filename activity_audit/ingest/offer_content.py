"""An offer's content as a seekable stream with its hash: read in place, or copied where the source only streams."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from activity_audit.base.delivery_limits import DeliveryError, Limits
from activity_audit.ingest.sources.file_systems import local_path
from activity_audit.ingest.sources.source import Offer, SourceError

_HASH_BLOCK = 1 << 20
# A local file of at most so many bytes is read once, into memory; a larger one once for its hash and once more.
_SMALL = 1 << 20
# File times advance in steps of the kernel's clock: a change right after another one may leave them as they are.
_CLOCK_STEP_NS = 20_000_000


class ChangedWhileReadError(RuntimeError):
    """A delivery is not what it was when it was listed: it is still being written, or was replaced."""


@dataclass(frozen=True)
class Content:
    """An offer's bytes as a stream that can seek, and their hash."""

    stream: BinaryIO
    size: int
    sha256: str
    # Raises ChangedWhileReadError if the bytes may be no longer, or may never have been, the file's content.
    check: Callable[[], None]


def local_content(offer: Offer, stream: BinaryIO, path: str | bytes) -> Content:
    """A file that is read where it is; it must be the same file, unchanged, from the first byte to `check`."""
    before = os.fstat(stream.fileno())
    if 0 <= (age := time.time_ns() - before.st_ctime_ns) < _CLOCK_STEP_NS:
        time.sleep((_CLOCK_STEP_NS - age) / 1e9)

    def check() -> None:
        try:
            # Not by pathlib, which takes longer, here for each of many small files.
            now = os.stat(path)  # noqa: PTH116
        except FileNotFoundError:
            raise ChangedWhileReadError(offer.uri) from None
        if _fingerprint(now) != _fingerprint(before):
            raise ChangedWhileReadError(offer.uri)

    if before.st_size > _SMALL:
        return Content(stream, before.st_size, _hash(offer, stream, lambda _: None), check)
    content = _read(offer, stream, -1)
    return Content(io.BytesIO(content), len(content), hashlib.sha256(content).hexdigest(), check)


def copied_content(offer: Offer, stream: BinaryIO, copy: BinaryIO, limits: Limits) -> Content:
    """A copy of what the source sends, which must have the size that the source announced."""

    def keep(block: bytes) -> None:
        copy.write(block)
        limits.check_size(copy.tell())

    sha256 = _hash(offer, stream, keep)
    size = copy.tell()

    def check() -> None:
        if offer.size >= 0 and size != offer.size:
            raise ChangedWhileReadError(offer.uri)

    return Content(copy, size, sha256, check)


def _hash(offer: Offer, stream: BinaryIO, also: Callable[[bytes], Any]) -> str:
    digest = hashlib.sha256()
    while block := _read(offer, stream):
        digest.update(block)
        also(block)
    return digest.hexdigest()


def _read(offer: Offer, stream: BinaryIO, size: int = _HASH_BLOCK) -> bytes:
    """The next bytes of an offer, or all that are left where `size` is negative."""
    try:
        return stream.read(size)
    except FileNotFoundError:
        raise ChangedWhileReadError(offer.uri) from None
    except OSError as error:
        raise unreadable(offer, error) from error


def unreadable(offer: Offer, error: OSError) -> DeliveryError | SourceError:
    """What is wrong with an offer that cannot be read: it alone, or its source."""
    advice = "check its permissions, and the disk or the store that has it"
    text = f"cannot be read: {error.strerror or error}; {advice}"
    # A store that is out of reach gives all kinds of errors, but not this one.
    is_its_own = isinstance(error, PermissionError) or local_path(offer.uri) is not None
    return DeliveryError(f"it {text}") if is_its_own else SourceError(f"{offer.uri} {text}")


def _fingerprint(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_dev, status.st_size, status.st_mtime_ns, status.st_ctime_ns
