"""The serving copy in a real PostgreSQL: always one whole snapshot of the warehouse."""

from __future__ import annotations

import re
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from activity_audit.pipeline.replay import replay
from activity_audit.serving import postgres as serving
from activity_audit.serving.published import How, ServingError
from activity_audit.serving.serve import bring_up_to_date
from activity_audit.settings.core import Settings
from activity_audit.upkeep import compaction
from activity_audit.upkeep.maintenance import maintain
from tests import warm_process
from tests.integration.postgres_server import INITDB, PostgresServer, postgres_server
from tests.integration.retention_support import keeping
from tests.integration.serving import copies
from tests.integration.serving.copies import (
    ask,
    execute,
    new_copy,
    of_postgres,
    of_warehouse,
    publish_first,
    publish_next,
)
from tests.integration.support import deliver, event, lines, one, process_environment, run, said
from tests.integration.upkeep.test_maintenance import age
from tests.made_once import made_once

pytestmark = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")
FACT = "main.fact_activity_event"
# Dies with everything written and nothing committed.
DIES = """
import os, signal, sys
from activity_audit.serving import postgres
from activity_audit.serving.serve import bring_up_to_date
from activity_audit.serving.target import parse
from activity_audit.settings.core import load_settings

def die(connection, state):
    os.kill(os.getpid(), signal.SIGKILL)

postgres._write_state = die
bring_up_to_date(load_settings(), parse(sys.argv[1]))
"""


@pytest.fixture
def home(settings: Settings) -> Settings:
    """A home of two feeds with a published hour, made once."""

    def make(folder: Path) -> None:
        publish_first(settings.model_copy(update=_in(folder)))

    shutil.copytree(made_once("serving", make) / "home", settings.home)
    return settings.model_copy(update=_in(settings.home.parent))


def _in(folder: Path) -> dict[str, object]:
    return {"home": folder / "home", "feed_url": str(folder / "landing"), "applications": ["search", "qm"]}


def test_it_equals_the_warehouse_after_every_change(
    home: Settings, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = new_copy(postgres)
    first = bring_up_to_date(home, copy)
    assert (first.is_whole, first.added[FACT], first.state.days) == (True, 43, 90)
    assert of_postgres(copy) == of_warehouse(home)
    assert len(of_postgres(copy)["quality.quarantined_event"]) == 4
    assert ask(copy, f"select comments from {FACT} where event_id = 'nul'") == [("a\ufffdb",)]
    assert ask(copy, f"select count(*) from {FACT} where event_id = '{copies.LONG_ID}'") == [(1,)]
    assert bring_up_to_date(home, copy).is_unchanged

    publish_next(home)
    before, seen, write = of_postgres(copy), [], serving._write_state
    with monkeypatch.context() as patch:
        patch.setattr(serving, "_write_state", lambda *given: (seen.append(of_postgres(copy)), write(*given)))
        done = bring_up_to_date(home, copy)
    assert (done.is_whole, done.added[FACT], FACT in done.removed) == (False, 20, False)
    # Readers have the old state until the new one is whole.
    assert seen == [before]
    assert of_postgres(copy) == of_warehouse(home)
    assert ask(copy, "select run_id, snapshot_id from main.serving_copy") == [
        (done.state.run_id, one(home, "select max(snapshot_id) from audit.snapshots()"))
    ]

    assert replay(copies.tolerant(home), "replay").accepted == 1
    done = bring_up_to_date(home, copy)
    assert (done.is_whole, done.added[FACT], done.removed["quality.quarantined_event"]) == (False, 1, 1)
    assert of_postgres(copy) == of_warehouse(home)

    monkeypatch.setattr(compaction, "_ENOUGH", 2)
    maintain(home)
    assert bring_up_to_date(home, copy).added == {}
    maintain(keeping(home, "forever, qm=30d"))
    done = bring_up_to_date(home, copy)
    assert (done.is_whole, done.removed[FACT], FACT in done.added) == (False, 30, False)
    assert of_postgres(copy) == of_warehouse(home)

    # An upkeep has expired the snapshot that the copy is of, so that nobody knows any more what changed since.
    age(home, 31)
    publish_next(home, 2)
    maintain(home)
    done = bring_up_to_date(home, copy)
    assert (done.is_whole, done.added[FACT]) == (True, 54)
    assert of_postgres(copy) == of_warehouse(home)


@pytest.mark.slow
def test_a_rebuilt_warehouse_is_copied_whole(home: Settings, postgres: PostgresServer, tmp_path: Path) -> None:
    copy = new_copy(postgres)
    bring_up_to_date(home, copy)
    other = home.model_copy(update={"home": tmp_path / "other"})
    publish_first(other)
    done = bring_up_to_date(other, copy)
    assert (done.is_whole, done.added[FACT]) == (True, 43)
    assert of_postgres(copy) == of_warehouse(other)


def test_only_the_newest_days_are_copied(home: Settings, postgres: PostgresServer) -> None:
    copy = new_copy(postgres)
    old = [event(f"old-{day}", eventTime=f"2026-04-{day}T10:00:00Z") for day in (20, 25, 30)]
    deliver(home, lines(old), name="old.ndjson")
    run(home)
    state = bring_up_to_date(home, copy, How(3)).state
    assert (state.days, f"{state.events_from_utc}", state.events_left_out) == (3, "2026-04-29 00:00:00", 2)
    kept = f"select event_id from {FACT} where event_id like 'old-%' order by 1"
    assert ask(copy, kept) == [("old-30",)]
    assert ask(copy, "select count(*) from main.activity_audit_report") == [(44,)]
    assert ask(copy, "select sum(event_count)::bigint from main.agg_activity_hourly") == [(46,)]

    done = bring_up_to_date(home, copy, How(8))
    assert (done.is_whole, done.added, done.state.events_left_out) == (False, {FACT: 1}, 1)
    assert ask(copy, kept) == [("old-25",), ("old-30",)]

    deliver(home, lines([event("new", eventTime="2026-05-03T10:30:00Z")]), hour=48)
    run(home, 48)
    done = bring_up_to_date(home, copy)
    assert (done.is_whole, done.state.days, done.state.events_left_out) == (False, 8, 2)
    assert (done.added[FACT], done.removed[FACT]) == (1, 1)
    assert ask(copy, kept) == [("old-30",)]
    assert bring_up_to_date(home, copy, How(90)).added[FACT] == 2
    assert of_postgres(copy) == of_warehouse(home)


def test_a_process_that_is_killed_leaves_the_old_state(home: Settings, postgres: PostgresServer) -> None:
    copy = new_copy(postgres)
    bring_up_to_date(home, copy)
    before = of_postgres(copy)
    publish_next(home)
    command = [sys.executable, "-c", DIES, copy.text]
    assert warm_process.run(command, env=process_environment(home)).returncode == -signal.SIGKILL
    assert of_postgres(copy) == before
    done = bring_up_to_date(home, copy)
    assert (done.is_whole, done.added[FACT]) == (False, 20)
    assert of_postgres(copy) == of_warehouse(home)


def test_two_at_once_end_with_one_state(home: Settings, postgres: PostgresServer) -> None:
    copy = new_copy(postgres)
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda _: bring_up_to_date(home, copy), range(2)))
    assert sorted(one.is_unchanged for one in done) == [False, True]
    assert of_postgres(copy) == of_warehouse(home)


def test_one_that_waits_too_long_says_so(
    home: Settings, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = new_copy(postgres)
    hasty = home.model_copy(update={"lock_timeout": timedelta(0)})
    with serving._alone(copy, timedelta(0), lambda _: None), pytest.raises(ServingError, match="has been bringing"):
        bring_up_to_date(hasty, copy)


@pytest.mark.slow
def test_a_server_that_dies_is_named(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres_server() as server:
        copy = new_copy(server)
        bring_up_to_date(home, copy)
        before = of_postgres(copy)
        publish_next(home)
        write = serving._write_state
        with monkeypatch.context() as patch:
            patch.setattr(serving, "_write_state", lambda *given: (server.kill(), write(*given)))
            with pytest.raises(ServingError, match=r"could not be brought up to date: .* run `audit publish` again"):
                bring_up_to_date(home, copy)
        with pytest.raises(ServingError, match=r"could not be brought up to date: .*onnect"):
            bring_up_to_date(home, copy)
        server.start()
        assert of_postgres(copy) == before
        bring_up_to_date(home, copy)
        assert of_postgres(copy) == of_warehouse(home)


def test_tables_of_others_are_left_alone(home: Settings, postgres: PostgresServer) -> None:
    copy = new_copy(postgres)
    execute(copy, "create schema quality; create table quality.pipeline_run as select 1 as mine")
    with pytest.raises(ServingError, match=r"has a table quality\.pipeline_run that `audit publish` did not make"):
        bring_up_to_date(home, copy)
    assert ask(copy, "select mine from quality.pipeline_run") == [(1,)]


def test_a_copy_that_somebody_changed_is_written_whole(home: Settings, postgres: PostgresServer) -> None:
    copy = new_copy(postgres)
    bring_up_to_date(home, copy)
    execute(copy, f"delete from {FACT} where event_id = 'a1'; delete from main.dim_application")
    assert bring_up_to_date(home, copy).is_unchanged
    assert bring_up_to_date(home, copy, How(whole=True)).is_whole
    assert of_postgres(copy) == of_warehouse(home)


@pytest.mark.slow
def test_a_column_that_a_newer_release_brings(home: Settings, postgres: PostgresServer) -> None:
    copy = new_copy(postgres)
    bring_up_to_date(home, copy)
    execute(copy, "alter table quality.feed_delivery drop column raw_sha256; drop table quality.deletion")
    publish_next(home)
    assert not bring_up_to_date(home, copy).is_whole
    assert of_postgres(copy) == of_warehouse(home)


def test_bi_tools_find_keys_comments_and_plain_times(home: Settings, postgres: PostgresServer) -> None:
    copy = new_copy(postgres)
    bring_up_to_date(home, copy)
    ours = "in ('main', 'quality')"
    of_columns = "from information_schema.columns where data_type like '%with time zone'"
    with_zone = f"select count(*) {of_columns} and table_schema {ours}"
    assert ask(copy, with_zone) == [(0,)]
    models = {f"{model.schema}.{model.name}": model for model in copies.served()}
    commented = f"""
        select format('%s.%s', nspname, relname), count(col_description(relation.oid, attnum)) as said, count(*)
        from pg_class as relation
        inner join pg_namespace as place on place.oid = relnamespace
        inner join pg_attribute on attrelid = relation.oid and attnum > 0 and not attisdropped
        where relkind = 'r' and nspname {ours} and obj_description(relation.oid) is not null
        group by 1 order by 1
    """
    columns = {name: len(model.columns) for name, model in models.items()} | {"main.serving_copy": 8}
    assert ask(copy, commented) == [(name, count, count) for name, count in sorted(columns.items())]
    found: dict[object, str] = {}
    keys = f"select format('%s.%s', schemaname, tablename), indexdef from pg_indexes where schemaname {ours}"
    for name, definition in ask(copy, keys):
        found[name] = found.get(name, "") + f"{definition}\n"
    assert found.keys() == models.keys()
    assert re.search(r"UNIQUE .*\(feed, feed_hour_utc\)", found["quality.feed_reconciliation"])
    assert re.search(r"UNIQUE .*\(entity_activity_key\)", found["main.dim_entity_activity"])
    assert re.search(r"hash \(event_id\)(.|\n)*btree \(event_time_utc\)", found[FACT])


def test_the_documented_grants_let_a_reader_read_and_no_more(home: Settings, postgres: PostgresServer) -> None:
    copy = new_copy(postgres)
    bring_up_to_date(home, copy)
    section = (Path(__file__).parents[3] / "docs/bi-tools.md").read_text(encoding="utf-8").split("**PostgreSQL.**")[1]
    execute(copy, section.split("```sql\n")[1].split("```")[0])
    theirs = copies.target_of(f"dbname={copy.text.split('@/')[1].split('?')[0]} user=bi host={postgres.folder}")
    assert of_postgres(theirs) == of_warehouse(home)
    assert ask(theirs, "select count(*) from main.activity_audit_report") == [(43,)]
    with pytest.raises(duckdb.Error, match="permission denied"):
        execute(theirs, f"delete from {FACT}")


def test_the_password_is_in_no_output(home: Settings, postgres: PostgresServer) -> None:
    dsn = postgres.new_database()
    copy = copies.target_of(dsn)
    execute(copy, "create role writer login password 'hunter2'; grant create on database "
                  f"{copy.text.split('@/')[1].split('?')[0]} to writer")  # fmt: skip
    rules = postgres.folder / "data/pg_hba.conf"
    rules.write_text("local all writer scram-sha-256\n" + rules.read_text())
    ask(copy, "select pg_reload_conf()")
    theirs = copies.target_of(dsn, user="writer").text
    done = said(home, "publish", "--to", theirs, exit_code=1)
    assert "password" in done.stderr
    done = said(home, "publish", "--to", theirs, PGPASSWORD="hunter2")
    assert "written whole" in done.stdout
    assert "hunter2" not in done.output
    done = said(home, "publish", "--to", theirs.replace("writer@", "writer:hunter2@"), exit_code=2)
    assert "PGPASSFILE" in done.stderr
    assert "hunter2" not in done.output


@pytest.mark.slow
def test_a_copy_of_a_warehouse_whose_catalog_is_in_postgresql(settings: Settings, postgres: PostgresServer) -> None:
    shared = settings.model_copy(update={"catalog": postgres.new_database(), "applications": ["search", "qm"]})
    copy = new_copy(postgres)
    publish_first(shared)
    bring_up_to_date(shared, copy)
    publish_next(shared)
    done = bring_up_to_date(shared, copy)
    assert (done.is_whole, done.added[FACT]) == (False, 20)
    assert of_postgres(copy) == of_warehouse(shared)
