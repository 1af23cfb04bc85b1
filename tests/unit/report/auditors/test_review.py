"""The rules of the auditor's page: periods, the heat map, what is shown of a text, and what the figures come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from activity_audit.base.hours import HOUR
from activity_audit.base.shown_text import visible
from activity_audit.evidence.verify.findings import Finding, Report
from activity_audit.report.auditors import page
from activity_audit.report.auditors.collect import Review
from activity_audit.report.auditors.period import Period, default_period, ticks
from activity_audit.report.auditors.queries import LATENESS, Scope, queries
from activity_audit.report.auditors.verdicts import count, duration, share, verdicts
from activity_audit.report.heat import Cell, merged, rows, state_of
from activity_audit.settings.core import Settings
from activity_audit.warehouse.coverage import Coverage
from activity_audit.warehouse.lake import Snapshot
from activity_audit.warehouse.verdicts import Verdict, fresh
from expectations.results import ExpectationResult
from orchestration import checks

START = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def period(length: timedelta, start: datetime = START) -> Period:
    return Period(start, start + length)


def cell(hours: int = 1, missing: int = 0, incomplete: int = 0, quarantined: int = 0) -> dict[str, Any]:
    return {"hours": hours, "missing": missing, "incomplete": incomplete, "quarantined": quarantined}


def test_a_period_is_drawn_by_hour_up_to_a_month_and_by_day_above() -> None:
    assert (period(31 * DAY).unit, len(period(31 * DAY).slots)) == ("hour", 744)
    longer = period(31 * DAY + HOUR, START + 23 * HOUR)
    assert longer.unit == "day"
    assert longer.slots[0] == START
    assert longer.slots[-1] == START + 31 * DAY
    assert longer.hours == 745


def test_the_default_period_is_a_month_or_all_that_there_is() -> None:
    newest = START + 100 * DAY
    assert default_period(START, newest) == Period(newest + HOUR - 31 * DAY, newest + HOUR)
    assert default_period(newest - HOUR, newest) == Period(newest - HOUR, newest + HOUR)


def test_a_column_has_the_worst_state_of_its_hours() -> None:
    whole, in_part = Coverage(24, recorded=24), Coverage(24, unknown=1, recorded=23)

    def state(covered: Coverage, **counts: int) -> str:
        return state_of(Cell("a", START, **cell(**counts)), covered)

    assert state_of(None, Coverage()) == "none"
    assert state_of(None, Coverage(1, unknown=1)) == "unknown"
    assert state(whole, hours=24) == "balanced"
    assert state(in_part, hours=23) == "unknown"
    assert state(in_part, hours=24, incomplete=1) == "incomplete"
    assert state(whole, hours=24, incomplete=23, missing=1) == "missing"


def test_equal_neighbours_are_one_span() -> None:
    assert merged([]) == []
    assert merged(["balanced"] * 744) == [("balanced", 0, 744)]
    states = ["balanced", "balanced", "missing", "balanced", "none"]
    assert merged(states) == [("balanced", 0, 2), ("missing", 2, 3), ("balanced", 3, 4), ("none", 4, 5)]


def test_a_row_has_every_column_of_its_feed_and_no_other() -> None:
    times = [(START + hour * HOUR).replace(tzinfo=None) for hour in range(4)]
    cells = [
        {"feed": "a", "slot_utc": times[0], **cell()},
        {"feed": "a", "slot_utc": times[1], **cell(quarantined=2)},
        {"feed": "a", "slot_utc": times[2], **cell(quarantined=1)},
        {"feed": "b", "slot_utc": times[3], **cell(missing=1)},
    ]
    unknown = {("c", times[1]): Coverage(1, unknown=1)}
    a, b, c, d = rows("hour", times, [Cell(**cell) for cell in cells], unknown, ["d"])
    assert [mark.state for mark in a.marks] == ["balanced", "quarantined", "quarantined", "none"]
    assert [mark.is_refused for mark in a.marks] == [False, True, True, False]
    assert [mark.state for mark in b.marks] == ["none", "none", "none", "missing"]
    assert [mark.state for mark in c.marks] == ["none", "unknown", "none", "none"]
    assert not any(mark.is_refused for mark in c.marks + d.marks)


@pytest.mark.parametrize("length", [HOUR, 5 * HOUR, DAY, 47 * HOUR, 3 * DAY, 31 * DAY, 90 * DAY, 366 * DAY, 3000 * DAY])
@pytest.mark.parametrize("start", [START, START + 5 * HOUR])
def test_the_axis_has_a_few_marks_at_round_times(length: timedelta, start: datetime) -> None:
    asked = period(length, start)
    marks = ticks(asked)
    assert 1 <= len(marks) <= 13
    assert [mark.column for mark in marks] == sorted({mark.column for mark in marks})
    assert all(0 <= mark.column < len(asked.slots) for mark in marks)
    dates = [mark.label for mark in marks if "-" in mark.label]
    assert dates[0] == marks[0].label
    assert len(set(dates)) == len(dates)


def test_what_cannot_be_seen_is_named() -> None:
    assert visible("plain <b>text</b>") == "plain <b>text</b>"
    assert visible("Zoë 漢字 עברית") == "Zoë 漢字 עברית"
    assert visible("a\x00b\u202ec\ufeff") == "a⟨U+0000⟩b⟨U+202E⟩c⟨U+FEFF⟩"
    assert visible("a\nb\u00a0c\u2028") == "a⟨U+000A⟩b⟨U+00A0⟩c⟨U+2028⟩"
    assert visible("\ud800") == "⟨U+D800⟩"


def test_figures_in_words() -> None:
    assert (count(1, "feed hour"), count(2000, "feed hour")) == ("1 feed hour", "2,000 feed hours")
    assert (share(0, 10), share(1, 10**6), share(1, 3), share(1, 0)) == ("0.00%", "under 0.01%", "33.33%", "none")
    assert [duration(seconds) for seconds in (0.5, 59, 3600, 90_061)] == ["under 1 s", "59 s", "1 h", "1 d 1 h"]


def test_lateness_falls_into_the_bucket_that_is_named() -> None:
    (query,) = [query for query in queries(Scope(period(DAY))) if query.name == "late"]
    lates = [timedelta(seconds=1), HOUR, HOUR + timedelta(seconds=1), 6 * HOUR, DAY, 7 * DAY, 8 * DAY]
    hour = START.replace(tzinfo=None)
    with duckdb.connect() as connection:
        connection.execute(
            "create table fact_activity_event (feed varchar, feed_hour_utc timestamp, event_time_utc timestamp)"
        )
        connection.executemany(
            "insert into fact_activity_event values (?, ?, ?)",
            [("a", hour, hour - late) for late in [*lates, timedelta(0), -HOUR]] + [("a", hour - DAY, hour - 2 * DAY)],
        )
        found = {bucket: events for _, bucket, events, _ in connection.execute(query.sql).fetchall()}
    assert list(found) == [label for label, _ in LATENESS]
    assert list(found.values()) == [2, 2, 1, 1, 1]


def test_the_scope_is_part_of_every_condition() -> None:
    scope = Scope(period(DAY), ("qm", "search"))
    assert scope.condition("fact.") == (
        "fact.feed_hour_utc >= timestamp '2026-05-01 00:00:00' "
        "and fact.feed_hour_utc < timestamp '2026-05-02 00:00:00' and fact.feed in ('qm', 'search')"
    )
    of_feeds = [query for query in queries(scope) if query.name not in ("checks", "runs")]
    assert all("in ('qm', 'search')" in query.sql for query in of_feeds)


TOTALS = {
    "feed": "a", "hours": 24, "balanced": 24, "incomplete": 0, "missing": 0, "empty": 0, "received": 10, "accepted": 7,
    "duplicate": 2, "quarantined": 1, "offset_normalised": 0, "late": 0, "unbalanced": 0, "events": 7, "records": 1,
    "accepted_and_kept": 7, "quarantined_and_kept": 1, "resolved": 0, "deleted": 0,
}  # fmt: skip


def _covered(totals: dict[str, Any]) -> Coverage:
    hours = totals["hours"]
    return Coverage(24, unknown=24 - hours, recorded=hours, missing=totals["missing"], incomplete=totals["incomplete"])


def review(report: Report | None = None, drift: int = 0, **totals: int) -> Review:
    names = ("cells", "gaps", "reasons", "samples", "late", "checks", "runs")
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    answers["totals"] = [TOTALS | totals]
    answers["reasons"] = [
        {"reason": reason, "records": 2, "resolved": 0, "standing": standing, "feeds": standing}
        for reason, standing in (("b", 1), ("a", 0))
    ]
    answers["drift"] = [{"undocumented": "entity", "events": 3, "acknowledged_by": None} for _ in range(drift)]
    return Review(
        scope=Scope(period(DAY)),
        expected_feeds=("a",),
        snapshot=Snapshot(3, START, "run-1"),
        asked_for=None,
        made_at=START + 10 * DAY,
        queries=queries(Scope(period(DAY))),
        rows=answers,
        covered={("a", START.replace(tzinfo=None)): _covered(TOTALS | totals)},
        fresh=fresh(START.replace(tzinfo=None) + DAY, START + DAY, HOUR),
        integrity=report,
        not_verified=None if report else "Not checked: --no-verify was given.",
    )


def test_what_was_acknowledged_is_in_order() -> None:
    found = review(drift=3)
    assert verdict(found, "Catalogue drift").level == "look"
    found.rows["drift"][0]["acknowledged_by"] = "Ada"
    assert "Acknowledged besides: 1 name" in verdict(found, "Catalogue drift").answer
    for row in found.rows["drift"]:
        row["acknowledged_by"] = "Ada"
    assert (verdict(found, "Catalogue drift").level, verdict(found, "Catalogue drift").answer) == (
        "good", "Only what was acknowledged: 3 names.",
    )  # fmt: skip


def verdict(found: Review, area: str) -> Verdict:
    (one,) = [one for one in verdicts(found) if one.area == area]
    return one


@pytest.mark.parametrize(
    ("area", "changes", "level", "words"),
    [
        ("Completeness", {}, "good", "Yes. All 24 feed hours"),
        ("Completeness", {"missing": 2, "incomplete": 1}, "bad", "24 feed hours, 2 are missing and 1 is not what"),
        ("Completeness", {"hours": 20}, "unknown", " 4 of 24 feed hours of expected feeds are not known"),
        ("Completeness", {"hours": 0}, "unknown", "Nothing is recorded"),
        ("Balance", {"hours": 0}, "unknown", "Nothing is recorded"),
        ("Late arrivals", {"hours": 0}, "unknown", "Nothing is recorded"),
        ("Balance", {}, "good", "10 records received = 7 accepted + 2 duplicate + 1 quarantined"),
        ("Balance", {"unbalanced": 3}, "bad", "No. 3 feed hours do not add up"),
        ("Balance", {"accepted_and_kept": 5, "events": 5, "deleted": 2}, "good", "retention has deleted 2 feed hours"),
        ("Balance", {"events": 6}, "look", "the tables have 6 events"),
        ("Balance", {"records": 0}, "look", "0 quarantined records"),
        ("Quarantine", {"quarantined": 0, "received": 9}, "good", "Nothing was kept out"),
        ("Quarantine", {"quarantined": 0, "resolved": 2}, "good", "replays resolved 2 records that were kept out"),
        ("Quarantine", {"resolved": 1}, "look", "Replays resolved 1 more since"),
        ("Quarantine", {}, "look", "1 record (10.00% of what was received), kept whole, for 1 reason, most of all b."),
        ("Late arrivals", {}, "good", "No event came after"),
        ("Late arrivals", {"late": 4}, "look", "4 events of 7"),
        ("Checks", {}, "unknown", "No run of this period"),
        ("Integrity", {}, "unknown", "--no-verify"),
    ],
)  # fmt: skip
def test_what_the_figures_come_to(area: str, changes: dict[str, int], level: str, words: str) -> None:
    found = verdict(review(**changes), area)
    assert (found.level, words in found.answer) == (level, True), found.answer


def test_a_stopped_run_is_told_before_what_checks_found() -> None:
    found = review()
    check = {"failed": 1, "errors": 1}
    found.rows["checks"] += [check, check | {"failed": 0, "errors": 0}]
    assert (verdict(found, "Checks").level, verdict(found, "Checks").answer) == (
        "bad", "Nothing was stopped. Of 2 checks, at least once 1 came out as an error.",
    )  # fmt: skip
    found.rows["checks"][1] |= {"failed": 1}
    assert verdict(found, "Checks").answer.endswith("at least once 1 came out as an error and 1 as a warning only.")
    found.rows["checks"][0] |= {"errors": 0}
    assert verdict(found, "Checks").level == "look"
    found.rows["runs"] += [{"is_published": True}, {"is_published": False}]
    assert verdict(found, "Checks").level == "bad"
    assert verdict(found, "Checks").answer.startswith("1 run was stopped by its checks")


def test_only_errors_make_integrity_fail() -> None:
    report = Report(None, None, {"events": 7, "raw files": 1, "ledger entries": 2})
    assert verdict(review(report), "Integrity").answer.startswith(
        "Yes. The hashes of 7 events, 1 raw file and 2 ledger"
    )
    report.findings.append(Finding("landing", "changed", "a", "b", "warning"))
    assert verdict(review(report), "Integrity").level == "good"
    report.findings.append(Finding("fact", "changed", "a", "b"))
    assert (verdict(review(report), "Integrity").level, verdict(review(report), "Integrity").answer) == (
        "bad", "No. 1 finding. 1 warning besides.",
    )  # fmt: skip


def test_a_period_that_was_looked_at_in_part_is_not_known_to_be_complete() -> None:
    found = review(hours=2)
    part = Coverage(24, unknown=22, before=20, recorded=2, waiting=3)
    covered = replace(found, covered={("a", START.replace(tzinfo=None)): part})
    said = verdict(covered, "Completeness")
    assert said.level == "unknown"
    assert said.answer == (
        "Not known. The 2 feed hours with a record were delivered as their manifests say. 22 of 24 feed hours of "
        "expected feeds are not known: no run has looked at them since they ended; 20 of them are before the first "
        "that was loaded."
    )
    # What is known to be wrong is said first.
    wrong = {place: replace(part, missing=1) for place in covered.covered}
    worse = verdict(replace(review(hours=2, missing=1), covered=wrong), "Completeness")
    assert (worse.level, worse.answer[:36]) == ("bad", "No. Of 2 feed hours, 1 is missing. 2")


def test_long_tables_are_cut_and_say_where_the_rest_is(tmp_path: Path) -> None:
    found = review()
    hour = START.replace(tzinfo=None)
    gap = {"feed": "a", "status": "missing", "from_utc": hour, "to_utc": hour, "hours": 1, "detail": None}
    found.rows["gaps"] += [gap] * (page.MOST["gaps"] + 5)
    text = page.render(found, tmp_path, tmp_path / "review.html")
    assert text.count("nothing was delivered</td>") == page.MOST["gaps"]
    assert 'And 5 more: <a href="#query-gaps">' in text


def test_a_page_waits_for_no_run(settings: Settings) -> None:
    """A run that is under way brings the data docs up to date itself."""
    settings.home.mkdir()
    with FileLock(settings.warehouse_lock):
        page.write(review(), settings, settings.review_file)
    assert settings.review_file.exists()
    assert not (settings.docs_dir / "index.html").exists()


def test_the_figures_of_a_busy_month_stay_small(tmp_path: Path) -> None:
    """Every second hour another state: as many rectangles as there can be."""
    month = period(31 * DAY)
    found = review()
    feeds = [f"feed_{number}" for number in range(16)]
    cells = [
        {"feed": feed, "slot_utc": slot.replace(tzinfo=None), **cell(missing=index % 2, quarantined=index % 2)}
        for feed in feeds
        for index, slot in enumerate(month.slots)
    ]
    drawn = replace(found, scope=Scope(month), rows=found.rows | {"cells": cells}, expected_feeds=tuple(feeds))
    text = page.render(drawn, tmp_path, tmp_path / "review.html")
    assert text.count("<rect") > 744 * 16
    assert len(text) < 2_000_000


def test_dagster_leads_to_the_pages(settings: Settings) -> None:
    result = ExpectationResult(
        "run-1", "conformance", "event_id_is_not_null", "t", None, "error", True, True, 1, 0, "[]",
        "validations/run-1.html#conformance",
    )  # fmt: skip
    (before,) = checks.results(settings, [result])
    assert before.metadata["data_docs"].value == str(settings.docs_dir / "validations" / "run-1.html")
    assert "review" not in before.metadata
    settings.docs_dir.mkdir(parents=True)
    settings.review_file.write_text("page")
    (after,) = checks.results(settings, [result])
    assert after.metadata["review"].value == str(settings.review_file)
