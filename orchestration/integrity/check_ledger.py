"""Is the ledger itself whole: an unbroken chain, and the one whose heads were kept elsewhere?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.integrity import ledger
from orchestration.integrity.chain import ADOPTED, BATCH, Entry, breaks
from orchestration.integrity.findings import Finding
from orchestration.integrity.head import kept

if TYPE_CHECKING:
    import duckdb

_KINDS = (BATCH, ADOPTED)


@dataclass
class LedgerState:
    """What one pass over the whole ledger found."""

    entries: int = 0
    newest: Entry | None = None
    # The numbers of the entries that no longer say what they said.
    edited: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


def check_ledger(
    connection: duckdb.DuckDBPyConnection, expected_head: str | None, head_file: Path | None
) -> LedgerState:
    """Read every entry once, and hold the chain against itself and against the heads that were kept."""
    state = LedgerState()
    # Each hash that must be an entry's, and how it is called; in the end, those that are none.
    wanted: dict[str, str] = {}
    if head_file:
        wanted |= _kept_heads(head_file, state)
    if expected_head:
        wanted[expected_head] = f"the expected head {expected_head}"
    for found in breaks(_watched(connection, state, wanted)):
        state.findings.append(Finding("ledger", found.problem, f"entry {found.sequence}", found.detail))
        if found.is_edited:
            state.edited.add(found.sequence)
    if wanted:
        *others, newest = wanted.values()
        more = f", and {len(others)} more of {head_file}" if others else ""
        end = f"entry {state.newest.sequence}" if state.newest else "nothing"
        detail = (
            f"{newest}{more}, is no entry of this ledger, which ends with {end}: entries were removed at its end, or "
            "it was written anew"
        )
        state.findings.append(Finding("ledger", "missing", "entries behind the end", detail))
    return state


def _watched(connection: duckdb.DuckDBPyConnection, state: LedgerState, wanted: dict[str, str]) -> Iterator[Entry]:
    """The entries in order; each is counted, and a kept head that is met is wanted no more."""
    for entry in ledger.entries(connection):
        state.entries += 1
        state.newest = entry
        wanted.pop(entry.entry_sha256, None)
        if entry.kind not in _KINDS:
            detail = f"its kind {entry.kind!r} is none that this release knows; verify with the release that wrote it"
            state.findings.append(Finding("ledger", "changed", f"entry {entry.sequence}", detail))
        yield entry


def _kept_heads(path: Path, state: LedgerState) -> dict[str, str]:
    """The heads of AUDIT_LEDGER_HEAD_FILE, the newest last; that it cannot be read is a warning, and no tampering."""
    try:
        heads, wrong = kept(path)
    except (OSError, UnicodeDecodeError) as error:
        state.findings.append(
            Finding("ledger", "unreadable", str(path), f"AUDIT_LEDGER_HEAD_FILE was not used: {error}", "warning")
        )
        return {}
    for number in wrong:
        detail = "the line is no head of a ledger, and was not used"
        state.findings.append(Finding("ledger", "changed", f"{path} line {number}", detail, "warning"))
    return {known.entry_sha256: f"the head {known.sequence} {known.entry_sha256} of {path}" for known in heads}
