"""The head of the ledger, and the file outside the warehouse in which each run keeps it (AUDIT_LEDGER_HEAD_FILE).

Whoever can change the warehouse can write a new ledger for it, but not change what was kept elsewhere. A line of the
file is `<sequence> <entry_sha256> <recorded_at_utc> <run_id>`; lines are only added.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import duckdb

from activity_audit.base.hours import aware, iso
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import Entry
from activity_audit.settings.core import Settings
from activity_audit.warehouse.home_record import kept

HASH = re.compile(r"[0-9a-f]{64}")


def describe(entry: Entry) -> dict[str, Any]:
    """What tells a person which entry it is."""
    return {
        "sequence": entry.sequence,
        "entry_sha256": entry.entry_sha256,
        "recorded_at_utc": iso(aware(entry.recorded_at_utc)),
        "run_id": entry.batch.run_id,
    }


def line_of(entry: Entry) -> str:
    """The line of the file for this entry, without a line break."""
    return " ".join(map(str, describe(entry).values()))


def keep(connection: duckdb.DuckDBPyConnection, settings: Settings) -> str | None:
    """Add the newest entry to the file, unless its last line has it; what went wrong, for the operator, or None.

    The run is published by then, and stays so: the next run adds the entry that is the newest then.
    """
    newest = ledger.newest(connection) if settings.ledger_head_file else None
    if settings.ledger_head_file is None or newest is None:
        return None
    try:
        _append(settings.ledger_head_file, newest)
    except (OSError, UnicodeDecodeError) as error:
        return (
            f"{_not_kept(settings.ledger_head_file, newest)}: {error}; the run is published, and the next tries again"
        )
    return None


def not_kept(connection: duckdb.DuckDBPyConnection, settings: Settings) -> str | None:
    """One sentence if the newest entry ought to be in the file, and is not; else None."""
    newest = ledger.newest(connection) if settings.ledger_head_file and ledger.is_there(connection) else None
    if settings.ledger_head_file is None or newest is None:
        return None
    try:
        heads, _ = kept(settings.ledger_head_file)
    except (OSError, UnicodeDecodeError) as error:
        return f"{_not_kept(settings.ledger_head_file, newest)}: {error}"
    # Not only the last line: a run may have added another one since the warehouse was asked.
    if newest.entry_sha256 not in {known.entry_sha256 for known in heads}:
        return _not_kept(settings.ledger_head_file, newest)
    return None


def _not_kept(path: Path, entry: Entry) -> str:
    return (
        f"the head of the ledger, entry {entry.sequence} {entry.entry_sha256}, is not in "
        f"AUDIT_LEDGER_HEAD_FILE={str(path)!r}"
    )


def _append(path: Path, entry: Entry) -> None:
    # A folder that is not there is not made: it is a mount that is away, and the file would be on the wrong disk.
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    line = line_of(entry)
    if before.splitlines()[-1:] == [line]:
        return
    # A line that a crash cut off must not swallow this one.
    start = "" if before.endswith("\n") or not before else "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{start}{line}\n")
        file.flush()
        os.fsync(file.fileno())
