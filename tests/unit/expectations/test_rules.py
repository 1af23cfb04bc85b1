"""The rules of both suites: each has at least one defect here that must make it fail, and it alone."""

from __future__ import annotations

import json

import pytest

from expectations import conformance, feed_contract
from expectations.rules import Rule
from tests.unit.expectation_batch import UNREADABLE, Batch, all_rules, failed, judged, reconciled, staged

FEED_CONTRACT_DEFECTS = [
    (judged(UNREADABLE), {"record_is_readable"}),
    (judged("repeats_field = true"), {"field_is_named_once"}),
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
    (
        "insert into work.raw.set_aside values ('a', '2026-03-01 05:00', 'x', 'file:///x', 'it is no file', false); "
        + reconciled("status = 'incomplete'"),
        {"every_delivery_could_be_processed"},
    ),
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
    "insert into work.raw.set_aside values ('a', '2026-03-01 05:00', 'x', 'file:///x', 'it was no file', true)",
    staged("event_time_source = replace(event_time_source, 'T', ' ')"),
    "insert into work.raw.delivery values ('empty', 'a', '2026-03-01 05:00', 'x', 0)",
    staged(LATER.replace("07:00:01", "07:00:00")),
]


def test_a_good_batch_passes_everything(batch: Batch) -> None:
    results = batch.check()
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
    results = batch.check(suite)
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
    assert failed(batch.check(conformance.NAME)) == set()


def test_an_id_that_shares_its_key_with_a_published_one_is_new(batch: Batch) -> None:
    batch.connection.execute("insert into audit.main.fact_activity_event select * replace ('zz' as event_id) "
                             "from work.main.fact_activity_event where event_id = 'a7'")  # fmt: skip
    batch.connection.execute("insert into audit.quality.known_event_id values (2, '2026-03-01 05:00')")
    assert failed(batch.check(conformance.NAME)) == set()
    batch.connection.execute("update audit.main.fact_activity_event set event_id = 'a9' where event_id = 'zz'")
    assert failed(batch.check(conformance.NAME)) == {"event_id_is_not_published_yet"}


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_every_rule_says_what_it_protects_and_why(rule: Rule) -> None:
    assert rule.why.endswith(".")
    # A name of a column, or the title over again, is no reason.
    assert len(rule.why.split()) >= 12, rule.why
    assert rule.title.lower() not in rule.why.lower()
