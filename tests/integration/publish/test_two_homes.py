"""Two homes on one catalogue: a lock of each does not keep them apart, so the catalogue itself has to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest

from activity_audit.ledger.chain import breaks
from activity_audit.pipeline.stages import Stages
from activity_audit.settings.core import Settings
from activity_audit.warehouse.lake_catalog import known_files
from activity_audit.warehouse.transactions import (
    OutcomeUnknownError,
    PublishedMeanwhileError,
    snapshot_now,
    transaction,
)
from tests import warm_process
from tests.integration.postgres_server import INITDB, postgres_server
from tests.integration.support import (
    AUDIT,
    deliver,
    event,
    key_differences,
    lines,
    one,
    process_environment,
    query,
    run,
    until,
)
from tests.integration.tampering import entries, findings, warehouse

MEANWHILE = "another run published into this warehouse in the meantime, so this run published nothing; the next run"
_UNKNOWN = "the connection to the catalog broke while this run was committed, so it is not known whether the "
# Runs the first hour, and at one point waits until the other home has come to it too.
RUNS = """
import sys
from pathlib import Path
from activity_audit.pipeline.stages import Stages
from activity_audit.publish import publish
from activity_audit.warehouse import lake_writer, tables
from activity_audit.warehouse.lake import WarehouseError
from activity_audit.settings.core import load_settings
from tests.integration.support import run, until

me, other, point = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def at(module, name, does_meet=lambda *_: True):
    original = getattr(module, name)
    def meets(*arguments, **named):
        if does_meet(*arguments):
            me.touch()
            until(other.exists)
        return original(*arguments, **named)
    setattr(module, name, meets)

match point:
    case "making the catalogue":
        at(lake_writer, "attach_at")
    case "setting up":
        at(tables, "_missing_options")
    case "staged":
        at(Stages, "check_and_publish")
    case "publishing":
        at(publish, "_statements")
    case "writing":
        at(publish.transaction, "__exit__", lambda transaction, *_: transaction._message != "set up")
try:
    run(load_settings())
except WarehouseError as error:
    sys.exit(str(error))
"""
# Runs an hour by workers, however few records it has.
BY_WORKERS = """
import sys
from activity_audit.settings.core import load_settings
from activity_audit.transform import parts
from activity_audit.warehouse.lake import WarehouseError
from tests.integration.support import run

parts.FEWEST_RECORDS = 1
try:
    run(load_settings(), int(sys.argv[1]))
except WarehouseError as error:
    sys.exit(str(error))
"""


@pytest.fixture(params=["sqlite", "postgres"])
def homes(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> list[Settings]:
    """Two homes, each with a raw lake of its own, that share feeds, catalogue and data."""
    if request.param == "postgres" and INITDB is None:
        pytest.skip("PostgreSQL is not installed; `make system-packages` does it")
    catalogue = (
        str(tmp_path / "catalogue.sqlite")
        if request.param == "sqlite"
        else request.getfixturevalue("postgres").new_database()
    )
    shared = {"catalog": catalogue, "data_path": str(tmp_path / "data"), "feed_url": str(tmp_path / "landing")}
    return [settings.model_copy(update={"home": tmp_path / name, **shared}) for name in ("one", "two")]


def _start(home: Settings, *command: str, **more: str) -> subprocess.Popen:
    assert home.catalog
    assert home.data_path
    environment = process_environment(home, AUDIT_CATALOG=home.catalog, AUDIT_DATA_PATH=home.data_path, **more)
    return warm_process.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _meet(homes: list[Settings], point: str) -> list[str]:
    """What both homes say of a run in which they meet at a point; the one that published says nothing."""
    flags = [str(home.home.with_suffix(f".{point.replace(' ', '-')}")) for home in homes]
    both = [
        _start(home, sys.executable, "-c", RUNS, *order, point)
        for home, order in zip(homes, (flags, flags[::-1]), strict=True)
    ]
    said = [process.communicate(timeout=300)[1].strip() for process in both]
    for process, told in zip(both, said, strict=True):
        assert process.returncode == (1 if told else 0), told
    return sorted(said)


def _is_whole(home: Settings, events: int, quarantined: int) -> None:
    """Everything is there once."""
    assert list(breaks(iter(entries(home)))) == []
    ((counted, distinct),) = query(home, "select count(*), count(distinct event_id) from fact_activity_event")
    assert (counted, distinct) == (events, events)
    assert one(home, "select count(*) from quality.quarantined_event") == quarantined
    assert one(home, "select coalesce(sum(event_count), 0) from agg_activity_hourly") == events
    assert one(home, "select coalesce(sum(event_count), 0) from dim_entity_activity") == events
    deliveries = "select count(*), count(distinct delivery_id) from quality.feed_delivery"
    ((counted, distinct),) = query(home, deliveries)
    assert counted == distinct
    assert key_differences(home) == []
    # The raw lake of a home has what this home landed, and not the other's bytes.
    assert {found.layer for found in findings(home)} <= {"raw"}


@pytest.mark.slow
def test_of_two_runs_at_once_one_publishes(homes: list[Settings]) -> None:
    deliver(homes[0], lines([*(event(f"e{n}") for n in range(20)), "junk"]))
    published, refused = _meet(homes, "writing")
    assert (published, refused[: len(MEANWHILE)]) == ("", MEANWHILE)
    _is_whole(homes[0], 20, 1)
    # The other one finds it published.
    run(homes[1])
    _is_whole(homes[1], 20, 1)


@pytest.fixture
def apart(homes: list[Settings], tmp_path: Path) -> list[Settings]:
    """The homes with feeds of their own: bad records, so that nothing but the quarantine and the ledger has them."""
    apart = [
        home.model_copy(update={"feed_url": str(tmp_path / f"landing-{number}")}) for number, home in enumerate(homes)
    ]
    for number, home in enumerate(apart):
        deliver(home, lines([f"junk of {number}"]), feed=("search", "qm")[number])
    return apart


@pytest.mark.slow
@pytest.mark.parametrize("point", ["writing", "staged"])
def test_what_was_not_published_is_by_the_next_run(homes: list[Settings], apart: list[Settings], point: str) -> None:
    published, refused = _meet(apart, point)
    assert (published, refused[: len(MEANWHILE)]) == ("", MEANWHILE)
    _is_whole(homes[0], 0, 1)
    for home in apart:
        run(home)
    _is_whole(homes[0], 0, 2)
    assert [entry.sequence for entry in entries(homes[0])] == [1, 2]


@pytest.mark.parametrize("homes", ["sqlite"], indirect=True)
def test_a_run_that_another_got_ahead_of_is_made_again(
    homes: list[Settings], apart: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in one process: the other home publishes between what this run staged and its publication."""
    staged = Stages.check_and_publish

    def is_late(*arguments: Any, **named: Any) -> Any:
        patch.setattr(Stages, "check_and_publish", staged)
        run(apart[1])
        return staged(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Stages, "check_and_publish", is_late)
        with pytest.raises(PublishedMeanwhileError, match=MEANWHILE):
            run(apart[0])
    _is_whole(homes[0], 0, 1)
    run(apart[0])
    _is_whole(homes[0], 0, 2)
    assert [entry.sequence for entry in entries(homes[0])] == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("point", ["making the catalogue", "setting up"])
def test_the_very_first_runs_of_two_homes(homes: list[Settings], point: str) -> None:
    deliver(homes[0], lines([event("a"), "junk"]))
    for told in _meet(homes, point):
        assert told[: len(MEANWHILE)] in ("", MEANWHILE)
    for home in homes:
        run(home)
        _is_whole(home, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 6])
def test_two_commands_at_once(homes: list[Settings], rounds: int) -> None:
    for hour in range(rounds):
        deliver(homes[0], lines([*(event(f"e{hour}-{n}") for n in range(20)), "junk"]), hour=hour)
        both = [_start(home, AUDIT, "run", "--feed", "search") for home in homes]
        for process in both:
            told = process.communicate(timeout=300)
            assert process.returncode == 0 or (process.returncode == 1 and MEANWHILE in told[1]), told
            assert "Traceback" not in told[1]
        _is_whole(homes[0], 20 * (hour + 1), hour + 1)
    assert len(entries(homes[0])) == rounds


@pytest.mark.slow
def test_two_homes_with_three_workers_each(homes: list[Settings]) -> None:
    """Both judge the same deliveries, and what the other one published; workers write files that nobody publishes."""
    rounds = 5
    for hour in range(rounds):
        for feed in ("search", "qm", "recording"):
            repeated = [event(f"search-{hour - 1}-{n}") for n in range(3 * bool(hour))]
            new = [event(f"{feed}-{hour}-{n}") for n in range(20)]
            deliver(homes[0], lines([*new, *repeated, event(f"met-{hour}"), "junk"]), feed=feed, hour=hour)
        command = (sys.executable, "-c", BY_WORKERS, str(hour))
        both = [_start(home, *command, AUDIT_WORKERS="3") for home in homes]
        for process in both:
            told = process.communicate(timeout=600)[1].strip()
            assert process.returncode == (1 if told else 0), told
            assert told[: len(MEANWHILE)] in ("", MEANWHILE)
        _is_whole(homes[0], 61 * (hour + 1), 3 * (hour + 1))
        # Nothing is left of what was not published.
        assert len(_data_files(homes[0])) == len(list(Path(homes[0].data_root).rglob("*.parquet")))
    assert len(entries(homes[0])) == 3 * rounds


def _data_files(home: Settings) -> set[str]:
    with warehouse(home) as connection:
        return known_files(connection)


@pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")
@pytest.mark.parametrize(
    ("point", "told"),
    [
        pytest.param(
            "publishing",
            "this run published nothing, because the warehouse failed: ",
            marks=pytest.mark.slow,
        ),
        pytest.param("writing", _UNKNOWN, marks=pytest.mark.slow),
    ],
)
def test_what_postgresql_dies_under_says_so(settings: Settings, point: str, told: str, tmp_path: Path) -> None:
    with postgres_server() as server:
        home = settings.model_copy(
            update={"catalog": server.dsn, "data_path": str(tmp_path / "data"), "feed_url": str(tmp_path / "landing")}
        )
        deliver(home, lines([*(event(f"e{n}") for n in range(20)), "junk"]))
        arrived, killed = tmp_path / "arrived", tmp_path / "killed"
        process = _start(home, sys.executable, "-c", RUNS, str(arrived), str(killed), point)
        until(arrived.exists)
        server.kill()
        killed.touch()
        said = process.communicate(timeout=300)[1]
        server.start()
        _says_who_died(said, told)
        run(home)
        _is_whole(home, 20, 1)


def _says_who_died(said: str, told: str) -> None:
    assert said.startswith(told), said
    assert "server closed the connection" in said or "Unable to connect to Postgres" in said
    assert "ROLLBACK" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")
def test_a_commit_that_postgresql_dies_under_says_so(settings: Settings, tmp_path: Path) -> None:
    with postgres_server() as server:
        home = settings.model_copy(update={"catalog": server.dsn, "data_path": str(tmp_path / "data")})
        with warehouse(home) as connection:
            with pytest.raises(OutcomeUnknownError) as raised:
                _create(connection, "some_table", snapshot_now(connection), server.kill)
            _says_who_died(str(raised.value), _UNKNOWN)
            server.start()
            # Nothing of it is there, and the same again is.
            _create(connection, "some_table", snapshot_now(connection))


class _Deaf:
    """A connection whose catalog carries out a commit, and goes away before it says so."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, query: str, *arguments: object) -> duckdb.DuckDBPyConnection:
        done = self._connection.execute(query, *arguments)
        if query == "commit":
            raise duckdb.IOException("server closed the connection unexpectedly")
        return done


def test_a_commit_that_was_carried_out_and_not_told_is_published(homes: list[Settings]) -> None:
    with warehouse(homes[0]) as connection:
        deaf = cast("duckdb.DuckDBPyConnection", _Deaf(connection))
        with transaction(deaf, "one", {}, since=snapshot_now(connection)):
            connection.execute("create table audit.main.some_table as select 1 as n")
        assert connection.execute("select n from audit.main.some_table").fetchall() == [(1,)]


def _refused(connection: duckdb.DuckDBPyConnection, since: int | None, *before: Callable[[], None]) -> None:
    with pytest.raises(PublishedMeanwhileError):
        _create(connection, "refused", since, *before)


def _create(connection: duckdb.DuckDBPyConnection, name: str, since: int | None, *before: Callable[[], None]) -> None:
    """Create a table in a transaction, in the middle of which something else happens."""
    with transaction(connection, name, {}, since=since):
        connection.execute(f"create table audit.main.{name} as select 1 as n")
        for happens in before:
            happens()


def test_a_transaction_that_does_not_follow_on_what_it_knows_is_refused(homes: list[Settings]) -> None:
    with warehouse(homes[0]) as mine, warehouse(homes[1]) as other:
        since = snapshot_now(mine)
        _refused(other, since, lambda: _create(mine, "first", since))
        _refused(other, since)
        # A connection whose transaction was refused goes on.
        _create(other, "second", snapshot_now(other))
        named = "select list(table_name order by table_name) from duckdb_tables() where database_name = 'audit'"
        assert mine.execute(named).fetchall() == [(["first", "second"],)]
