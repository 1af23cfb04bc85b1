"""What the tests of expectations share: a good batch, changes that spoil it, and what validation says of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from activity_audit.publish import data_docs
from activity_audit.warehouse import known_ids
from expectations import conformance, feed_contract
from expectations.docs_site import DocsSite
from expectations.results import ExpectationResult
from expectations.rules import Rule
from expectations.runner import SUITES, TITLES, validate

RUN_TIME = datetime(2026, 3, 1, 6, 10, tzinfo=UTC)
HASH = (
    "case comments when 'no hash' then null when 'short hash' then 'abc' "
    "else sha256(concat_ws('|', event_id, comments)) end"
)
# Many ids share such a key, so that what is found by it is only where to look.
KEY = "strlen(event_id)"

# Two feeds of 50 records in the feed hour 05:00; every tenth record of feed `b` is a duplicate.
GOOD_BATCH = """
attach ':memory:' as work; attach ':memory:' as audit;
create schema work.intermediate; create schema work.quality; create schema work.raw;
create table work.intermediate.int_judged_record as
select 'delivery-' || feed as delivery_id, feed, timestamp '2026-03-01 05:00' as feed_hour_utc,
    feed || '/2026-03-01/05/part.ndjson' as source_uri, n as source_record, null::varchar as problem,
    false as repeats_field, feed || n as event_id,
    strftime(t, '%Y-%m-%dT%H:%M:%S.%fZ') as event_time_source, t as event_time_utc,
    0::integer as event_offset_minutes, null::varchar as event_time_problem,
    'Application ' || feed as application, 'Entity' as entity, 'Create' as activity,
    'success' as outcome_source, 'SUCCESS' as outcome, 'i' as instance, 'u' as triggered_by,
    null::varchar as comments, false as is_foreign_application, true as is_documented,
    false as is_acknowledged,
    'key-' || feed as entity_activity_key,
    if(feed = 'b' and n % 10 = 0, 'duplicate', 'accepted') as disposition, []::varchar[] as reasons
from (values ('a'), ('b')) f(feed),
    (select n, timestamp '2026-03-01 05:00' + to_seconds(n) as t from range(1, 51) r(n));
create table work.main.fact_activity_event as
select event_id, event_time_utc, date_trunc('hour', event_time_utc) as event_hour_utc, application, entity,
    activity, instance, triggered_by, comments, outcome, entity_activity_key, event_time_source, feed,
    feed_hour_utc, source_uri, source_record, timestamp '2026-03-01 06:10' as ingested_at_utc, 'run' as run_id
from work.intermediate.int_judged_record where disposition = 'accepted';
create table work.main.dim_entity_activity as
select distinct entity_activity_key from work.main.fact_activity_event;
create table audit.main.fact_activity_event as
select * replace ('published-' || event_id as event_id) from work.main.fact_activity_event;
create schema audit.quality;
create table work.quality.known_event_id as
select strlen(event_id) as event_id_key, event_hour_utc from work.main.fact_activity_event;
create table audit.quality.known_event_id as
select strlen(event_id) as event_id_key, event_hour_utc from audit.main.fact_activity_event;
create table work.quality.feed_reconciliation as
select feed, feed_hour_utc, count(*) as declared, count(*) as received,
    count(*) filter (where disposition = 'accepted') as accepted,
    count(*) filter (where disposition = 'duplicate') as duplicate, 0 as quarantined, 'balanced' as status,
    null::varchar as detail, 0::bigint as undeclared_files
from work.intermediate.int_judged_record group by all;
create table work.quality.vanished_event as
select 'gone' as event_id, 'a' as feed, timestamp '2026-03-01 05:00' as feed_hour_utc,
    null::varchar as event_time_source, timestamp '2026-03-01 06:10' as vanished_at_utc,
    timestamp '2026-03-01 06:11' as reappeared_at_utc;
create table work.raw.delivery as
select delivery_id, feed, feed_hour_utc, 'part.ndjson' as name, count(*) as records
from work.intermediate.int_judged_record group by all;
create table work.raw.set_aside (
    feed varchar, feed_hour_utc timestamp, name varchar, source_uri varchar, reason varchar, is_gone boolean
);
create table work.raw.run_context as
select 'run' as run_id, timestamp '2026-03-01 06:10' as started_at_utc, 3600::bigint as future_tolerance_seconds;
"""


def judged(change: str, where: str = "event_id = 'a7'") -> str:
    """A statement that changes judged records."""
    return f"update work.intermediate.int_judged_record set {change} where {where}"


def staged(change: str, where: str = "event_id = 'a7'") -> str:
    """A statement that changes events that wait to be published."""
    return f"update work.main.fact_activity_event set {change} where {where}"


def reconciled(change: str) -> str:
    """A statement that changes what is counted of the feed `a`."""
    return f"update work.quality.feed_reconciliation set {change} where feed = 'a'"


UNREADABLE = (
    "problem = 'unparseable', event_id = null, event_time_source = null, event_time_utc = null, "
    "event_offset_minutes = null, entity = null, activity = null, outcome_source = null, outcome = null, "
    "is_foreign_application = null, is_documented = null, disposition = 'quarantined', reasons = ['unparseable']"
)


# What the warehouse has of the checks of runs.
RESULTS = """
create schema if not exists audit.quality;
create table audit.quality.pipeline_run (run_id varchar);
create table audit.quality.validation_result (
    validated_at_utc timestamp, run_id varchar, suite varchar, expectation varchar, title varchar, column_name varchar,
    severity varchar, is_blocking boolean, success boolean, evaluated_count bigint, unexpected_count bigint,
    sample varchar, docs_link varchar
);
"""


class Batch:
    """A good batch to be spoiled, and the docs that its validations write."""

    def __init__(self, docs_dir: Path) -> None:
        self.connection = duckdb.connect()
        self.connection.execute(GOOD_BATCH)
        known_ids.look_up_by_scan(self.connection)
        self.connection.execute(RESULTS)
        self.docs_dir = docs_dir

    def validate(
        self, *suites: str, run_id: str = "run", run_time: datetime = RUN_TIME, keep_runs: int = 10
    ) -> dict[str, ExpectationResult]:
        """Each expectation's result, by its name, once the docs show it; of both suites unless some are named."""
        results = self.check(*suites, run_id=run_id)
        blocked = any(result.blocking and not result.success for result in results.values())
        rows = [(run_time.replace(tzinfo=None), *vars(result).values()) for result in results.values()]
        self.connection.executemany(f"insert into audit.quality.validation_result values ({'?, ' * 12}?)", rows)
        if not blocked:
            self.connection.execute("insert into audit.quality.pipeline_run values (?)", [run_id])
        self.put_up(run_id, keep_runs)
        return results

    def check(self, *suites: str, run_id: str = "run") -> dict[str, ExpectationResult]:
        """The same without docs, which take longer than all the checks."""
        results = validate(
            self.connection,
            run_id=run_id,
            suites=suites or (feed_contract.NAME, conformance.NAME),
            record_sha256_sql=HASH,
            event_id_key_sql=KEY,
        )
        assert len({result.expectation for result in results}) == len(results)
        return {result.expectation: result for result in results}

    def put_up(self, run_id: str | None = None, keep_runs: int = 10) -> None:
        """Bring the docs up to what the warehouse has."""
        site = DocsSite(self.docs_dir, TITLES)
        data_docs.put_up(self.connection, site, lambda: dict(zip(SUITES, rules(), strict=True)), keep_runs, run_id)


def all_rules() -> list[Rule]:
    """The rules of both suites."""
    return [rule for of_suite in rules() for rule in of_suite]


def rules() -> tuple[list[Rule], list[Rule]]:
    """The rules of each suite."""
    conforms = conformance.rules(record_sha256_sql=HASH, event_id_key_sql=KEY, future_tolerance_seconds=3600)
    return feed_contract.rules(), conforms


def failed(results: dict[str, ExpectationResult]) -> set[str]:
    """The expectations that were not met."""
    return {name for name, result in results.items() if not result.success}
