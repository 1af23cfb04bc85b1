"""What is made from the fact is held to the fact, each table by a check that can run beside the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activity_audit.evidence.verify.check_derived import check_aggregate, check_dimensions, check_names
from activity_audit.evidence.verify.check_doubled import check_doubled
from activity_audit.evidence.verify.check_known_ids import check_known_ids
from activity_audit.evidence.verify.data_files import wrong_files
from activity_audit.evidence.verify.findings import Finding
from activity_audit.warehouse import known_ids, lake

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class KeyState:
    """What is wrong with the keys, and which event ids are in the fact more than once."""

    findings: list[Finding]
    doubled: list[Finding]


def check_keys(own: duckdb.DuckDBPyConnection, where: str) -> KeyState:
    """Compare the keys with the fact, and count its event ids; `where` is a condition on `feed_hour_utc`."""
    import duckdb

    try:
        findings = list(check_known_ids(own, where))
        holds = not findings and _keys_hold(own, where)
        return KeyState(findings, list(check_doubled(own, where, keys_hold=holds)))
    except duckdb.Error as error:
        findings = [unreadable("quality.known_event_id", error), *(wrong.finding for wrong in wrong_files(own))]
        return KeyState(findings, [])


def _keys_hold(own: duckdb.DuckDBPyConnection, where: str) -> bool:
    """Whether all keys are those of the fact; of a period, those of its own event hours are known to be."""
    if not lake.has_table(own, "quality", "known_event_id"):
        return False
    if where == "true":
        return True
    return lake.has_table(own, "quality", "known_event_id_digest") and known_ids.are_as_written(own)


def check_derived(own: duckdb.DuckDBPyConnection, where: str) -> list[Finding]:
    """Compare the aggregate with the fact, and without a condition on `feed_hour_utc` the dimensions too."""
    import duckdb

    try:
        whole = [*check_dimensions(own), *check_names(own)] if where == "true" else []
        return [*check_aggregate(own, where), *whole]
    except duckdb.Error as error:
        return [unreadable("what is derived from the fact", error), *(wrong.finding for wrong in wrong_files(own))]


def unreadable(what: str, error: duckdb.Error) -> Finding:
    """That something could not be compared."""
    return Finding("warehouse", "unreadable", what, f"this could not be checked: {error}")
