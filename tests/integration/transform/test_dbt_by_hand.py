"""dbt by hand, as a person uses it who looks into one record: real processes of `audit dbt` on a landed hour."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from activity_audit.base.catalogue import DBT_PROJECT_DIR
from activity_audit.dbt_runner import project
from activity_audit.pipeline.run import land_feeds
from activity_audit.settings.core import Settings
from activity_audit.transform import by_hand
from tests.integration.support import HOUR, audit, deliver, event, lines, query, run

VARS = ("--vars", "{hour: 2026-05-01T10, feed: search}")


@pytest.fixture
def landed(settings: Settings) -> Settings:
    """A new home in which an hour is landed, and nothing was ever judged or published."""
    odd = event("odd", entity=..., ENTITY=" Chat ", eventTime="yesterday")
    deliver(settings, lines([event("good"), odd]), "a.ndjson")
    deliver(settings, lines([event("other hour")]), hour=1)
    land_feeds(settings, ["search"], (HOUR, HOUR + timedelta(hours=2)))
    return settings


def _dbt(settings: Settings, *arguments: str) -> Any:
    """What `audit dbt show` shows, or nothing of another command."""
    done = audit(settings, "dbt", "--quiet", *arguments, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["show"] if arguments[0] == "show" else None


def test_a_landed_record_is_shown_as_dbt_reads_it(landed: Settings) -> None:
    before = {path: path.stat().st_mtime_ns for path in (DBT_PROJECT_DIR, *DBT_PROJECT_DIR.rglob("*"))}
    rows = _dbt(landed, "show", "-s", "stg_record", *VARS, "--output", "json")
    assert [(row["source_record"], row["event_id"], row["entity"], row["event_time"]) for row in rows] == [
        (1, "good", "Search", "2026-05-01T10:15:00Z"), (2, "odd", "Chat", "yesterday")
    ]  # fmt: skip
    # It writes into the home, and not into the sources.
    assert (landed.home / "dbt/dbt.log").exists()
    assert {path: path.stat().st_mtime_ns for path in (DBT_PROJECT_DIR, *DBT_PROJECT_DIR.rglob("*"))} == before


@pytest.mark.slow
def test_a_record_is_judged_step_by_step_and_another_hour_begins_anew(landed: Settings) -> None:
    build = ("build", "-s", "+int_judged_record", "--exclude-resource-type", "unit_test", *VARS)
    query_one = "select disposition, reasons from {{ ref('int_judged_record') }} where event_id = 'odd'"
    for _ in range(2):
        _dbt(landed, *build)
        (row,) = _dbt(landed, "show", "--inline", query_one, *VARS, "--output", "json")
        assert row["disposition"] == "quarantined"
        assert "invalid_event_time" in str(row["reasons"])
    rows = _dbt(landed, "show", "-s", "stg_record", "--vars", "{hour: '2026-05-01T11:30:00Z'}", "--output", "json")
    assert [row["event_id"] for row in rows] == ["other hour"]
    kept = [path.name for path in landed.dbt_dir.glob("hour-*")]
    assert kept == ["hour-2026-05-01T11-all.duckdb"]


@pytest.mark.slow
def test_the_tests_of_the_published_tables_look_at_them(settings: Settings) -> None:
    deliver(settings, lines([event("a"), event("b")]))
    run(settings)
    _dbt(settings, "test", "-s", "marts", "quality", "--target", "published", "--exclude-resource-type", "unit_test")
    counted = "select count(*) as n from {{ ref('fact_activity_event') }}"
    assert _dbt(settings, "show", "--inline", counted, "--target", "published", "--output", "json") == [{"n": 2}]
    assert query(settings, "select count(*) from fact_activity_event") == [(2,)]


@pytest.mark.parametrize(
    ("hour", "feed", "message"),
    [
        ("2026-05-01T09", "", "nothing of any feed is landed for the hour 2026-05-01T09; `audit run` lands it"),
        ("2026-05-01T10", "qm", "nothing of qm is landed"),
        ("2026-05-01T10", "nowhere", "no feed is named 'nowhere'; the feeds are .*search"),
        ("noon", "", "the variable hour: 'noon' is "),
    ],
)
def test_what_is_not_landed_is_named_in_one_sentence(landed: Settings, hour: str, feed: str, message: str) -> None:
    project.manifest()
    with duckdb.connect() as connection, pytest.raises(by_hand.ByHandError, match=message):
        by_hand.attach(connection, landed, hour, feed)


@pytest.mark.slow
def test_an_error_of_a_person_is_shown_without_a_traceback(landed: Settings) -> None:
    done = audit(landed, "dbt", "show", "-s", "stg_record", "--vars", "{hour: 2026-05-01T09}", check=False)
    assert done.returncode != 0
    assert "nothing of any feed is landed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
