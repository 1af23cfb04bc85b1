"""The serving copy in one DuckDB file: always whole, and who reads the old one goes on to do so."""

from __future__ import annotations

import signal
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from activity_audit.dbt_runner import project
from activity_audit.pipeline.replay import replay
from activity_audit.serving.published import How, ServingError
from activity_audit.serving.serve import bring_up_to_date
from activity_audit.serving.target import Target, parse
from activity_audit.settings.core import Settings
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse.contract import published_models
from tests import warm_process
from tests.integration.support import begin, deliver, event, lines, process_environment, query, run, said

# Dies with everything written and the old file not yet replaced.
DIES = """
import os, signal, sys
from pathlib import Path
from activity_audit.serving.serve import bring_up_to_date
from activity_audit.serving.target import parse
from activity_audit.settings.core import load_settings

def die(self, target):
    os.kill(os.getpid(), signal.SIGKILL)

Path.replace = die
bring_up_to_date(load_settings(), parse(sys.argv[1]))
"""


@pytest.fixture
def home(settings: Settings) -> Settings:
    begin(settings, event("a"), event("b", comments="a\x00b"), event("c", activity="Unheard of"), "junk")
    return settings


@pytest.fixture
def copy(tmp_path: Path) -> Target:
    return parse(f"{tmp_path}/it's a copy.duckdb")


def _open(copy: Target) -> duckdb.DuckDBPyConnection:
    assert copy.file
    return duckdb.connect(str(copy.file), read_only=True)


def _require_equal(settings: Settings, copy: Target) -> None:
    with _open(copy) as connection:
        for model in published_models(project.manifest()):
            if not model.is_bookkeeping:
                rows = f"select * from {model.schema}.{model.name} order by all"
                assert connection.execute(rows).fetchall() == query(settings, rows), model.name


def test_it_equals_the_warehouse_and_readers_of_the_old_one_go_on(home: Settings, copy: Target) -> None:
    count = "select count(*) from activity_audit_report"
    done = bring_up_to_date(home, copy)
    assert (done.is_whole, done.added["main.fact_activity_event"]) == (True, 3)
    _require_equal(home, copy)
    assert copy.file is not None
    assert bring_up_to_date(home, copy).is_unchanged
    assert bring_up_to_date(home, copy, How(whole=True)).is_whole
    with _open(copy) as reader:
        deliver(home, lines([event("d")]), hour=1)
        run(home, 1)
        bring_up_to_date(home, copy)
        assert reader.execute(count).fetchall() == [(3,)]
    _require_equal(home, copy)
    with _open(copy) as reader:
        assert reader.execute(count).fetchall() == [(4,)]
        assert reader.execute("select snapshot_id, days, events_left_out from serving_copy").fetchall() == [
            (query(home, "select max(snapshot_id) from audit.snapshots()")[0][0], 90, 0)
        ]
        described = "select count(*) from duckdb_columns() where not internal and comment is null and table_name in "
        tables = "(select table_name from duckdb_tables())"
        assert reader.execute(described + tables).fetchall() == [(0,)]
    # It is a file for people, as an export is, and nothing but the lock is left beside it.
    assert {path.name for path in copy.file.parent.iterdir()} - {"home", "landing"} == {
        copy.file.name, f".{copy.file.name}.lock",
    }  # fmt: skip
    # Attached under another name its views are the same.
    with duckdb.connect() as other:
        other.execute("attach '" + str(copy.file).replace("'", "''") + "' as elsewhere (read_only); use elsewhere")
        assert other.execute(count).fetchall() == [(4,)]


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_the_old_file(home: Settings, copy: Target) -> None:
    bring_up_to_date(home, copy, How(10))
    assert copy.file is not None
    before = copy.file.read_bytes()
    deliver(home, lines([event("d")]), hour=1)
    run(home, 1)
    done = warm_process.run([sys.executable, "-c", DIES, copy.text], env=process_environment(home))
    assert done.returncode == -signal.SIGKILL
    assert copy.file.read_bytes() == before
    assert bring_up_to_date(home, copy).state.days == 10
    _require_equal(home, copy)


def test_two_at_once_and_other_people_s_files(home: Settings, copy: Target, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda _: bring_up_to_date(home, copy), range(2)))
    assert sorted(one.is_unchanged for one in done) == [False, True]
    _require_equal(home, copy)
    theirs = tmp_path / "theirs.duckdb"
    with duckdb.connect(str(theirs)) as connection:
        connection.execute("create table mine as select 1")
    with pytest.raises(ServingError, match="that `audit publish` did not make; name another file"):
        bring_up_to_date(home, parse(str(theirs)))
    (tmp_path / "text.duckdb").write_text("not a database")
    with pytest.raises(ServingError, match="cannot be read, so it is left as it is"):
        bring_up_to_date(home, parse(f"{tmp_path}/text.duckdb"))
    with pytest.raises(ServingError, match=r"the folder .*/gone does not exist"):
        bring_up_to_date(home, parse(f"{tmp_path}/gone/a.duckdb"))


def test_what_the_command_says(home: Settings, tmp_path: Path) -> None:
    old = [event("old", eventTime="2026-04-30T10:00:00Z")]
    deliver(home, lines(old), name="old.ndjson")
    run(home)
    first, second = f"{tmp_path}/a.duckdb", f"{tmp_path}/b.duckdb"
    done = said(home, "publish", "--days", "1", AUDIT_PUBLISH_TO=f"{first}, {second}")
    assert "It has the events since 2026-05-01, which are 1 days; 1 older events are left out." in done.stdout
    assert stat.S_IMODE(Path(first).stat().st_mode) & 0o600 == 0o600
    assert f"{second} is up to date: it has snapshot" in said(home, "publish", "--to", second).stdout
    assert "name a copy with --to" in said(home, "publish", exit_code=2).stderr
    assert "is not a target; it must be postgresql://" in said(home, "publish", "--to", "a.parquet", exit_code=2).stderr
    assert "has the name of a schema" in said(home, "publish", "--to", "main.duckdb", exit_code=2).stderr
    failed = said(home, "publish", "--to", f"{tmp_path}/gone/a.duckdb", "--to", second, exit_code=1)
    assert "is up to date" in failed.stdout
    assert "gone does not exist" in failed.stderr


def test_copies_that_follow_never_make_a_run_fail(home: Settings, copy: Target, tmp_path: Path) -> None:
    gone = f"{tmp_path}/gone/a.duckdb"
    following = home.model_copy(update={"publish_to": [gone, copy.text]})
    deliver(home, lines([event("d", eventTime="2026-05-01T15:00:00Z"), event("e")]), hour=1)
    outcome = run(following, 1)
    assert outcome.published
    (warning,) = [text for text in outcome.warnings if "AUDIT_PUBLISH_TO" in text]
    assert warning == (
        "a copy of AUDIT_PUBLISH_TO is not up to date, and the next run tries again: "
        f"{gone} cannot be written: the folder {tmp_path}/gone does not exist"
    )
    _require_equal(home, copy)


@pytest.mark.slow
def test_copies_follow_a_replay_and_an_upkeep(home: Settings, copy: Target, tmp_path: Path) -> None:
    following = home.model_copy(update={"publish_to": [f"{tmp_path}/gone/a.duckdb", copy.text]})
    deliver(home, lines([event("d", eventTime="2026-05-01T15:00:00Z"), event("e")]), hour=1)
    run(home, 1)
    report = replay(following.model_copy(update={"future_tolerance": timedelta(hours=4)}), "replay")
    assert (report.accepted, len(report.warnings)) == (1, 1)
    _require_equal(home, copy)
    assert query(home, "select count(*) from fact_activity_event") == [(5,)]
    done = maintain(following.model_copy(update={"retention": "30d", "retention_max_share": 1.0}))
    assert [text for text in done.warnings if "AUDIT_PUBLISH_TO" in text] == report.warnings
    assert query(home, "select count(*) from fact_activity_event") == [(0,)]
    _require_equal(home, copy)


def test_nothing_is_published_yet(settings: Settings, copy: Target) -> None:
    done = said(settings, "publish", "--to", copy.text, exit_code=1)
    assert "nothing is published in" in done.stderr
