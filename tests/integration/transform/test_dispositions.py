"""Real files through the whole pipeline: every record ends as exactly one of accepted, duplicate, quarantined."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from activity_audit.settings.core import Settings, load_settings
from tests.integration.support import HOUR, begin, deliver, dump, event, lines, one, query, run

REAL_EVENTS = (
    Path(os.environ.get("AUDIT_TEST_REAL_EVENTS", Path(__file__).parents[4] / "shared/data/real_events"))
    / "2023-07-10T11.ndjson"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three feeds in one run: every format, every reason for quarantine, and strange records.

    Its path has every character that SQL, URLs and glob patterns care for.
    """
    folder = tmp_path_factory.mktemp("dispositions") / "a 'home' [x] %41 #1 \u00e9*"
    settings = load_settings(home=folder, feed_url=str(folder / "landing"), max_record_bytes=600_000)
    _deliver_every_format(settings)
    records = [event("first"), *(record for group in REASONS.values() for record in group)]
    deliver(settings, lines([*records, event("both", outcome="MAYBE", entity="")]), feed="qm")
    deliver(settings, lines(STRANGE), "it's [1].ndjson", feed="wfm")
    run(settings)
    return settings


def _counted(settings: Settings, feed: str) -> tuple[int, int, int, int]:
    """How many records of a feed were received, and became each of the three."""
    columns = "received, accepted, duplicate, quarantined"
    (counts,) = query(settings, f"select {columns} from quality.feed_reconciliation where feed = '{feed}'")
    return counts


def _deliver_every_format(settings: Settings) -> None:
    report_row = (
        "Event Time (UTC),Event ID,Triggered By,Entity,Instance,Activity,Outcome,Application,Comments\n"
        '"5/1/2026 10:05:09 AM","csv-report","c.d","Search","i","Search query","success","Search","two\nlines"\n'
    )
    snake = {"event_id": "snake", "event_time": "2026-05-01T10:00:00.123456789Z", "entity": "Search",
             "ACTIVITY": "Search query", "outcome": " failure ", "extra": {"kept": 1}}  # fmt: skip
    deliver(settings, lines([event("ndjson"), snake]), "a.ndjson")
    deliver(settings, gzip.compress(lines([event("gz")])), "b.jsonl.gz")
    deliver(settings, zstandard.compress(lines([event("zst")])), "c.ndjson.zst")
    deliver(settings, json.dumps([event("array-1"), event("array-2")]).encode(), "d.json")
    deliver(settings, json.dumps({"links": {"self": "x"}, "values": [event("page")]}, indent=2).encode(), "e.json")
    deliver(settings, lines([event("line-1"), event("line-2")]), "f.json")
    deliver(settings, report_row.encode(), "g.csv")
    deliver(settings, b"eventId,eventTime,entity,activity,outcome\ncsv,2026-05-01T10:00Z,Search,s,SUCCESS\n", "h.csv")
    table = pa.table({name: [value] for name, value in event("parquet").items()})
    pq.write_table(table, deliver(settings, b"", "i.parquet"))
    # A leap second, and the end of a day.
    ends = {"leap": "2026-04-30T23:59:60Z", "end": "2026-04-30T24:00Z"}
    deliver(settings, lines([event(name, eventTime=time) for name, time in ends.items()]), "j.ndjson")


def test_every_format_spelling_and_compression_is_read(home: Settings) -> None:
    assert _counted(home, "search") == (14, 14, 0, 0)
    assert one(home, "select status from quality.feed_reconciliation where feed = 'search'") == "balanced"
    found = dict(query(home, "select event_id, event_time_utc::varchar from fact_activity_event"))
    assert found["snake"] == "2026-05-01 10:00:00.123456"
    assert found["csv-report"] == "2026-05-01 10:05:09"
    assert found["leap"] == found["end"] == "2026-05-01 00:00:00"
    assert one(home, "select outcome from fact_activity_event where event_id = 'snake'") == "FAILURE"
    raw = [pq.read_table(path) for path in (home.raw_dir / "search").rglob("*.parquet")]
    assert sum('"kept": 1' in str(record) for table in raw for record in table["record"].to_pylist()) == 1


REASONS = {
    "unparseable": ["no json", "[1]", b'{"eventId": "\xff"}', '{"eventId": "x",}'],
    "too_large": [json.dumps(event("large", comments="x" * 700_000))],
    "missing_event_id": [event("", comments="blank"), event("x", eventId=...), event("x", eventId=None)],
    "missing_event_time": [event("t1", eventTime=...), event("t2", eventTime=" \u00a0")],
    "missing_entity": [event("e1", entity=...)],
    "missing_activity": [event("a1", activity="")],
    "missing_outcome": [event("o1", outcome=None)],
    "invalid_event_time": [
        event("t3", eventTime="5/1/2026 10:00:00 AM"),
        event("t4", eventTime="2026-02-30T00:00:00Z"),
    ],
    "event_time_zone_unknown": [event("t5", eventTime="2026-05-01T10:00:00")],
    "event_time_in_future": [event("t6", eventTime="2026-05-01T12:00:00.000001Z")],
    "invalid_outcome": [event("o2", outcome="OK")],
    "event_id_conflict": [event("first", comments="other content")],
}


def test_every_reason_for_quarantine(home: Settings) -> None:
    refused = "from quality.quarantined_event where feed = 'qm'"
    counts = dict(query(home, f"select reason, count(*) from (select unnest(reasons) as reason {refused}) group by 1"))
    expected = {reason: len(group) for reason, group in REASONS.items()}
    expected["missing_entity"] += 1
    expected["invalid_outcome"] += 1
    assert counts == expected
    assert one(home, f"select reasons {refused} and event_id = 'both'") == ["missing_entity", "invalid_outcome"]
    assert one(home, "select string_agg(event_id, ',') from fact_activity_event where feed = 'qm'") == "first"
    kept = query(home, f"select source_record, record, record_bytes, record_length {refused}")
    by_position = {row[0]: row[1:] for row in kept}
    assert by_position[2][0] == "no json"
    assert bytes(by_position[4][1]) == b'{"eventId": "\xff"}'
    assert by_position[6][2] > 700_000


def test_duplicates_conflicts_and_warnings(settings: Settings) -> None:
    deliver(settings, lines([event("a"), event("a"), event("b", eventTime="2026-05-01T12:15:00+02:00")]))
    deliver(settings, lines([event("a", eventTime="2026-05-01T10:15:00.000+00:00")]), feed="qm")
    run(settings)
    alias = event("c", application="QM (quality management)")
    unknown = event("e", entity="Unheard Of")
    deliver(
        settings,
        lines([event("a"), event("a", outcome="FAILURE"), alias, event("d", application=""), unknown]),
        hour=1,
    )
    run(settings, 1)
    rows = query(
        settings,
        "select feed, feed_hour_utc::varchar, received, accepted, duplicate, quarantined, offset_normalised, late "
        "from quality.feed_reconciliation where files > 0 order by feed_hour_utc, feed",
    )
    # The feed `qm` sorts before `search`, so it delivered `a` first.
    assert rows == [
        ("qm", "2026-05-01 10:00:00", 1, 1, 0, 0, 0, 0),
        ("search", "2026-05-01 10:00:00", 3, 1, 2, 0, 1, 0),
        ("search", "2026-05-01 11:00:00", 5, 3, 1, 1, 0, 3),
    ]
    applications = dict(query(settings, "select event_id, application from fact_activity_event"))
    assert applications == {"a": "Search", "b": "Search", "c": "QM", "d": "Search", "e": "Search"}
    drift = query(settings, "select entity, undocumented, event_count from quality.catalogue_drift order by 1")
    assert ("Unheard Of", "entity", 1) in drift


CONTRACT = {
    "fact_activity_event": {
        "VARCHAR": "event_id application entity activity instance triggered_by comments outcome entity_activity_key "
        "event_time_source feed source_uri run_id",
        "TIMESTAMP": "event_time_utc event_hour_utc feed_hour_utc ingested_at_utc",
        "BIGINT": "source_record",
    },
    "dim_entity_activity": {
        "VARCHAR": "entity_activity_key application entity activity provenance",
        "TIMESTAMP": "first_seen_utc last_seen_utc",
        "BOOLEAN": "is_documented",
        "BIGINT": "event_count",
    },
    "dim_application": {
        "VARCHAR": "application display_name slug",
        "TIMESTAMP": "last_event_time_utc last_feed_hour_utc",
        "BOOLEAN": "in_report_prompt",
    },
    "agg_activity_hourly": {
        "VARCHAR": "application entity activity outcome",
        "TIMESTAMP": "event_hour_utc",
        "BIGINT": "event_count",
    },
    "quality.feed_reconciliation": {
        "VARCHAR": "feed status sha256 detail run_id",
        "TIMESTAMP": "feed_hour_utc reconciled_at_utc deleted_at_utc",
        "BIGINT": "declared received accepted duplicate quarantined offset_normalised late files bytes "
        "undeclared_files",
    },
    "quality.quarantined_event": {
        "VARCHAR": "feed source_uri delivery_id event_id record record_sha256 run_id",
        "VARCHAR[]": "reasons",
        "TIMESTAMP": "feed_hour_utc quarantined_at_utc resolved_at_utc",
        "BIGINT": "source_record record_length",
        "BLOB": "record_bytes",
    },
    "quality.catalogue_drift": {
        "VARCHAR": "application entity activity undocumented entity_activity_key acknowledged_by acknowledgement",
        "DATE": "acknowledged_on",
        "TIMESTAMP": "first_seen_utc last_seen_utc",
        "BIGINT": "event_count",
    },
}


def test_the_tables_are_what_the_contract_says(settings: Settings) -> None:
    begin(settings)
    for table, groups in CONTRACT.items():
        columns = query(settings, f"select column_name, column_type from (describe {table})")
        assert dict(columns) == {name: kind for kind, names in groups.items() for name in names.split()}, table
    report = query(settings, "describe activity_audit_report")
    assert [row[0] for row in report] == [
        "Event Time (UTC)", "Event ID", "Triggered By", "Entity", "Instance", "Activity", "Outcome", "Application",
        "Comments",
    ]  # fmt: skip
    assert one(settings, "select count(*) from dim_application where in_report_prompt") == 16
    assert one(settings, "select count(*) from dim_entity_activity where is_documented") == 131


@pytest.mark.skipif(not REAL_EVENTS.exists(), reason="the real events are not on this machine")
def test_real_events_are_all_accepted_and_reported_as_undocumented(settings: Settings) -> None:
    target = Path(settings.feed_root) / "unattributed/2023-07-10/11/events.ndjson"
    target.parent.mkdir(parents=True)
    target.write_bytes(REAL_EVENTS.read_bytes())
    from datetime import UTC, datetime

    first = int((datetime(2023, 7, 10, 11, tzinfo=UTC) - HOUR).total_seconds() // 3600)
    outcome = run(settings, first)
    assert outcome.totals["accepted"] == outcome.totals["received"] == 798
    assert query(settings, "select distinct application, undocumented from quality.catalogue_drift") == [
        ("AWS CloudTrail", "application")
    ]
    assert one(settings, "select sum(event_count)::int from quality.catalogue_drift") == 798


@pytest.mark.slow
def test_running_again_changes_nothing(settings: Settings) -> None:
    deliver(settings, lines([event("a"), event("a"), "broken", event("b", outcome="?")]))
    run(settings)
    before = dump(settings, set())
    run(settings)
    assert dump(settings, set()) == before


USUAL = '"eventTime":"2026-05-01T10:00:00Z","entity":"Search","activity":"Search query","outcome":"SUCCESS"'
STRANGE = [
    f'{{"eventId":"surrogate","comments":"\\ud800",{USUAL}}}',
    f'{{"eventId":"nul\\u0000",{USUAL}}}',
    f'{{"\\ud800":1,"eventId":"key",{USUAL}}}',
    f'{{"eventId":NaN,{USUAL}}}',
    f'{{"eventId":1e999,{USUAL}}}',
    f'{{"eventId":"twice","eventId":"again",{USUAL}}}',
    f'{{"":0,"a/b":1,"~":2,"$.x":3,"EVENTID":"keys",{USUAL}}}',
    f'{{"eventId":"deep","x":{"[" * 5000}{"]" * 5000},{USUAL}}}',
    event("first-moment", eventTime="0001-01-01T00:00:00Z"),
    event("before-time", eventTime="0001-01-01T00:00:00+14:00"),
    event("after-time", eventTime="9999-12-31T23:59:60Z"),
    event("year", eventTime="294247-01-01T00:00:00Z"),
    event("number", eventTime=1714557600),
    event(True, outcome=["SUCCESS"]),
    event("punctuation", application="!!!", entity="!!!", activity="\u0301"),
    event("long", comments="9" * 500_000),
    event("\u00e9"),
    event("e\u0301"),
    '{"a":1}{"b":2}',
    "\x00",
]


def test_no_record_is_strange_enough_to_stop_a_run_or_to_be_lost(home: Settings) -> None:
    received, *became = _counted(home, "wfm")
    assert received == sum(became) == len(STRANGE)
    accepted = {row[0] for row in query(home, "select event_id from fact_activity_event where feed = 'wfm'")}
    assert accepted >= {"nul\x00", "keys", "deep", "first-moment", "punctuation", "long", "\u00e9"}
    assert became[1] == 1  # the same letter, composed and decomposed
    assert not accepted & {"surrogate", "before-time", "after-time", "year", "number"}
    before = dump(home, set())
    run(home)
    assert dump(home, set()) == before
