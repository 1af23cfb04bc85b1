"""What a load came to, and how two loads differ: counts, reasons, and a digest over every event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from activity_audit.settings.core import Settings

COLUMNS = (
    "event_id", "event_time_utc", "application", "entity", "activity", "triggered_by", "instance", "outcome",
    "comments", "is_documented",
)  # fmt: skip
COUNTS = (
    "received", "accepted", "duplicate", "quarantined", "conflict", "offset_normalised", "foreign_application",
    "undocumented",
)  # fmt: skip
_EXAMPLES = 3
_BOTH = "ours.event_id is not null and theirs.event_id is not null"


@dataclass(frozen=True)
class Result:
    """What a load came to; `events` is a folder of Parquet files with `COLUMNS`."""

    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    digest: str
    events: Path


def of_peer(out: Path) -> Result:
    """What a peer left in its folder. Raises OSError, ValueError or duckdb.Error where it is not as it must be."""
    import duckdb

    counts = json.loads((out / "counts.json").read_text(encoding="utf-8"))
    with duckdb.connect() as connection:
        reasons = _reasons(connection, f"select reasons from '{out}/quarantine/*.parquet'")
    return Result({name: counts[name] for name in COUNTS}, reasons, digest(out / "fact"), out / "fact")


def of_ours(settings: Settings, out: Path) -> Result:
    """What the warehouse has, with its events copied below the empty folder `out`.

    A conflict is, as for the peers, a record that has no other reason.
    """
    from activity_audit.warehouse import lake

    events = out / "fact"
    events.mkdir(parents=True)
    with lake.reader(settings) as connection:
        connection.execute(f"""
            copy (
                select {", ".join(f"event.{name}" for name in COLUMNS[:-1])}, kind.is_documented
                from fact_activity_event as event
                inner join dim_entity_activity as kind using (entity_activity_key)
            ) to '{events}/part.parquet' (format parquet, compression zstd)
        """)
        sums = connection.execute(f"""
            select {
            ", ".join(
                f"cast(sum({name}) as bigint)"
                for name in (
                    "received",
                    "accepted",
                    "duplicate",
                    "quarantined",
                    "offset_normalised",
                    "foreign_application",
                    "undocumented",
                )
            )
        } from quality.feed_delivery
        """).fetchone()
        assert sums is not None
        reasons = _reasons(
            connection,
            """
            select case
                when len(reasons) > 1 then list_filter(reasons, lambda reason: reason <> 'event_id_conflict')
                else reasons
            end as reasons
            from quality.quarantined_event
            """,
        )
    received, accepted, duplicate, quarantined, offset, foreign, undocumented = sums
    conflict = reasons.get("event_id_conflict", 0)
    counts = (received, accepted, duplicate, quarantined, conflict, offset, foreign, undocumented)
    return Result(dict(zip(COUNTS, counts, strict=True)), reasons, digest(events), events)


def _reasons(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    rows = connection.execute(
        f"select reason, count(*) from (select unnest(reasons) as reason from ({query})) group by 1 order by 1"
    )
    return dict(rows.fetchall())


def digest(events: Path) -> str:
    """A digest over all events in any order: the exclusive or of each one's MD5, and how many ids there are."""
    import duckdb

    with duckdb.connect() as connection:
        row = connection.execute(f"""
            select
                count(*) || ' events, ' || count(distinct event_id) || ' ids, '
                || format('{{:032x}}', coalesce(bit_xor(md5_number(cast({_as_text()} as varchar))), 0))
            from '{events}/*.parquet'
        """).fetchone()
    assert row is not None
    return str(row[0])


def _as_text() -> str:
    values = ", ".join("epoch_us(event_time_utc)" if name == "event_time_utc" else name for name in COLUMNS)
    return f"to_json(row({values}))"


def difference(ours: Result, theirs: Result) -> str:
    """How theirs differs from ours, in words; empty where they are equal."""
    found = [
        f"{name}: {theirs.counts[name]} instead of {ours.counts[name]}"
        for name in COUNTS
        if theirs.counts[name] != ours.counts[name]
    ]
    found += [
        f"{reason}: {theirs.reasons.get(reason, 0)} instead of {ours.reasons.get(reason, 0)}"
        for reason in sorted({*ours.reasons, *theirs.reasons})
        if theirs.reasons.get(reason) != ours.reasons.get(reason)
    ]
    if theirs.digest != ours.digest:
        found += _events_that_differ(ours.events, theirs.events) or [f"{theirs.digest} instead of {ours.digest}"]
    return "; ".join(found)


def _events_that_differ(ours: Path, theirs: Path) -> list[str]:
    import duckdb

    changed = [f"count(*) filter (where {_differs(name)}) as {name}" for name in COLUMNS[1:]]
    with duckdb.connect() as connection:
        connection.execute(f"""
            create temp table pair as select ours, theirs, coalesce(ours.event_id, theirs.event_id) as event_id
            from (from '{ours}/*.parquet' order by all) as ours
            full join (from '{theirs}/*.parquet') as theirs on ours.event_id = theirs.event_id
            where ours.event_id is null or theirs.event_id is null
            or {" or ".join(map(_differs, COLUMNS[1:]))}
        """)
        found = []
        for problem, condition in (("missing", "theirs.event_id is null"), ("too many", "ours.event_id is null")):
            found += _told(connection, problem, condition)
        counts = connection.execute(f"select {', '.join(changed)} from pair where {_BOTH}").fetchone()
        for name, count in zip(COLUMNS[1:], counts or (), strict=True):
            if count:
                found += _told(connection, f"with another {name}", f"{_BOTH} and {_differs(name)}")
    return found


def _differs(name: str) -> str:
    return " is distinct from ".join(
        f"epoch_us({side}.{name})" if name == "event_time_utc" else f"{side}.{name}" for side in ("ours", "theirs")
    )


def _told(connection: duckdb.DuckDBPyConnection, what: str, condition: str) -> list[str]:
    rows = connection.execute(f"select event_id from pair where {condition} order by 1").fetchall()
    examples = ", ".join(event_id for (event_id,) in rows[:_EXAMPLES])
    return [f"{len(rows)} events {what} ({examples})"] if rows else []
