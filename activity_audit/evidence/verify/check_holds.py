"""Is every legal hold in the ledger, and every one of the ledger in the table, unchanged?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from activity_audit.evidence.verify.findings import Finding
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import HOLD
from activity_audit.ledger.hold_rules import digest_of
from activity_audit.ledger.hold_table import rows_of

if TYPE_CHECKING:
    import duckdb


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
