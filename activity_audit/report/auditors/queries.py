"""What the page asks of the warehouse: SQL that stands on the page too, and runs there as it is with `audit sql`."""

from __future__ import annotations

from dataclasses import dataclass

from activity_audit.base.hours import naive
from activity_audit.base.sql_text import literal
from activity_audit.report.auditors.period import Period
from activity_audit.report.heat import cells_sql
from activity_audit.warehouse.events.masked import WORD

SAMPLES_PER_REASON = 3
SAMPLE_CHARACTERS = 400
# How late an event came: from when its feed hour began, back to when it happened. Labels are in the order of hours.
LATENESS = (("up to 1 h", 1), ("1 h to 6 h", 6), ("6 h to 24 h", 24), ("1 d to 7 d", 168), ("over 7 d", None))


@dataclass(frozen=True)
class Query:
    """One question, by the name that the page links to, and the SQL that answers it."""

    name: str
    title: str
    sql: str


@dataclass(frozen=True)
class Scope:
    """Which rows the page is about: the feed hours of a period, of some feeds or (none named) of all."""

    period: Period
    feeds: tuple[str, ...] = ()

    def condition(self, prefix: str = "") -> str:
        """The SQL condition on `feed_hour_utc` and `feed`, of the table that `prefix` names (`fact.`)."""
        start, end = naive(self.period.start), naive(self.period.end)
        hours = f"{prefix}feed_hour_utc >= timestamp '{start}' and {prefix}feed_hour_utc < timestamp '{end}'"
        return f"{hours} and {prefix}feed in ({', '.join(map(literal, self.feeds))})" if self.feeds else hours


def queries(scope: Scope, *, has_replays: bool = True, masked: bool = False) -> list[Query]:
    """Every query of the page, in the order in which the page has their figures; `masked` ones ask for no raw record.

    A snapshot of a release that could not replay has no table of replays.
    """
    return [
        _cells(scope), _gaps(scope), _totals(scope), _reasons(scope, has_replays), _samples(scope, has_replays, masked),
        _late(scope), _drift(scope), _checks(scope), _runs(scope),
    ]  # fmt: skip


def _cells(scope: Scope) -> Query:
    return Query("cells", "Completeness by feed and hour", cells_sql(scope.period.unit, scope.condition()))


def _gaps(scope: Scope) -> Query:
    sql = f"""
select
    feed,
    status,
    min(feed_hour_utc) as from_utc,
    max(feed_hour_utc) + interval 1 hour as to_utc,
    count(*) as hours,
    detail
from (
    select
        feed, status, feed_hour_utc, detail,
        feed_hour_utc - to_hours(row_number() over (partition by feed, status, detail order by feed_hour_utc)) as run
    from quality.feed_reconciliation
    where status <> 'balanced' and {scope.condition()}
)
group by feed, status, detail, run
order by from_utc, feed"""
    return Query("gaps", "Incomplete and missing hours, adjacent ones together", sql)


def _totals(scope: Scope) -> Query:
    sql = f"""
select
    feed,
    count(*) as hours,
    count(*) filter (status = 'balanced') as balanced,
    count(*) filter (status = 'incomplete') as incomplete,
    count(*) filter (status = 'missing') as missing,
    count(*) filter (status = 'balanced' and received = 0) as empty,
    sum(received)::bigint as received,
    sum(accepted)::bigint as accepted,
    sum(duplicate)::bigint as duplicate,
    sum(quarantined)::bigint as quarantined,
    sum(offset_normalised)::bigint as offset_normalised,
    sum(late)::bigint as late,
    count(*) filter (received is distinct from accepted + duplicate + quarantined) as unbalanced,
    count(deleted_at_utc) as deleted,
    -- Counted again in the tables; of an hour that retention deleted there is nothing to count.
    coalesce(sum(accepted) filter (deleted_at_utc is null), 0)::bigint as accepted_and_kept,
    coalesce(sum(quarantined) filter (deleted_at_utc is null), 0)::bigint as quarantined_and_kept,
    coalesce(sum(events) filter (deleted_at_utc is null), 0)::bigint as events,
    coalesce(sum(records) filter (deleted_at_utc is null), 0)::bigint as records,
    coalesce(sum(resolved) filter (deleted_at_utc is null), 0)::bigint as resolved
from quality.feed_reconciliation
left join (
    select feed, feed_hour_utc, count(*) as events
    from fact_activity_event where {scope.condition()} group by all
) using (feed, feed_hour_utc)
left join (
    select feed, feed_hour_utc, count(*) - count(resolved_at_utc) as records, count(resolved_at_utc) as resolved
    from quality.quarantined_event where {scope.condition()} group by all
) using (feed, feed_hour_utc)
where {scope.condition()}
group by feed
order by feed"""
    return Query("totals", "What became of every record, by feed", sql)


def _records_of(scope: Scope, has_replays: bool) -> str:
    """A CTE `record`: the quarantined records, with the reasons that hold now; for a resolved one, none does."""
    newest = "reasons"
    joined = ""
    if has_replays:
        newest = "coalesce(reasons_after, reasons)"
        joined = f"""
    left join (
        select delivery_id, source_record, arg_max(reasons_after, revision) as reasons_after
        from quality.replayed_record
        where {scope.condition()}
        group by all
    ) using (delivery_id, source_record)"""
    return f"""
with record as (
    select *, if(resolved_at_utc is null, {newest}, []) as reasons_now
    from quality.quarantined_event{joined}
    where {scope.condition()}
)"""


def _reasons(scope: Scope, has_replays: bool) -> Query:
    sql = f"""{_records_of(scope, has_replays)}
select
    reason,
    count(*) filter (list_contains(reasons, reason)) as records,
    count(*) filter (list_contains(reasons, reason) and resolved_at_utc is not null) as resolved,
    count(*) filter (list_contains(reasons_now, reason)) as standing,
    count(distinct feed) filter (list_contains(reasons_now, reason)) as feeds
from (
    select *, unnest(list_distinct(reasons || reasons_now)) as reason
    from record
)
group by reason
order by standing desc, records desc, reason"""
    return Query("reasons", "Quarantined records by reason; a record may have several", sql)


def _samples(scope: Scope, has_replays: bool, masked: bool) -> Query:
    length = "null::bigint as record_length" if masked else "record_length"
    record = f"'{WORD}' as record" if masked else f"left(record, {SAMPLE_CHARACTERS}) as record"
    sql = f"""{_records_of(scope, has_replays)}
select
    reason, feed, feed_hour_utc, source_uri, source_record, {length}, {record}
from (
    select *, unnest(reasons_now) as reason
    from record
)
qualify row_number() over (
    partition by reason order by feed_hour_utc desc, feed, source_uri, source_record
) <= {SAMPLES_PER_REASON}
order by reason, feed_hour_utc desc, feed, source_uri, source_record"""
    return Query("samples", "Samples of what is in quarantine, the newest of each reason", sql)


def _late(scope: Scope) -> Query:
    bounds = [(label, "" if hours is None else f" when late_by <= to_hours({hours}) then") for label, hours in LATENESS]
    cases = "".join(
        f"\n        {bound.strip()} {literal(label)}" if bound else f"\n        else {literal(label)}"
        for label, bound in bounds
    )
    sql = f"""
select feed, bucket, count(*) as events, max(late_by) as latest
from (
    select
        feed,
        late_by,
        case{cases}
        end as bucket
    from (
        select feed, feed_hour_utc - event_time_utc as late_by
        from fact_activity_event
        where event_time_utc < feed_hour_utc and {scope.condition()}
    )
)
group by feed, bucket
order by feed, latest"""
    return Query("late", "Events that happened before their feed hour began", sql)


def _drift(scope: Scope) -> Query:
    sql = f"""
select
    drift.undocumented,
    drift.application,
    drift.entity,
    drift.activity,
    drift.acknowledged_by,
    drift.acknowledgement,
    count(*) as events,
    min(fact.event_time_utc) as first_utc,
    max(fact.event_time_utc) as last_utc
from fact_activity_event as fact
inner join quality.catalogue_drift as drift using (entity_activity_key)
where {scope.condition("fact.")}
group by
    drift.undocumented, drift.application, drift.entity, drift.activity, drift.acknowledged_by, drift.acknowledgement
order by
    drift.acknowledged_by is not null,
    case drift.undocumented when 'application' then 0 when 'entity' then 1 else 2 end,
    events desc, drift.application, drift.entity, drift.activity"""
    return Query("drift", "Names that the catalogue does not have", sql)


def _runs_of(scope: Scope) -> str:
    """A CTE `run`: what published for these hours, and what was stopped meanwhile, whose hours are not recorded."""
    start, end = naive(scope.period.start), naive(scope.period.end)
    return f"""
with published as (
    select * from quality.pipeline_run
    where from_hour_utc < timestamp '{end}' and to_hour_utc > timestamp '{start}'
),
stopped_meanwhile as (
    -- Until the next run that published: a run that was stopped since the last one is of these hours too.
    select if(newest_utc is null, null, coalesce(min(started_at_utc), timestamp 'infinity')) as until_utc
    from (select max(started_at_utc) as newest_utc from published)
    left join quality.pipeline_run on started_at_utc > newest_utc
    group by newest_utc
),
run as (
    select run_id, started_at_utc, true as is_published, from_hour_utc, to_hour_utc, deliveries, received, accepted,
        duplicate, quarantined
    from published
    union all by name
    select run_id, min(validated_at_utc) as started_at_utc, false as is_published
    from quality.validation_result as result
    where not exists (select 1 from quality.pipeline_run as known where known.run_id = result.run_id)
        and validated_at_utc >= timestamp '{start}'
        and validated_at_utc <= greatest(timestamp '{end}', (select until_utc from stopped_meanwhile))
    group by run_id
)"""


def _checks(scope: Scope) -> Query:
    sql = f"""{_runs_of(scope)}
select
    suite,
    expectation,
    arg_max(title, result.rowid) as title,
    arg_max(is_blocking, result.rowid) as is_blocking,
    count(*) as runs,
    count(*) filter (not success) as failed,
    count(*) filter (not success and severity = 'error') as errors,
    min(validated_at_utc) filter (not success) as first_failed_utc,
    max(validated_at_utc) filter (not success) as last_failed_utc,
    max(unexpected_count) as worst,
    arg_max(evaluated_count, unexpected_count) as worst_of,
    arg_max(success, result.rowid) as last_success,
    arg_max(severity, result.rowid) as last_severity,
    arg_max(unexpected_count, result.rowid) as last_unexpected,
    arg_max(docs_link, result.rowid) as last_link,
    arg_max(docs_link, unexpected_count) as worst_link
from quality.validation_result as result
semi join run using (run_id)
group by suite, expectation
order by bool_or(is_blocking and not success) desc, errors > 0 desc, failed > 0 desc, failed desc, suite, expectation"""
    return Query("checks", "The checks of the runs of the period", sql)


def _runs(scope: Scope) -> Query:
    sql = f"""{_runs_of(scope)}
select run.*, blocked
from run
left join (
    select run_id, string_agg(title, '; ' order by title) as blocked
    from quality.validation_result
    where is_blocking and not success
    group by run_id
) using (run_id)
order by is_published, started_at_utc desc, run_id"""
    return Query("runs", "The runs of the period", sql)
