"""Checks the ledger: an unbroken chain, with the heads kept elsewhere, that agrees with `quality.legal_hold`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from activity_audit.evidence.verify.findings import Finding
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import ADOPTED, BATCH, DELETION, HOLD, REPLAY, Entry, breaks
from activity_audit.ledger.holds import digest_of, rows_of
from activity_audit.warehouse.home_record import kept

_KINDS = (BATCH, ADOPTED, REPLAY, DELETION, HOLD)


@dataclass
class LedgerState:
    """What one pass over the whole ledger found."""

    entries: int = 0
    newest: Entry | None = None
    # The numbers of the entries that no longer say what they said.
    edited: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Expected:
    """The hashes that must be entries of the ledger, how each is called, and what was wrong with their file."""

    heads: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def expected_heads(head_file: Path | None, expected_head: str | None, up_to: int | None = None) -> Expected:
    """The heads that were kept. To be asked before the ledger is: a run may go on to add to both.

    Of a ledger as it once stood, only the heads `up_to` its last sequence are expected.
    """
    expected = Expected()
    if head_file:
        _read(head_file, expected, up_to)
    if expected_head:
        expected.heads[expected_head] = f"the expected head {expected_head}"
    return expected


def check_ledger(connection: duckdb.DuckDBPyConnection, expected: Expected) -> LedgerState:
    """Read every entry once, and hold the chain against itself and against the heads that were kept."""
    state = LedgerState(findings=list(expected.findings))
    # Those that are no entry are left in the end.
    wanted = dict(expected.heads)
    for found in breaks(_watched(connection, state, wanted)):
        state.findings.append(Finding("ledger", found.problem, f"entry {found.sequence}", found.detail))
        if found.is_edited:
            state.edited.add(found.sequence)
    if wanted:
        *others, newest = wanted.values()
        more = f", and {len(others)} more" if others else ""
        end = f"entry {state.newest.sequence}" if state.newest else "nothing"
        detail = (
            f"{newest}{more}: this ledger, which ends with {end}, has no such entry: entries were removed "
            "from its end, or it was written again"
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
            detail = f"this release does not know its kind {entry.kind!r}; verify with the release that wrote it"
            state.findings.append(Finding("ledger", "changed", f"entry {entry.sequence}", detail))
        yield entry


def _read(path: Path, expected: Expected, up_to: int | None) -> None:
    """The heads of AUDIT_LEDGER_HEAD_FILE, the newest last; that it cannot be read is a warning, and no tampering."""
    try:
        heads, wrong = kept(path)
    except (OSError, UnicodeDecodeError) as error:
        detail = f"AUDIT_LEDGER_HEAD_FILE was not used: {error}"
        expected.findings.append(Finding("ledger", "unreadable", str(path), detail, "warning"))
        return
    for number in wrong:
        detail = "the line is not the head of a ledger, and was not used"
        expected.findings.append(Finding("ledger", "changed", f"{path} line {number}", detail, "warning"))
    for known in heads:
        if up_to is not None and known.sequence > up_to:
            continue
        expected.heads[known.entry_sha256] = f"the head {known.sequence} {known.entry_sha256} of {path}"


def check_holds(connection: duckdb.DuckDBPyConnection) -> tuple[int, list[Finding]]:
    """How many rows `quality.legal_hold` has, and what differs between them and the ledger's entries.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    rows = rows_of(connection)
    recorded = {entry.batch.run_id: entry for entry in ledger.of_kind(connection, HOLD)}
    findings = []
    for row in rows:
        digest = digest_of(row)
        entry = recorded.pop(digest.run_id, None)
        if entry is None:
            detail = "quality.legal_hold has it, but the ledger has no entry for it"
            findings.append(Finding("hold", "added", f"hold {digest.run_id}", detail))
        elif entry.batch != digest:
            detail = f"its row in quality.legal_hold differs from entry {entry.sequence}"
            findings.append(Finding("hold", "changed", f"hold {digest.run_id}", detail))
    for name, entry in recorded.items():
        detail = f"quality.legal_hold does not have it, but entry {entry.sequence} records it"
        findings.append(Finding("hold", "missing", f"hold {name}", detail))
    return len(rows), findings
