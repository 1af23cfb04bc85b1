"""Runs that several workers do together: they publish what one process does, row by row, and nothing is doubled."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activity_audit.base import catalogue
from activity_audit.evidence.verify.verify import verify
from activity_audit.ingest.landing import open_index
from activity_audit.pipeline import distributed, replay, run, run_in_parts, stages, worker, workers
from activity_audit.pipeline.replay_report import Report
from activity_audit.pipeline.stages import Outcome
from activity_audit.pipeline.workers import Workers
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import Settings, load_settings
from activity_audit.transform import parts, steps
from activity_audit.transform.exchange import Exchange, Handed
from activity_audit.upkeep.maintenance import Allowed, maintain
from activity_audit.warehouse import lake
from activity_audit.warehouse.transactions import PublishedMeanwhileError
from tests.integration.postgres_server import PostgresServer
from tests.integration.support import HOUR, VOLATILE, deliver, dump, event, lines, query
from tests.integration.support import run as run_hours
from tests.integration.upkeep.test_maintenance import age
from tests.made_once import made_once

WINDOW = (HOUR, HOUR + timedelta(hours=4))
NOW = datetime(2026, 5, 1, 20, tzinfo=UTC)
RUN_ID = "aaaaaaaa-0000-4000-8000-00000000000{}"
SOON = "2026-05-01T15:30:00Z"


def land_history(settings: Settings) -> None:
    """A published hour, and three more that are only landed, with all that parts have in common."""
    deliver(settings, lines([event(f"old-{n}", comments=f"comment {n}") for n in range(30)]))
    run_hours(settings)
    for hour in range(1, 4):
        for feed in ("search", "qm"):
            new = [
                event(f"{feed}-{hour}-{n}", eventTime=f"2026-05-01T{10 + hour}:{n:02}:00Z", activity=f"Act {n % 3}")
                for n in range(30)
            ]
            shared = [
                # The same in every part, and in the history; and others that say something else there.
                event("old-1", comments="comment 1"),
                event("old-2", comments=f"another {feed} {hour}"),
                event("met", comments="the same"),
                event("fought", comments=f"{feed} {hour}"),
                event("late", eventTime="2026-04-02T00:00:00+02:00", comments=f"{hour}"),
                # The first of them is not valid, so that the second is the event.
                event("second", outcome="MAYBE" if (hour, feed) == (1, "qm") else "SUCCESS"),
                event(f"soon-{feed}", eventTime=SOON, comments=f"{hour}"),
                event("soon", eventTime=SOON, application="search"),
                event("\u0000'odd\" \U0001f600", comments="x" * 3000, instance="\u0000"),
                "junk",
                f"junk {feed} {hour}",
            ]
            deliver(settings, lines([*shared[hour:], *new, *shared[:hour]]), feed=feed, hour=hour)
    deliver(settings, b"", "empty.ndjson", hour=3)
    run.land_feeds(settings, catalogue.slugs(), WINDOW)


class InProcess(Workers):
    """Workers that are this process: what they make is the same, and they take no time to start."""

    def do(self, step: str, parts: Sequence[int], *arguments: Any) -> None:
        exchange, *others = arguments
        for part in parts:
            worker.STEPS[step](self._settings, exchange, part, *others)


class Twice(InProcess):
    """Workers of which each part is done twice."""

    def do(self, step: str, parts: Sequence[int], *arguments: Any) -> None:
        super().do(step, [*parts, *parts], *arguments)


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    """Small batches are worth workers, and time stands still."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "FEWEST_RECORDS", 1)
        for module in (run, stages, replay):
            patch.setattr(module, "now_utc", lambda: NOW)
        yield patch


def landed_home() -> Settings:
    """A home with `land_history`, which is made once; to be copied, or read only."""

    def settings_in(folder: Path) -> Settings:
        return load_settings(home=folder / "home", feed_url=str(folder / "landing"))

    return settings_in(made_once("distributed", lambda folder: land_history(settings_in(folder))))


@pytest.fixture(scope="module")
def landed(patch: pytest.MonkeyPatch) -> Settings:
    return landed_home()


@pytest.fixture(scope="module")
def alone(landed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The home after a run of one process, and after a replay of one; the tests read it only."""
    settings = copied(landed, tmp_path_factory.mktemp("alone"), 1)
    update(settings)
    return settings


@pytest.fixture(scope="module")
def together(landed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The home after a run of two real workers, and a third in place of one that is killed; the tests read it only."""
    settings = copied(landed, tmp_path_factory.mktemp("together"), 2)
    answer, killed = workers._answer, []

    def die_once(process: subprocess.Popen[bytes], step: str, arguments: tuple[Any, ...]) -> Exception | None:
        if not killed:
            killed.append(process.pid)
            process.kill()
        return answer(process, step, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_answer", die_once)
        update(settings)
    assert killed
    return settings


def copied(settings: Settings, folder: Path, workers: int) -> Settings:
    """A copy of a home for so many workers."""
    shutil.copytree(settings.home, folder / "home")
    return settings.model_copy(update={"home": folder / "home", "workers": workers})


def update(settings: Settings, number: int = 1) -> Outcome:
    return run.update_warehouse(settings, RUN_ID.format(number), catalogue.slugs(), WINDOW)


def again(settings: Settings) -> Report:
    """Judge the quarantine again, so that what was too far in the future is not any more."""
    return replay.replay(settings.model_copy(update={"future_tolerance": timedelta(hours=4)}), RUN_ID.format(2))


def everything(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every public table and view, sorted."""
    with lake.reader(settings) as connection:
        names = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where database_name = 'audit' "
            "union all select schema_name || '.' || view_name from duckdb_views() "
            "where database_name = 'audit' and not internal"
        ).fetchall()
        return {name: sorted(connection.execute(f"from {name}").fetchall(), key=repr) for (name,) in sorted(names)}


def require_same(found: Settings, expected: Settings) -> None:
    """Every public table has the same rows."""
    of_both = everything(found), everything(expected)
    assert list(of_both[0]) == list(of_both[1])
    for table, rows in of_both[0].items():
        assert rows == of_both[1][table], table


def data_files(settings: Settings) -> set[str]:
    """The data files of the fact that are there."""
    folder = Path(settings.data_root) / "main/fact_activity_event"
    return {str(path) for path in folder.rglob("*.parquet")}


def published_files(settings: Settings) -> set[str]:
    """The data files of the fact that the newest snapshot has."""
    with lake.reader(settings) as connection:
        return {path for path, _ in lake.data_files(connection, "main", "fact_activity_event")}


def partition_values(settings: Settings) -> list[tuple[Any, ...]]:
    """The partition values of all files, with the folders that the files are in."""
    with lake.reader(settings) as connection:
        return connection.execute(
            "select distinct partition_key_index, partition_value, path_is_relative, regexp_replace(path, "
            "'/ducklake.*', '') from __ducklake_metadata_audit.ducklake_file_partition_value "
            "join __ducklake_metadata_audit.ducklake_data_file using (data_file_id, table_id) order by all"
        ).fetchall()


def test_two_workers_publish_what_one_process_does(alone: Settings, together: Settings) -> None:
    require_same(together, alone)
    ids = {row[0] for row in everything(together)["main.fact_activity_event"]}
    assert {"met", "fought", "late", "second"} <= ids
    assert not list(together.work_dir.glob("*.exchange"))
    assert data_files(together) == published_files(together)


def test_three_workers_publish_what_one_process_does_and_so_does_their_replay(
    landed: Settings, alone: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them does each part twice."""
    monkeypatch.setattr(distributed, "Workers", Twice)
    settings = copied(landed, tmp_path / "three", 3)
    update(settings)
    require_same(settings, alone)
    assert data_files(settings) == published_files(settings)
    one = copied(alone, tmp_path / "one", 1)
    assert again(settings).accepted == again(one).accepted == 3
    require_same(settings, one)


def test_what_was_published_together_is_intact(together: Settings) -> None:
    assert verify(together).intact


@pytest.mark.slow
def test_what_was_published_together_is_intact_and_stays_so(together: Settings, tmp_path: Path) -> None:
    settings = copied(together, tmp_path, 1)
    assert verify(settings).intact
    before = everything(settings)["main.fact_activity_event"]
    # With it there are enough small files of the day for compaction to rewrite them.
    deliver(settings, lines([event("more", eventTime="2026-05-01T15:00:00Z")]), hour=5)
    run_hours(settings, 5)
    retired = published_files(settings)
    done = maintain(settings, Allowed(trust_clock=True))
    assert done.counts["data files after"] < done.counts["data files before"]
    age(settings, days=40)
    maintain(settings, Allowed(trust_clock=True))
    age(settings, days=2)
    done = maintain(settings, Allowed(trust_clock=True))
    assert not done.warnings
    assert verify(settings).intact
    assert [row for row in everything(settings)["main.fact_activity_event"] if row[0] != "more"] == before
    assert data_files(settings) == published_files(settings)
    assert not retired <= data_files(settings)


@pytest.mark.slow
def test_retention_deletes_out_of_registered_files(together: Settings, tmp_path: Path) -> None:
    settings = copied(together, tmp_path, 1).model_copy(update={"retention": "qm=1d"})
    before = everything(settings)["main.fact_activity_event"]
    maintain(settings, Allowed(trust_clock=True, large_deletion=True))
    after = everything(settings)["main.fact_activity_event"]
    assert after == [row for row in before if "qm" not in row]
    assert 0 < len(after) < len(before)
    assert verify(settings).intact


def test_registered_files_are_as_the_lake_writes_its_own(together: Settings, alone: Settings) -> None:
    schemas = []
    for settings in (together, alone):
        with lake.reader(settings) as connection:
            files = sorted(published_files(settings))
            schemas.append(
                connection.execute(
                    "select distinct name, type, field_id, repetition_type, converted_type from parquet_schema(?) "
                    "order by field_id",
                    [files],
                ).fetchall()
            )
    assert schemas[0] == schemas[1]
    assert partition_values(together) == partition_values(alone)


@pytest.mark.slow
def test_a_worker_that_is_killed_leaves_what_upkeep_removes(
    landed: Settings, alone: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one at each step is killed when all of its part is written, and nothing says so yet."""
    complete = Exchange.complete
    lost: list[str] = []

    def die(exchange: Exchange, handed: Handed) -> None:
        step = handed.attempt.partition(".")[0].partition("-")[0]
        if step != "meet" and step not in lost:
            lost.append(step)
            raise KeyboardInterrupt
        complete(exchange, handed)

    class Mortal(InProcess):
        def do(self, step: str, parts: Sequence[int], *arguments: Any) -> None:
            for part in parts:
                with suppress(KeyboardInterrupt):
                    super().do(step, [part], *arguments)
                    continue
                super().do(step, [part], *arguments)

    monkeypatch.setattr(distributed, "Workers", Mortal)
    with monkeypatch.context() as dying:
        dying.setattr(Exchange, "complete", die)
        settings = copied(landed, tmp_path, 2)
        update(settings)
    assert len(lost) == 2
    require_same(settings, alone)
    # What it wrote into the data folder is known by nobody. It is reported, and goes when somebody says so.
    left = data_files(settings) - published_files(settings)
    assert left
    for path in left:
        os.utime(path, (0, 0))
    assert "belong to no snapshot" in maintain(settings, Allowed(trust_clock=True)).warnings[0]
    done = maintain(settings, Allowed(trust_clock=True, remove_leftovers=True))
    assert done.counts["leftover data files"] == len(left)
    assert data_files(settings) == published_files(settings)
    require_same(settings, alone)


@pytest.mark.slow
def test_what_others_publish_meanwhile_is_judged_against(
    landed: Settings, alone: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run publishes an event of this one's ids between the steps; the parts are judged once more."""
    monkeypatch.setattr(distributed, "Workers", InProcess)
    settings = copied(landed, tmp_path, 2)
    other = load_settings(
        home=tmp_path / "other",
        feed_url=str(tmp_path / "landing"),
        catalog=str(settings.catalog_file),
        data_path=settings.data_root,
    )
    deliver(other, lines([event("met", comments="another")]), feed="wfm", hour=8)
    meet, met = steps.meet, []

    def meet_and_be_overtaken(*arguments: Any) -> str:
        met.append(meet(*arguments))
        if len(met) == 1:
            window = (HOUR + timedelta(hours=8), HOUR + timedelta(hours=9))
            run.land_feeds(other, ["wfm"], window)
            run.update_warehouse(other, RUN_ID.format(3), ["wfm"], window)
        return met[-1]

    monkeypatch.setattr(steps, "meet", meet_and_be_overtaken)
    outcome = update(settings)
    assert len(met) == 2
    assert outcome.published
    facts = {row[0]: row for row in everything(settings)["main.fact_activity_event"]}
    assert "another" in facts["met"]
    reasons = query(
        settings, "select reasons, count(*) from quality.quarantined_event where event_id = 'met' group by all"
    )
    assert reasons == [(["event_id_conflict"], 6)]
    shutil.copytree(other.raw_dir / "wfm", settings.raw_dir / "wfm")
    assert verify(settings).intact
    assert data_files(settings) == published_files(settings)


@pytest.mark.slow
def test_a_step_that_is_done_twice_at_once_takes_nothing_away(
    landed: Settings, alone: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines publish one run at the same moment: the second fails, and the files of the first stay."""
    settings = copied(landed, tmp_path, 2)
    other = load_settings(
        home=tmp_path / "other",
        feed_url=settings.feed_url,
        catalog=str(settings.catalog_file),
        data_path=settings.data_root,
        raw_path=str(settings.raw_dir),
        exchange_path=settings.exchange_root,
    )
    run_id = RUN_ID.format(1)
    assert run_in_parts.plan(settings, run_id, catalogue.slugs(), WINDOW) == 2
    exchange = run_in_parts.exchange_of(settings, run_id)
    for part in range(2):
        steps.parse(settings, exchange, part)
    met = steps.meet(settings, exchange)
    for part in range(2):
        steps.judge(settings, exchange, part, met)
    gather, gathered = steps.gather, []

    def gather_and_be_overtaken(*arguments: Any) -> Any:
        gathered.append(gather(*arguments))
        if len(gathered) == 1:
            run_in_parts.publish(other, run_id, met)
        return gathered[0]

    monkeypatch.setattr(steps, "gather", gather_and_be_overtaken)
    with monkeypatch.context() as slow:
        # The first has published, and has not come to that yet.
        slow.setattr(Exchange, "remove", lambda _: None)
        with pytest.raises(PublishedMeanwhileError):
            run_in_parts.publish(settings, run_id, met)
    require_same(settings, alone)
    assert data_files(settings) == published_files(settings)
    exchange.remove()
    with pytest.raises(lake.WarehouseError, match="the run is published already"):
        run_in_parts.publish(settings, run_id, met)


@pytest.mark.slow
def test_a_file_that_a_worker_wrote_and_that_is_gone_stops_the_run(
    landed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "Workers", InProcess)
    gather = steps.gather

    def lose_one(*arguments: Any) -> Any:
        staged = gather(*arguments)
        Path(staged.facts[0].path).unlink()
        return staged

    monkeypatch.setattr(steps, "gather", lose_one)
    settings = copied(landed, tmp_path, 2)
    with pytest.raises(lake.WarehouseError, match="a file that a worker of this run wrote cannot be read"):
        update(settings)
    assert data_files(settings) == published_files(settings)


@pytest.mark.slow
def test_a_catalog_in_postgresql(
    alone: Settings, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "Workers", InProcess)
    places = {"catalog": postgres.new_database(), "data_path": str(tmp_path / "a 'data' [folder]")}
    settings = load_settings(home=tmp_path / "home", feed_url=str(tmp_path / "landing"), workers=2, **places)
    land_history(settings)
    update(settings)
    elsewhere = VOLATILE | {"source_uri"}
    assert dump(settings, elsewhere) == dump(alone, elsewhere)
    assert verify(settings).intact
    with lake.reader(settings) as connection:
        numbered = connection.execute(
            "select count(*) = count(distinct partition_key_index) "
            "from __ducklake_metadata_audit.ducklake_file_partition_value group by data_file_id"
        ).fetchall()
        assert set(numbered) == {(True,)}
    assert data_files(settings) == published_files(settings)


@pytest.mark.slow
def test_data_below_a_folder_that_looks_like_a_partition(
    landed: Settings, alone: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "Workers", InProcess)
    settings = copied(landed, tmp_path / "year=1999", 2)
    update(settings)
    require_same(settings, alone)
    assert partition_values(settings) == partition_values(alone)


@pytest.mark.slow
def test_a_delivery_that_breaks_its_part_is_set_aside(
    landed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real worker says so to the run, which goes on without it."""
    settings = copied(landed, tmp_path, 2)
    (broken,) = [
        delivery
        for delivery in open_index(local_lake(settings.raw_dir)).deliveries(["qm"], WINDOW)
        if delivery.feed_hour == HOUR + timedelta(hours=1)
    ]
    (settings.raw_dir / broken.raw_path).write_bytes(b"PAR1 no more PAR1")
    (warning,) = update(settings).warnings
    assert "is set aside: Invalid" in warning
    assert len([row for row in everything(settings)["main.fact_activity_event"] if "qm" in row]) > 50
    assert data_files(settings) == published_files(settings)
