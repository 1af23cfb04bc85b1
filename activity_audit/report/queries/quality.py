"""What the quality pages show: every feed and hour, the quarantine with its reasons, and the catalogue's drift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from activity_audit.base.hours import Unit, naive
from activity_audit.report.heat import Cell, State, cells_sql
from activity_audit.report.queries.warehouse import Query
from activity_audit.warehouse.events.filters import compared
from activity_audit.warehouse.events.masked import WORD
from activity_audit.warehouse.quarantine import CUT_OFF, unresolved_records
from activity_audit.warehouse.verdicts import NEWEST_CHECKED

# Events may name anything; a page of it has a bound.
MOST_DRIFT, MOST_DELIVERIES, MOST_WRONG, _MOST_REASONS = 500, 500, 100, 100
QUARANTINE_KEY = ("quarantined_at_utc", "feed", "source_uri", "source_record", "delivery_id")


@dataclass(frozen=True)
class Quarantined:
    """A record in quarantine, as it came, with every reason that was found when it was judged last.

    `record_length` is how many bytes came; of a record that is too large only the beginning is kept.
    """

    quarantined_at_utc: datetime
    feed: str
    source_uri: str
    source_record: int
    delivery_id: str
    feed_hour_utc: datetime
    reasons: tuple[str, ...]
    event_id: str | None
    record: str
    record_length: int | None
    run_id: str

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from every other: the values of `QUARANTINE_KEY`."""
        return tuple(getattr(self, name) for name in QUARANTINE_KEY)

    @property
    def is_cut(self) -> bool:
        """Whether more came than is kept."""
        return self.record_length is not None and CUT_OFF in self.reasons


@dataclass(frozen=True)
class Drift:
    """A combination that the catalogue does not have; `undocumented` is the widest of its names that is new.

    `acknowledgement` is why it may be so, by the word of `acknowledged_by`.
    """

    application: str
    entity: str
    activity: str
    undocumented: str
    first_seen_utc: datetime
    last_seen_utc: datetime
    event_count: int
    acknowledged_by: str | None
    acknowledgement: str | None


@dataclass(frozen=True)
class Check:
    """What one expectation found in the newest run that was checked."""

    suite: str
    expectation: str
    title: str
    severity: str
    is_blocking: bool
    success: bool
    evaluated_count: int
    unexpected_count: int
    docs_link: str


@dataclass(frozen=True)
class FeedHour:
    """What is recorded of one feed hour; `declared` is what its manifest says, None where it says nothing."""

    status: State
    declared: int | None
    received: int
    accepted: int
    duplicate: int
    quarantined: int
    offset_normalised: int
    late: int
    detail: str | None
    reconciled_at_utc: datetime
    run_id: str
    deleted_at_utc: datetime | None


@dataclass(frozen=True)
class Delivery:
    """What became of one file of a feed hour."""

    name: str
    source_uri: str
    sha256: str
    bytes: int
    landed_at_utc: datetime
    received: int
    accepted: int
    duplicate: int
    quarantined: int


def feed_hour(query: Query, feed: str, hour: datetime) -> FeedHour | None:
    """The record of a feed hour (plain UTC); None where no run has looked at it."""
    names = ", ".join(FeedHour.__dataclass_fields__)
    rows = query.rows(
        f"select {names} from audit.quality.feed_reconciliation where feed = ? and feed_hour_utc = ?", [feed, hour]
    )
    return FeedHour(*rows[0]) if rows else None


def deliveries(query: Query, feed: str, hour: datetime) -> list[Delivery]:
    """The first deliveries of a feed hour (plain UTC), in the order in which they were landed."""
    names = ", ".join(Delivery.__dataclass_fields__)
    rows = query.rows(
        f"select {names} from audit.quality.feed_delivery where feed = ? and feed_hour_utc = ? "
        f"order by landed_at_utc, name, delivery_id limit {MOST_DELIVERIES + 1}",
        [feed, hour],
    )
    found = [Delivery(*row) for row in rows]
    # A guess at the masked values of a file with one record could be tested by its hash.
    return [replace(one, sha256=WORD) for one in found] if query.is_masked else found


def heat_map(query: Query, start: datetime, end: datetime, unit: Unit = "hour") -> list[Cell]:
    """The cells of the feed hours in [start, end), aware, by feed and unit of time."""
    sql = cells_sql(unit, "feed_hour_utc >= ? and feed_hour_utc < ?", "audit.")
    return [Cell(*row) for row in query.rows(sql, [naive(start), naive(end)])]


def wrong_hours(query: Query, start: datetime, end: datetime) -> list[Cell]:
    """The first feed hours in [start, end), aware, that are missing, incomplete, or have something to say."""
    sql = cells_sql(
        "hour", "feed_hour_utc >= ? and feed_hour_utc < ? and (status <> 'balanced' or detail is not null)", "audit."
    )
    found = query.rows(f"from ({sql}) order by slot_utc, feed limit {MOST_WRONG + 1}", [naive(start), naive(end)])
    return [Cell(*row) for row in found]


def reasons(query: Query) -> list[tuple[str, int]]:
    """The reasons for which records are in quarantine now, with their number, the most first."""
    return [
        (reason, records)
        for reason, records in query.rows(
            f"""
            select reason, count(*) as records
            from (select unnest(reasons) as reason from ({_unresolved(query)}))
            group by reason order by records desc, reason limit {_MOST_REASONS}
            """
        )
    ]


def quarantine(
    query: Query,
    *,
    reason: str | None = None,
    feed: str | None = None,
    hour: datetime | None = None,
    after: tuple[Any, ...] | None = None,
    only: tuple[Any, ...] | None = None,
    limit: int = 100,
) -> list[Quarantined]:
    """The records that are in quarantine now, the newest first; of all, for a reason, of a feed or a feed hour.

    `after` has the key of the last record that is known already, `only` that of the one that is asked for.
    """
    conditions: list[str] = ["true"]
    values: list[Any] = []
    for condition, value in (
        ("list_contains(reasons, ?)", reason),
        (f"{compared('feed', feed)} = ?", feed),
        ("feed_hour_utc = ?", hour),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if after is not None:
        time, *rest = after
        conditions.append(
            f"(quarantined_at_utc < ? or quarantined_at_utc = ? and ({', '.join(QUARANTINE_KEY[1:])}) > (?, ?, ?, ?))"
        )
        values += [time, time, *rest]
    if only is not None:
        conditions.append(f"({', '.join(QUARANTINE_KEY)}) = (?, ?, ?, ?, ?)")
        values += only
    names = ", ".join(Quarantined.__dataclass_fields__)
    rows = query.rows(
        f"select {names} from ({_unresolved(query)}) where {' and '.join(conditions)} "
        f"order by quarantined_at_utc desc, {', '.join(QUARANTINE_KEY[1:])} limit {int(limit)}",
        values,
    )
    return [Quarantined(**dict(zip(Quarantined.__dataclass_fields__, row, strict=True))) for row in rows]


def _unresolved(query: Query) -> str:
    found = query.rows(
        "select 1 from duckdb_tables() "
        "where database_name = 'audit' and schema_name = 'quality' and table_name = 'replayed_record'"
    )
    return unresolved_records(has_replays=bool(found))


def drift(query: Query, limit: int = MOST_DRIFT) -> list[Drift]:
    """What was seen that nobody documented, the most frequent first; what was acknowledged comes last."""
    names = ", ".join(Drift.__dataclass_fields__)
    rows = query.rows(
        f"select {names} from audit.quality.catalogue_drift "
        "order by acknowledged_by is not null, event_count desc, application, entity, activity "
        f"limit {int(limit)}"
    )
    return [Drift(*row) for row in rows]


def checks(query: Query) -> list[Check]:
    """The checks of the newest run that was checked: those that found something first, by their share."""
    names = ", ".join(Check.__dataclass_fields__)
    rows = query.rows(
        f"""
        select {names} from audit.quality.validation_result
        where run_id = ({NEWEST_CHECKED})
        order by success, is_blocking desc, severity, unexpected_count / greatest(evaluated_count, 1) desc, title
        """
    )
    return [Check(*row) for row in rows]
