"""The promises that readers rely on: nothing unchecked, nothing half done, the same whatever the order."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activity_audit.base.hours import iso, now_utc
from activity_audit.dbt_runner import project
from activity_audit.pipeline import run as pipeline
from activity_audit.pipeline.stages import ChecksFailedError
from activity_audit.publish import publish as publication
from activity_audit.raw.index import INDEX_NAME
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake
from tests import warm_process
from tests.integration.support import (
    HOUR,
    audit,
    begin,
    deliver,
    dump,
    event,
    events,
    lines,
    one,
    process_environment,
    query,
    run,
)


def test_a_failed_blocking_check_publishes_nothing_and_the_next_run_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(settings)
    before = dump(settings, set())
    deliver(settings, lines([event("late-1"), event("late-2")]), hour=1)
    build = project.build

    def break_outcomes(prepare, target, **options):  # type: ignore[no-untyped-def]
        """A release whose SQL lets a wrong outcome through."""
        import duckdb

        built = build(prepare, target, **options)
        with duckdb.connect() as connection:
            prepare(connection)
            rows = "select * replace ('PERHAPS' as outcome) from work.main.broken"
            connection.execute("create table work.main.broken as select * from work.main.fact_activity_event")
            connection.execute(f"create or replace view work.main.fact_activity_event as {rows}")
        return built

    monkeypatch.setattr(project, "build", break_outcomes)
    with pytest.raises(ChecksFailedError, match="outcome"):
        run(settings, 1)
    assert dump(settings, set()) == before
    index = (settings.docs_dir / "index.html").read_text()
    assert list(_shown_as(settings).values()) == ["no", "yes"], index
    failed = query(settings, "select expectation from quality.validation_result where is_blocking and not success")
    assert [row[0] for row in failed] == ["outcome_is_success_or_failure"]
    monkeypatch.setattr(project, "build", build)
    run(settings, 1)
    assert [row[0] for row in events(settings)] == ["a", "late-1", "late-2"]


@pytest.mark.slow
def test_a_raw_file_that_lost_records_blocks_until_it_is_mended(settings: Settings) -> None:
    """From the command line: exit code 1, the check is named, readers see what they saw; then all is published."""
    begin(settings)
    before = dump(settings, set())
    deliver(settings, lines([event("b"), event("c")]), hour=1)
    window = (HOUR + timedelta(hours=1), HOUR + timedelta(hours=2))
    pipeline.land_feeds(settings, ["search"], window)

    def pretend(change: int) -> None:
        with sqlite3.connect(settings.raw_dir / INDEX_NAME) as index:
            index.execute("update delivery set records = records + ? where feed_hour like '2026-05-01T11%'", [change])

    pretend(+1)
    blocked = audit(settings, "run", check=False)
    assert blocked.returncode == 1
    assert "blocking checks failed" in blocked.stderr
    assert dump(settings, set()) == before
    assert audit(settings, "status", check=False).returncode == 1
    pretend(-1)
    run(settings, 1)
    assert [row[0] for row in events(settings)] == ["a", "b", "c"]


HOURS = 3


def _deliver_history(settings: Settings) -> None:
    """Three hours of two feeds: events sent again in a later hour, a conflict within an hour, a late event."""
    for hour in range(HOURS):
        at = f"2026-05-01T1{hour}:20:00Z"
        own = [event(f"s{hour}-{n}", eventTime=at) for n in range(3)]
        again = [event("s0-0", eventTime="2026-05-01T10:20:00Z"), event(f"s{hour}-1", eventTime=at)]
        conflict = [event(f"s{hour}-2", eventTime=at, comments="other")]
        deliver(settings, lines([*own, *again, *conflict, "junk"]), hour=hour)
        deliver(settings, lines([event(f"q{hour}", application="QM", eventTime="2026-05-01T09:00:00Z")]),
                feed="qm", hour=hour)  # fmt: skip


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list, dict]:
    """The history run as one range: what every other order is compared with."""
    folder = tmp_path_factory.mktemp("in-order")
    settings = load_settings(home=folder, feed_url=str(folder / "landing"))
    _deliver_history(settings)
    run(settings, 0, HOURS)
    return settings, events(settings), dump(settings)


ranges = st.lists(
    st.tuples(st.integers(0, HOURS - 1), st.integers(1, HOURS)).map(lambda r: (r[0], min(r[1], HOURS - r[0]))),
    min_size=1,
    max_size=3,
)


@hypothesis_settings(phases=[Phase.explicit], deadline=None, suppress_health_check=list(HealthCheck))
@example(plan=[(0, 1), (1, 2)])
@example(plan=[(2, 1), (0, 2)])
@given(plan=ranges)
def test_any_order_of_runs_gives_the_same_events(tmp_path_factory, in_order, plan) -> None:  # type: ignore[no-untyped-def]
    # Each of these plans has every hour.
    _same_events(tmp_path_factory, in_order, plan)


@pytest.mark.slow
@hypothesis_settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@example(plan=[(2, 1), (0, 2), (1, 2)])
@given(plan=ranges)
def test_many_orders_of_runs_give_the_same_events(tmp_path_factory, in_order, plan) -> None:  # type: ignore[no-untyped-def]
    _same_events(tmp_path_factory, in_order, [*plan, (0, HOURS)])


def _same_events(tmp_path_factory, in_order, plan) -> None:  # type: ignore[no-untyped-def]
    first, expected, tables = in_order
    folder = tmp_path_factory.mktemp("any-order")
    settings = load_settings(home=folder, feed_url=first.feed_root)
    for start, hours in plan:
        run(settings, start, hours)
    assert events(settings) == expected
    if [hour for start, hours in plan for hour in range(start, start + hours)] == list(range(HOURS)):
        # A range is its hours in order, so even lineage and every count are the same.
        assert dump(settings) == tables


@pytest.mark.slow
def test_every_run_is_a_snapshot_that_can_be_asked_for(settings: Settings) -> None:
    first = begin(settings)
    between = iso(now_utc())
    deliver(settings, lines([event("b")]), hour=1)
    second = run(settings, 1)
    third = run(settings, 1)
    count = "select count(*) from fact_activity_event"
    assert [one(settings, count, at) for at in (first, between, second.run_id, third.run_id)] == [1, 1, 2, 2]
    with pytest.raises(lake.WarehouseError, match="names no snapshot"), lake.reader(settings, str(uuid4())):
        pass


@pytest.mark.slow
def test_the_cost_of_judging_follows_the_batch(settings: Settings) -> None:
    """What a run stages is its own deliveries; nothing published before is judged or staged again."""
    deliver(settings, lines([event(f"old-{n}") for n in range(500)]))
    run(settings)
    deliver(settings, lines([event("new", eventTime="2026-05-01T11:00:00Z")]), hour=1)
    outcome = run(settings, 0, 2)
    assert outcome.totals["received"] == 1
    evaluated = {check.expectation: check.evaluated_count for check in outcome.checks}
    assert evaluated["event_id_is_unique_in_the_batch"] == 1
    assert max(evaluated.values()) < 500


def test_data_docs_that_cannot_be_written_stop_no_publication(settings: Settings) -> None:
    deliver(settings, lines([event("a")]))
    settings.docs_dir.write_text("a file where the folder should be")
    done = audit(settings, "run", "--from", iso(HOUR), "--to", iso(HOUR + timedelta(hours=1)))
    assert one(settings, "select count(*) from fact_activity_event") == 1
    assert "warning: the data docs have no page for this run, because " in done.stdout


@pytest.mark.slow
def test_the_data_docs_show_what_the_warehouse_holds(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that did not publish is not shown as if it had; a page that a killed run left out comes with the next."""
    deliver(settings, lines([event("a")]))
    publish = publication.publish

    def lost(*_: object) -> None:
        raise lake.WarehouseError("the catalog is gone")

    monkeypatch.setattr(publication, "publish", lost)
    with pytest.raises(lake.WarehouseError, match="is gone"):
        run(settings)
    assert not list(settings.docs_dir.glob("**/*.html"))
    monkeypatch.setattr(publication, "publish", publish)
    killed = """
import os, sys
from activity_audit.publish import data_docs
from tests.integration.support import run
from activity_audit.settings.core import load_settings
data_docs.complete = lambda *_: os._exit(9)
run(load_settings())
"""
    done = warm_process.run([sys.executable, "-c", killed], env=process_environment(settings))
    assert done.returncode == 9
    first = one(settings, "select run_id from quality.pipeline_run")
    assert not list(settings.docs_dir.glob("**/*.html"))
    audit(settings, "review", "--no-verify")
    assert _shown_as(settings) == {first: "yes"}
    assert 'href="review.html"' in (settings.docs_dir / "index.html").read_text()
    shutil.rmtree(settings.docs_dir)
    deliver(settings, lines([event("b")]), hour=1)
    second = run(settings, 1).run_id
    assert _shown_as(settings) == {second: "yes", first: "yes"}
    rows = query(settings, "select docs_link, title from quality.validation_result")
    for link, title in rows:
        assert title in (settings.docs_dir / link.partition("#")[0]).read_text()


def test_docs_of_an_earlier_release_are_held_against_the_warehouse(settings: Settings) -> None:
    """They were written before the transaction, and some of their runs published nothing."""
    first = begin(settings)
    kept = settings.docs_dir / "validations/kept.json"
    (written,) = json.loads(kept.read_text())
    written["suites"] = []
    kept.write_text(json.dumps([written | {"run_id": "never-published"}, written]))
    (settings.docs_dir / "validations/never-published.html").write_text("All passed")
    deliver(settings, lines([event("b")]), hour=1)
    second = run(settings, 1).run_id
    assert _shown_as(settings) == {second: "yes", first: "yes"}
    assert "its line in the history" in (settings.docs_dir / "validations/never-published.html").read_text()
    (history,) = (settings.docs_dir / "history").glob("*.html")
    assert re.findall('<tr id="(.*?)">', history.read_text()) == [second, first]


def _shown_as(settings: Settings) -> dict[str, str]:
    """Whether each run of the data docs' front page published, as it says."""
    index = (settings.docs_dir / "index.html").read_text()
    rows = re.findall(r"<td>([^<]*|<span[^<]*</span>)</td><td><code>(.*?)</code>", index)
    return {run_id: re.sub("<.*?>", "", said).strip() for said, run_id in rows}
