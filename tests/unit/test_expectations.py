"""The expectation suites, their runner and the data docs, on real DuckDB and Great Expectations.

Every rule has at least one defect here that must make it fail, and it alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from expectations import conformance, feed_contract
from expectations.docs_runs import SuiteSummary, summarise
from expectations.docs_site import DocsSite
from expectations.results import ExpectationNotEvaluated, ExpectationResult
from expectations.rules import JUDGED_RECORD, Rule, rows
from expectations.runner import TITLES, validate
from expectations.tolerances import TolerancesError, load_tolerances, policy, severity

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
    feed || n as event_id, strftime(t, '%Y-%m-%dT%H:%M:%S.%fZ') as event_time_source, t as event_time_utc,
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
create table work.raw.run_context as
select 'run' as run_id, timestamp '2026-03-01 06:10' as started_at_utc, 3600::bigint as future_tolerance_seconds;
"""


def judged(change: str, where: str = "event_id = 'a7'") -> str:
    return f"update work.intermediate.int_judged_record set {change} where {where}"


def staged(change: str, where: str = "event_id = 'a7'") -> str:
    return f"update work.main.fact_activity_event set {change} where {where}"


def reconciled(change: str) -> str:
    return f"update work.quality.feed_reconciliation set {change} where feed = 'a'"


UNREADABLE = (
    "problem = 'unparseable', event_id = null, event_time_source = null, event_time_utc = null, "
    "event_offset_minutes = null, entity = null, activity = null, outcome_source = null, outcome = null, "
    "is_foreign_application = null, is_documented = null, disposition = 'quarantined', reasons = ['unparseable']"
)
FEED_CONTRACT_DEFECTS = [
    (judged(UNREADABLE), {"record_is_readable"}),
    (judged("event_id = null"), {"event_id_is_present"}),
    (judged("event_id = ''"), {"event_id_is_present"}),
    (judged("event_time_source = null, event_time_utc = null"), {"event_time_is_present"}),
    (judged("entity = null, is_documented = false"), {"entity_is_present"}),
    (judged("activity = null, is_documented = false"), {"activity_is_present"}),
    (judged("outcome_source = null, outcome = null"), {"outcome_is_present"}),
    (judged("event_time_problem = 'invalid_event_time'"), {"event_time_is_iso_8601"}),
    (judged("event_time_problem = 'event_time_zone_unknown'"), {"event_time_names_its_zone"}),
    (judged("event_offset_minutes = -300"), {"event_time_is_utc"}),
    (judged("reasons = ['event_time_in_future']"), {"event_time_is_not_in_the_future"}),
    (judged("outcome = 'MAYBE'"), {"sent_outcome_is_success_or_failure"}),
    (judged("is_foreign_application = true"), {"application_is_the_feeds_own"}),
    (judged("is_documented = false"), {"activity_is_in_the_catalogue"}),
    (judged("reasons = ['event_id_conflict']"), {"event_ids_do_not_conflict"}),
    (reconciled("status = 'missing'"), {"expected_feeds_were_delivered"}),
    (reconciled("status = 'incomplete'"), {"deliveries_agree_with_their_manifest"}),
    (reconciled("undeclared_files = 1"), {"every_file_is_in_its_manifest"}),
    ("update work.quality.vanished_event set reappeared_at_utc = null", {"no_event_vanished"}),
]
# The feed and its hour are also what the staged rows are counted by; with these and more they lead to their records.
COUNTED_BY = {
    column: {"every_accepted_record_is_staged", "lineage_leads_to_the_record"} for column in ("feed", "feed_hour_utc")
} | {column: {"lineage_leads_to_the_record"} for column in ("event_id", "source_uri", "source_record")}
LATER = (
    "event_time_utc = timestamp '2026-03-01 07:00:01', event_hour_utc = timestamp '2026-03-01 07:00', "
    "event_time_source = '2026-03-01T07:00:01Z'"
)
CONFORMANCE_DEFECTS = [
    *(
        (staged(f"{column} = null"), {f"{column}_is_not_null"} | COUNTED_BY.get(column, set()))
        for column in conformance.REQUIRED_COLUMNS
    ),
    (staged("outcome = 'MAYBE'"), {"outcome_is_success_or_failure"}),
    (staged("event_id = 'a8'"), {"event_id_is_unique_in_the_batch", "lineage_leads_to_the_record"}),
    (
        "update audit.main.fact_activity_event set event_id = 'a7', event_hour_utc = '1999-12-31 23:00' "
        "where event_id = 'published-a7'; "
        "update audit.quality.known_event_id set event_id_key = 2, event_hour_utc = '1999-12-31 23:00' "
        "where rowid = 0",
        {"event_id_is_not_published_yet"},
    ),
    ("delete from audit.quality.known_event_id where rowid = 0", {"event_ids_are_known"}),
    ("insert into work.quality.known_event_id values (2, '2026-03-01 05:00')", {"event_ids_are_known"}),
    (staged("source_record = 8"), {"lineage_leads_to_the_record"}),
    (staged("comments = 'no hash'"), {"record_hash_is_well_formed"}),
    (staged("comments = 'short hash'"), {"record_hash_is_well_formed"}),
    (staged("entity_activity_key = 'nowhere'"), {"entity_activity_key_resolves"}),
    (
        "alter table work.main.fact_activity_event alter ingested_at_utc type timestamptz",
        {"times_are_plain_timestamps"},
    ),
    (staged("event_time_utc = event_time_utc + interval 1 second"), {"event_time_equals_its_utc_text"}),
    (staged("event_hour_utc = timestamp '2026-03-01 06:00'"), {"event_hour_is_the_events_hour"}),
    (staged(LATER), {"event_time_is_not_after_its_delivery"}),
    ("update work.raw.delivery set records = 51 where feed = 'a'", {"every_landed_record_is_judged"}),
    ("delete from work.raw.delivery where feed = 'a'", {"every_landed_record_is_judged"}),
    (
        "insert into work.raw.delivery values ('lost', 'a', '2026-03-01 05:00', 'x', 1)",
        {"every_landed_record_is_judged"},
    ),
    (judged("reasons = ['invalid_outcome']"), {"quarantine_has_its_reasons"}),
    (judged("disposition = 'quarantined'", "event_id = 'b10'"), {"quarantine_has_its_reasons"}),
    (
        "delete from work.main.fact_activity_event where event_id = 'a7'",
        {"every_accepted_record_is_staged", "event_ids_are_known"},
    ),
    (judged("disposition = 'accepted'", "event_id = 'b10'"), {"every_accepted_record_is_staged"}),
    (reconciled("received = 51"), {"reconciliation_balances"}),
    (reconciled("quarantined = null"), {"reconciliation_balances"}),
]
DEFECTS = [
    *((feed_contract.NAME, *defect) for defect in FEED_CONTRACT_DEFECTS),
    *((conformance.NAME, *defect) for defect in CONFORMANCE_DEFECTS),
]
# What the source may write, or a feed may leave out, without a rule of `conformance` standing in the way.
HARMLESS = [
    staged("event_time_source = '2026-03-01T07:00:00+02:00'"),
    staged(
        "event_time_source = '2026-02-28T24:00:00Z', event_time_utc = timestamp '2026-03-01 00:00', "
        "event_hour_utc = timestamp '2026-03-01 00:00'"
    ),
    staged("event_time_source = replace(event_time_source, 'T', ' ')"),
    "insert into work.raw.delivery values ('empty', 'a', '2026-03-01 05:00', 'x', 0)",
    staged(LATER.replace("07:00:01", "07:00:00")),
]


class Batch:
    """A good batch to be spoiled, and the docs that its validations write."""

    def __init__(self, docs_dir: Path) -> None:
        self.connection = duckdb.connect()
        self.connection.execute(GOOD_BATCH)
        self.docs_dir = docs_dir

    def validate(
        self, *suites: str, run_id: str = "run", run_time: datetime = RUN_TIME, keep_runs: int = 10
    ) -> dict[str, ExpectationResult]:
        results = validate(
            self.connection,
            run_id=run_id,
            run_time=run_time,
            suites=suites or (feed_contract.NAME, conformance.NAME),
            record_sha256_sql=HASH,
            event_id_key_sql=KEY,
            docs_dir=self.docs_dir,
            keep_runs=keep_runs,
        )
        assert len({result.expectation for result in results}) == len(results)
        return {result.expectation: result for result in results}


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(tmp_path / "docs")


def all_rules() -> list[Rule]:
    return [
        *feed_contract.rules(),
        *conformance.rules(record_sha256_sql=HASH, event_id_key_sql=KEY, future_tolerance_seconds=3600),
    ]


def failed(results: dict[str, ExpectationResult]) -> set[str]:
    return {name for name, result in results.items() if not result.success}


def test_a_good_batch_passes_everything(batch: Batch) -> None:
    results = batch.validate()
    assert failed(results) == set()
    assert list(results) == [rule.id for rule in all_rules()]
    assert {result.sample for result in results.values()} == {"[]"}
    assert results["record_is_readable"].evaluated_count == 100
    assert results["event_id_is_unique_in_the_batch"].evaluated_count == 95
    assert results["reconciliation_balances"].evaluated_count == 2
    assert all(result.evaluated_count > 0 for result in results.values())


@pytest.mark.parametrize(("suite", "defect", "expected"), DEFECTS)
def test_a_defect_fails_its_rule_and_no_other(batch: Batch, suite: str, defect: str, expected: set[str]) -> None:
    batch.connection.execute(defect)
    results = batch.validate(suite)
    assert failed(results) == expected
    for name in expected:
        result = results[name]
        assert 0 < result.unexpected_count <= result.evaluated_count
        assert 0 < len(json.loads(result.sample)) <= 5


def test_every_rule_has_a_defect_here() -> None:
    assert set().union(*(expected for _, _, expected in DEFECTS)) == {rule.id for rule in all_rules()}


@pytest.mark.parametrize("change", HARMLESS)
def test_what_is_allowed_passes(batch: Batch, change: str) -> None:
    batch.connection.execute(change)
    assert failed(batch.validate(conformance.NAME)) == set()


def test_counts_and_sample_are_those_of_the_unexpected_rows(batch: Batch) -> None:
    batch.connection.execute(staged("outcome = 'MAYBE'", "feed = 'a'"))
    batch.connection.execute(staged("outcome = null", "feed = 'b'"))
    results = batch.validate(conformance.NAME)
    outcome = results["outcome_is_success_or_failure"]
    assert (outcome.evaluated_count, outcome.unexpected_count, outcome.column) == (50, 50, "outcome")
    assert results["outcome_is_not_null"].unexpected_count == 45
    assert json.loads(outcome.sample)[0] == {
        "event_id": "a1",
        "feed": "a",
        "feed_hour_utc": "2026-03-01T05:00:00Z",
        "source_uri": "a/2026-03-01/05/part.ndjson",
        "source_record": 1,
        "outcome": "MAYBE",
    }


def test_both_rows_of_a_repeated_id_are_unexpected(batch: Batch) -> None:
    batch.connection.execute(staged("event_id = 'a8'"))
    repeated = batch.validate(conformance.NAME)["event_id_is_unique_in_the_batch"]
    assert repeated.unexpected_count == 2
    assert [item["source_record"] for item in json.loads(repeated.sample)] == [7, 8]


def test_a_long_text_is_cut_in_the_sample(batch: Batch) -> None:
    batch.connection.execute(judged("outcome = repeat('X', 100000)"))
    sample = batch.validate(feed_contract.NAME)["sent_outcome_is_success_or_failure"].sample
    assert len(sample) < 1000


def test_a_failure_is_a_warning_up_to_the_tolerance_and_an_error_above(batch: Batch) -> None:
    batch.connection.execute(judged(UNREADABLE, "feed = 'a' and source_record <= 2"))
    at_tolerance = batch.validate(feed_contract.NAME)["record_is_readable"]
    batch.connection.execute(judged(UNREADABLE, "feed = 'a' and source_record = 3"))
    above = batch.validate(feed_contract.NAME)["record_is_readable"]
    assert (at_tolerance.unexpected_count, at_tolerance.severity, at_tolerance.success) == (2, "warning", False)
    assert (above.unexpected_count, above.severity, above.success) == (3, "error", False)


def test_some_failures_are_always_errors_and_some_never(batch: Batch) -> None:
    assert batch.validate(feed_contract.NAME)["activity_is_in_the_catalogue"].severity == "warning"
    batch.connection.execute(judged("is_documented = false", "true"))
    batch.connection.execute(reconciled("status = 'incomplete', detail = 'part.ndjson is missing'"))
    results = batch.validate(feed_contract.NAME)
    assert results["activity_is_in_the_catalogue"].severity == "warning"
    incomplete = results["deliveries_agree_with_their_manifest"]
    assert incomplete.severity == "error"
    assert json.loads(incomplete.sample)[0]["detail"] == "part.ndjson is missing"


def test_only_conformance_blocks_and_always_as_an_error(batch: Batch) -> None:
    batch.connection.execute(staged("outcome = 'MAYBE'"))
    results = batch.validate().values()
    assert all(result.blocking == (result.suite == conformance.NAME) for result in results)
    assert all(result.severity == "error" for result in results if result.blocking)


def test_an_empty_batch_passes_and_judges_nothing(batch: Batch) -> None:
    for table in (
        "intermediate.int_judged_record",
        "main.fact_activity_event",
        "quality.feed_reconciliation",
        "quality.known_event_id",
        "quality.vanished_event",
        "raw.delivery",
    ):
        batch.connection.execute(f"delete from work.{table}")
    results = batch.validate()
    assert failed(results) == set()
    assert {name for name, result in results.items() if result.evaluated_count} == {
        "event_ids_are_known",
        "times_are_plain_timestamps",
    }


def test_an_id_that_shares_its_key_with_a_published_one_is_new(batch: Batch) -> None:
    batch.connection.execute("insert into audit.main.fact_activity_event select * replace ('zz' as event_id) "
                             "from work.main.fact_activity_event where event_id = 'a7'")  # fmt: skip
    batch.connection.execute("insert into audit.quality.known_event_id values (2, '2026-03-01 05:00')")
    assert failed(batch.validate(conformance.NAME)) == set()
    batch.connection.execute("update audit.main.fact_activity_event set event_id = 'a9' where event_id = 'zz'")
    assert failed(batch.validate(conformance.NAME)) == {"event_id_is_not_published_yet"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("alter table work.main.fact_activity_event rename outcome to result", "expectation outcome_is_not_null could"),
        ("drop table audit.main.fact_activity_event", "expectation event_id_is_not_published_yet could"),
        ("alter table work.main.fact_activity_event drop column event_hour_utc", "event_hour_utc"),
        ("drop table work.main.fact_activity_event", "could not be evaluated on work.main.fact_activity_event"),
        ("delete from work.raw.run_context", "run_context must hold the run's one row"),
    ],
)
def test_what_cannot_be_evaluated_raises_and_leaves_no_page(batch: Batch, damage: str, message: str) -> None:
    batch.connection.execute(damage)
    with pytest.raises(ExpectationNotEvaluated, match=message):
        batch.validate(conformance.NAME)
    assert not list(batch.docs_dir.rglob("*.html"))


def test_the_callers_connection_stays_as_it_was(batch: Batch) -> None:
    batch.validate()
    assert batch.connection.execute("select count(*) from work.main.fact_activity_event").fetchone() == (95,)
    assert batch.connection.execute("select current_database()").fetchone() == ("memory",)
    relations = batch.connection.execute("select count(*) from duckdb_tables() where temporary").fetchone()
    assert relations == (0,)


@pytest.mark.parametrize(("suites", "keep_runs"), [(("nonsense",), 1), ((), 0)])
def test_a_wrong_argument_is_refused(batch: Batch, suites: tuple[str, ...], keep_runs: int) -> None:
    with pytest.raises(ValueError, match=r"unknown suites: nonsense|keep_runs is 0"):
        batch.validate(*suites, keep_runs=keep_runs)


RULE = Rule("rule", "Title", "Why.", JUDGED_RECORD, rows(JUDGED_RECORD, "false"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rule: missing"),
        ("rule = 1.1", "rule = 1.1: must be"),
        ("rule = -0.1", "rule = -0.1: must be"),
        ("rule = nan", "rule = NaN: must be"),
        ("rule = true", "rule = True: must be"),
        ("rule = '0.1'", "rule = 0.1: must be"),
        ("rule = 0.1\nother = 0.1", "other: no tolerance of that name"),
        ("rule =", "cannot be read"),
    ],
)
def test_a_wrong_tolerance_is_refused_by_key_and_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "tolerances.toml"
    path.write_text(text)
    with pytest.raises(TolerancesError) as error:
        load_tolerances([RULE], path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_share_that_is_exactly_the_tolerance_is_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "tolerances.toml"
    # 0.29 * 100 is below 29 in binary floating point.
    path.write_text("rule = 0.29")
    tolerances = load_tolerances([RULE], path)
    assert severity(RULE, tolerances, evaluated=100, unexpected=29) == "warning"
    assert severity(RULE, tolerances, evaluated=100, unexpected=30) == "error"
    assert severity(RULE, tolerances, evaluated=100, unexpected=0) == "error"
    assert "29%" in policy(RULE, tolerances, blocking=False)
    assert severity(RULE, {"rule": Decimal(0)}, evaluated=100, unexpected=1) == "error"


def test_the_docs_show_every_expectation_and_its_outcome(batch: Batch) -> None:
    batch.connection.execute(judged("is_documented = false"))
    batch.connection.execute(staged("outcome = 'MAYBE'"))
    results = batch.validate(run_id="run-1")
    page = (batch.docs_dir / "validations" / "run-1.html").read_text()
    assert "run-1" in page
    for result in results.values():
        assert result.docs_link == f"validations/run-1.html#{result.suite}"
        assert f'<h2 id="{result.suite}">' in page
        assert result.title in page
        assert result.expectation in (batch.docs_dir / "expectations" / f"{result.suite}.html").read_text()
    assert "MAYBE" in page
    index = (batch.docs_dir / "index.html").read_text()
    assert "1 warning<" in index
    assert "1 error<" in index
    assert all(f'href="{result.docs_link}"' in index for result in results.values())


def test_the_docs_need_no_internet_and_run_nothing_a_source_sent(batch: Batch) -> None:
    batch.connection.execute(judged("outcome = '<script>alert(1)</script>'"))
    batch.connection.execute(reconciled("status = 'incomplete', detail = '<img src=x onerror=alert(2)> $x ${y}'"))
    batch.validate(run_id="<b>run</b>/../x")
    batch.validate(run_id="<b>run</b>/../y", run_time=RUN_TIME + timedelta(hours=1), keep_runs=1)
    pages = list(batch.docs_dir.rglob("*.html"))
    assert len(pages) == 6
    for page in pages:
        text = page.read_text()
        for forbidden in ("<script", "<img", "<b>", "<link", "http:", "https:", "@import", "url("):
            assert forbidden not in text
    assert any("&lt;script&gt;alert(1)" in page.read_text() for page in pages)
    assert {path.parent.name for path in batch.docs_dir.iterdir()} == {"docs"}


def _pages(batch: Batch) -> set[str]:
    """The names of the runs that have a page, not only what leads to the history."""
    pages = (batch.docs_dir / "validations").glob("*.html")
    return {path.stem for path in pages if "http-equiv" not in path.read_text()}


def test_the_docs_keep_the_pages_of_the_newest_runs_and_this_one(batch: Batch) -> None:
    for number in range(4):
        batch.validate(
            feed_contract.NAME,
            run_id=f"run-{number}",
            run_time=RUN_TIME + timedelta(hours=number),
            keep_runs=2,
        )
    assert _pages(batch) == {"run-2", "run-3"}
    index = (batch.docs_dir / "index.html").read_text()
    assert index.index("run-3") < index.index("run-2")
    assert "run-1" not in index
    batch.validate(feed_contract.NAME, run_id="older", run_time=RUN_TIME - timedelta(days=1), keep_runs=2)
    assert _pages(batch) == {"older", "run-2", "run-3"}
    assert not [path for path in batch.docs_dir.rglob("*") if path.name.startswith(".")]


def test_the_link_of_an_old_run_leads_to_its_line_in_the_history(batch: Batch) -> None:
    batch.connection.execute(judged("outcome = 'MAYBE'"))
    old = batch.validate(run_id="a/b", keep_runs=1)["sent_outcome_is_success_or_failure"]
    month = batch.docs_dir / "history" / "2026-03.html"
    assert f'<a href="../{old.docs_link.partition("#")[0]}">' in month.read_text()
    batch.validate(run_id="next", run_time=RUN_TIME + timedelta(days=31), keep_runs=1)
    page = batch.docs_dir / old.docs_link.partition("#")[0]
    (target,) = re.findall(r'content="0; url=(.*?)"', page.read_text())
    path, _, anchor = target.partition("#")
    assert (page.parent / path).resolve() == month
    line = month.read_text().partition(f'<tr id="{anchor}">')[2].partition("</tr>")[0]
    assert "a/b" in line
    assert f"{old.title}: {old.unexpected_count} of {old.evaluated_count}" in line
    assert "<a " not in line
    index = (batch.docs_dir / "index.html").read_text()
    assert index.index('href="history/2026-04.html"') < index.index('href="history/2026-03.html"')


@pytest.mark.slow
def test_a_run_costs_the_same_after_years_of_them(tmp_path: Path) -> None:
    """What is read and written does not grow with the runs that are past their page and their month."""
    site = DocsSite(tmp_path, TITLES)
    suites = (SuiteSummary("conformance", 29, ()),)
    for day in range(1, 29):
        for month in (1, 2):
            run = summarise(f"run-{month}-{day}", datetime(2026, month, day, tzinfo=UTC), suites)
            site.publish(run, "page", keep_runs=5)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    site.publish(summarise("new", datetime(2026, 3, 1, tzinfo=UTC), suites), "page", keep_runs=5)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    changed = {path.relative_to(tmp_path).as_posix() for path in after if after[path] != before.get(path)}
    assert changed == {
        "index.html", "validations/kept.json", "validations/new.html", "history/2026-03.html", "history/2026-03.ndjson",
        "validations/run-2-24.html", "history/2026-02.html",
    }  # fmt: skip


def test_what_a_crash_cut_off_does_not_stop_a_run(batch: Batch) -> None:
    batch.validate(feed_contract.NAME, run_id="run-1")
    (history,) = (batch.docs_dir / "history").glob("*.ndjson")
    history.write_text(history.read_text() + '{"run_id": "cut o')
    (batch.docs_dir / "validations" / "kept.json").write_text('[{"something": "else"}]')
    batch.validate(feed_contract.NAME, run_id="run-2", run_time=RUN_TIME + timedelta(hours=1))
    month = (batch.docs_dir / "history" / "2026-03.html").read_text()
    assert month.index('<tr id="run-2">') < month.index('<tr id="run-1">')


def test_the_front_page_leads_to_the_auditors_page_once_it_is_there(batch: Batch) -> None:
    site = DocsSite(batch.docs_dir, TITLES)
    site.refresh()
    assert not batch.docs_dir.exists()
    batch.validate(feed_contract.NAME)
    assert "review.html" not in (batch.docs_dir / "index.html").read_text()
    (batch.docs_dir / "review.html").write_text("page")
    site.refresh()
    assert 'href="review.html"' in (batch.docs_dir / "index.html").read_text()


def test_two_run_ids_never_share_a_page() -> None:
    pages = {DocsSite.page_of(run_id, "suite") for run_id in ("a/b", "a-b", "a:b", "a b", "..", "", "ä", "é")}
    assert len(pages) == 8
    assert all(page.count("/") == 1 and ".." not in page for page in pages)


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_every_rule_says_what_it_protects_and_why(rule: Rule) -> None:
    assert rule.why.endswith(".")
    # A name of a column, or the title over again, is no reason.
    assert len(rule.why.split()) >= 12, rule.why
    assert rule.title.lower() not in rule.why.lower()


SILENT_RUN = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
from pathlib import Path
import expectations.runner
assert not {"great_expectations", "sqlalchemy", "pandas"} & set(sys.modules), "imported too early"
from test_expectations import Batch, judged
batch = Batch(Path(sys.argv[1]))
batch.connection.execute(judged("outcome = 'MAYBE'"))
batch.validate()
"""


def test_a_run_prints_nothing_and_uses_no_network(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SILENT_RUN, str(tmp_path)],
        env={"PYTHONPATH": f"{root}:{Path(__file__).parent}", "HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
