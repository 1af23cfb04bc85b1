"""The ledger's chain: what an entry is hashed over, how it is tied to the one before, and where a chain breaks.

Pure rules, free of the warehouse. They are public and may not change: docs/integrity.md describes them byte by byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

VERSION = "activity-audit-ledger/1"
BATCH, ADOPTED, REPLAY = "batch", "adopted", "replay"
# What retention deleted, and what was placed under legal hold or released from it.
DELETION, HOLD = "deletion", "hold"
# The kinds of entries that say what a batch added to the warehouse.
OF_BATCHES = (BATCH, ADOPTED, REPLAY)
# What an empty ledger hashes to, and so what the first entry follows: the hash of nothing.
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_LEAF, _NODE = b"\x00", b"\x01"

BatchKey = tuple[str, datetime, str]


@dataclass(frozen=True, slots=True)
class BatchDigest:
    """What a batch consists of: the counts of its records, and the digests over its rows.

    A batch is what one run published for one feed and feed hour (a plain UTC timestamp, as the warehouse has it).
    """

    feed: str
    feed_hour_utc: datetime
    run_id: str
    deliveries: int
    received: int
    accepted: int
    duplicate: int
    quarantined: int
    events_sha256: str
    deliveries_sha256: str
    quarantined_sha256: str

    @property
    def key(self) -> BatchKey:
        """What tells batches apart."""
        return self.feed, self.feed_hour_utc, self.run_id


def by_hour(key: BatchKey) -> tuple[datetime, str, str]:
    """What batches are sorted by: their feed hour, their feed, and their run."""
    return key[1], key[0], str(key[2])


def no_rows(key: BatchKey) -> BatchDigest:
    """A batch of which there is nothing in the tables."""
    return BatchDigest(*key, 0, 0, 0, 0, 0, EMPTY_SHA256, EMPTY_SHA256, EMPTY_SHA256)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the ledger, in the order of the table's columns."""

    sequence: int
    kind: str
    batch: BatchDigest
    recorded_at_utc: datetime
    previous_sha256: str
    entry_sha256: str


@dataclass(frozen=True)
class Break:
    """A place where a ledger is not the chain that it was: the number of an entry, and what is wrong there.

    An entry that `is_edited` no longer says what it said when it was written.
    """

    sequence: int
    problem: Literal["added", "changed", "missing"]
    detail: str
    is_edited: bool = False


def entry_text(sequence: int, kind: str, batch: BatchDigest, recorded_at_utc: datetime) -> str:
    """The text that stands for an entry: each field as its length in bytes, a colon and its text; joined by commas."""
    fields = (
        VERSION,
        str(sequence),
        kind,
        batch.run_id,
        batch.feed,
        time_text(batch.feed_hour_utc),
        *map(str, (batch.deliveries, batch.received, batch.accepted, batch.duplicate, batch.quarantined)),
        batch.events_sha256,
        batch.deliveries_sha256,
        batch.quarantined_sha256,
        time_text(recorded_at_utc),
    )
    return joined(fields)


def entry_sha256(previous_sha256: str, text: str) -> str:
    """The hash of an entry with this text that follows the entry with that hash."""
    leaf = hashlib.sha256(_LEAF + text.encode()).digest()
    return hashlib.sha256(_NODE + bytes.fromhex(previous_sha256) + leaf).hexdigest()


def append(head: Entry | None, kind: str, batches: Iterable[BatchDigest], recorded_at_utc: datetime) -> list[Entry]:
    """The entries of these batches, behind `head` (None: an empty ledger)."""
    sequence, previous = (head.sequence, head.entry_sha256) if head else (0, EMPTY_SHA256)
    entries = []
    for batch in batches:
        sequence += 1
        own = entry_sha256(previous, entry_text(sequence, kind, batch, recorded_at_utc))
        entries.append(Entry(sequence, kind, batch, recorded_at_utc, previous, own))
        previous = own
    return entries


def breaks(entries: Iterable[Entry]) -> Iterator[Break]:
    """Every place where these entries, in the order of their sequence, are no unbroken chain from the first on."""
    sequence, previous = 0, EMPTY_SHA256
    for entry in entries:
        if entry.sequence == sequence:
            yield Break(entry.sequence, "added", "it exists more than once")
        elif entry.sequence > sequence + 1:
            gone = entry.sequence - sequence - 1
            which = "it is" if gone == 1 else f"it and the {gone - 1} behind it are"
            yield Break(sequence + 1, "missing", f"{which} not there, and the ledger goes on with {entry.sequence}")
        elif entry.previous_sha256 != previous:
            yield Break(
                entry.sequence,
                "changed",
                f"it follows another entry than {sequence}, which is there: one was replaced",
            )
        if not _is_sound(entry):
            detail = "its fields do not give its entry_sha256, so its batch cannot be held against it"
            yield Break(entry.sequence, "changed", detail, is_edited=True)
        sequence, previous = entry.sequence, entry.entry_sha256


def _is_sound(entry: Entry) -> bool:
    try:
        text = entry_text(entry.sequence, entry.kind, entry.batch, entry.recorded_at_utc)
        return entry_sha256(entry.previous_sha256, text) == entry.entry_sha256
    except ValueError:
        # What should be the hash of the entry before is no hexadecimal text.
        return False


def joined(fields: Iterable[str]) -> str:
    """The text that fields are hashed as: each as its length in bytes, a colon and its text; joined by commas."""
    return ",".join(f"{len(field.encode())}:{field}" for field in fields)


def time_text(value: datetime) -> str:
    """A plain UTC timestamp as it is hashed."""
    return f"{value.isoformat(timespec='microseconds')}Z"
