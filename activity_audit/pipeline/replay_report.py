"""What a replay did, counted from what it has staged: what it resolved, what it changed, what remains."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb

from activity_audit.warehouse import lake

_REPLAYED = "work.quality.replayed_record"
# The catalogue's part of the dimensions; the other part is what was observed.
_CATALOGUE = {
    "dim_application": ("application, display_name, slug, in_report_prompt", "slug is not null"),
    "dim_entity_activity": ("application, entity, activity, provenance", "is_documented"),
}


@dataclass
class Report:
    """What one replay did.

    `run_id` is None where nothing was published. `judged` records were judged again; the `cut_off` ones could not be.
    Of the judged, `accepted` and `duplicate` are resolved, `changed` ones stay for other reasons than before, and
    `remaining` all that stay. The lists count records by feed and reasons; in `remaining_by_reason` a record with two
    reasons counts for both. `catalogue` has what changed in the catalogue, `tables` the public tables that changed.
    """

    reason: str | None
    feed: str | None
    judged: int
    accepted: int
    duplicate: int
    changed: int
    remaining: int
    cut_off: int
    resolved_by_reasons: list[dict[str, Any]]
    changed_by_reasons: list[dict[str, Any]]
    remaining_by_reason: list[dict[str, Any]]
    catalogue: list[dict[str, str]]
    tables: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    run_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as data, the run first, as `--output json` has it."""
        return {"run_id": self.run_id} | asdict(self)


def describe(connection: duckdb.DuckDBPyConnection, reason: str | None, feed: str | None, cut_off: int) -> Report:
    """Count what is staged in `work`, before it is published."""
    totals = lake.rows(
        connection,
        f"""
        select
            (select count(*) from work.raw.replayed) as judged,
            count(*) filter (disposition = 'accepted') as accepted,
            count(*) filter (disposition = 'duplicate') as duplicate,
            count(*) filter (disposition = 'quarantined') as changed
        from {_REPLAYED}
        """,
    )[0]
    resolved = lake.rows(
        connection,
        f"""
        select
            feed, reasons_before as reasons, count(*) filter (disposition = 'accepted') as accepted,
            count(*) filter (disposition = 'duplicate') as duplicate
        from {_REPLAYED} where disposition <> 'quarantined' group by all order by feed, reasons
        """,
    )
    changed = lake.rows(
        connection,
        f"""
        select feed, reasons_before, reasons_after, count(*) as records
        from {_REPLAYED} where disposition = 'quarantined' group by all order by feed, reasons_before, reasons_after
        """,
    )
    remaining = lake.rows(
        connection,
        """
        select reason, count(*) as records
        from (select unnest(reasons) as reason from work.intermediate.int_judged_record)
        group by reason order by records desc, reason
        """,
    )
    return Report(
        reason=reason,
        feed=feed,
        remaining=totals["judged"] - totals["accepted"] - totals["duplicate"],
        cut_off=cut_off,
        resolved_by_reasons=resolved,
        changed_by_reasons=changed,
        remaining_by_reason=remaining,
        catalogue=_catalogue(connection),
        **totals,
    )


def _catalogue(connection: duckdb.DuckDBPyConnection) -> list[dict[str, str]]:
    """What the warehouse does not know yet of the catalogue of now, one line each."""
    found = []
    for table, (columns, where) in _CATALOGUE.items():
        staged, published = (f"select {columns} from {name}.main.{table} where {where}" for name in ("work", "audit"))
        for change, more, less in (("added", staged, published), ("removed", published, staged)):
            rows = connection.execute(f"({more}) except ({less}) order by all").fetchall()
            found += [{"table": table, "change": change, "name": _name(row)} for row in rows]
    rows = connection.execute(
        "select action, application, entity, activity, acknowledged_by from work.quality.catalogue_acknowledgement "
        "order by all"
    ).fetchall()
    return found + [{"table": "catalogue_acknowledgement", "change": row[0], "name": _name(row[1:])} for row in rows]


def _name(parts: tuple[Any, ...]) -> str:
    return ", ".join(str(part) for part in parts if part is not None)
