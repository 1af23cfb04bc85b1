"""The report's connections: the newest snapshot without a restart, a question stopped in time, many readers at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import duckdb
import pytest

from activity_audit.base.vocabulary import FACT
from activity_audit.report.queries import events, groups, snapshots
from activity_audit.report.queries.event_ids import EventIds
from activity_audit.report.queries.scheduler import processors
from activity_audit.report.queries.warehouse import Query, QueryCancelledError, QueryTimeoutError, Warehouse
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake, lake_writer
from activity_audit.warehouse.events.filters import Filters
from tests.integration.report_rows import counted_warehouse
from tests.integration.support import deliver, event, lines, run, until

DAYS = Filters(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
ENDLESS = "select count(*) from range(1000000000) as a, range(1000000) as b where a.range * b.range % 7 = 3"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_HOME", str(tmp_path_factory.mktemp("report") / "home"))
        settings = load_settings()
        deliver(settings, lines(event(f"e-{number}", triggeredBy=f"user {number % 3}") for number in range(30)))
        run(settings)
        yield settings


@pytest.fixture(scope="module")
def warehouse(home: Settings) -> Iterator[Warehouse]:
    with counted_warehouse(home) as warehouse:
        yield warehouse


def test_a_question_is_stopped_by_its_time_or_by_who_asked_and_holds_up_nobody(warehouse: Warehouse) -> None:
    begun = time.monotonic()
    with pytest.raises(QueryTimeoutError, match=r"longer than 0\.3 s"), warehouse.query(timeout=0.3) as asked:
        asked.rows(ENDLESS)
    with warehouse.query() as asked:
        threading.Timer(0.3, asked.cancel).start()
        with warehouse.query() as other:
            assert events.count(other, DAYS) == 30
        with pytest.raises(QueryCancelledError):
            asked.rows(ENDLESS)
        with pytest.raises(QueryCancelledError):
            asked.rows("select 1")
    assert time.monotonic() - begun < 20
    with warehouse.query() as asked:
        assert events.count(asked, DAYS) == 30


def test_what_reads_much_holds_up_nobody_and_is_stopped_while_it_waits_too(warehouse: Warehouse) -> None:
    asked: list[Query] = []

    def read_much() -> None:
        with warehouse.query() as query:
            asked.append(query)
            query.rows(ENDLESS, reads=10**9)

    with ThreadPoolExecutor(8) as readers:
        reading = [readers.submit(read_much) for _ in range(8)]
        until(lambda: len(asked) == 8)
        for _ in range(20):
            with warehouse.query() as query:
                assert events.count(query, DAYS) == 30
        assert not any(one.done() for one in reading)
        # The last ones have not begun: they wait for the first.
        for query in reversed(asked):
            query.cancel()
        for one in reading:
            with pytest.raises(QueryCancelledError):
                one.result(20)
    with warehouse.query(timeout=0.3) as query, pytest.raises(QueryTimeoutError):
        query.rows(ENDLESS, reads=10**9)


def test_one_who_waits_for_a_turn_can_be_stopped(home: Settings) -> None:
    warehouse = Warehouse(home)
    try:
        with ExitStack() as turns:
            for _ in range(processors()):
                turns.enter_context(warehouse.query()).rows("select 1")
            with warehouse.query(timeout=0.3) as late, pytest.raises(QueryTimeoutError):
                late.rows("select 1")
        with warehouse.query() as next_one:
            assert next_one.rows("select 1") == [(1,)]
    finally:
        warehouse.close()


def test_the_same_question_is_asked_once_and_a_new_snapshot_is_asked_again(home: Settings) -> None:
    warehouse = Warehouse(home)
    asked: list[str] = []
    try:
        for _ in range(2):
            with warehouse.query() as query:
                assert query.remember("what", lambda: asked.append("asked") or "answer") == "answer"
                first, again = events.page(query, DAYS, events.Order()), events.page(query, DAYS, events.Order())
                assert first is again
                assert events.page(query, DAYS, events.Order("entity")) is not first
        assert asked == ["asked"]
    finally:
        warehouse.close()


def test_twenty_readers_at_once_are_all_told_the_same(warehouse: Warehouse) -> None:
    def ask(number: int) -> tuple[object, ...]:
        filters = Filters(DAYS.start, DAYS.end, triggered_by=(f"user {number % 3}",))
        with warehouse.query() as asked:
            page = events.page(asked, filters, events.Order())
            return events.count(asked, filters), len(page.rows), {row[2] for row in page.rows}

    with ThreadPoolExecutor(20) as readers:
        for number, said in enumerate(readers.map(ask, range(60))):
            assert said == (10, 10, {f"user {number % 3}"})


def test_what_is_not_there_is_said_without_secrets(
    settings: Settings, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(lake.NothingPublishedError, match="audit run"), Warehouse(settings).query():
        pass
    with pytest.raises(lake.WarehouseError, match="4711"), warehouse.query(snapshot=4711):
        pass
    monkeypatch.setenv("AUDIT_CATALOG", "postgres:host=127.0.0.1 port=1 dbname=audit password=hunter2")
    monkeypatch.setenv("AUDIT_DATA_PATH", str(settings.home / "data"))
    with pytest.raises(lake.WarehouseError) as refused, Warehouse(load_settings()).query():
        pass
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_new_snapshot_is_read_without_a_restart_and_an_old_one_as_long_as_it_is_asked_for(
    home: Settings, warehouse: Warehouse
) -> None:
    with warehouse.query() as before:
        old = before.snapshot
        assert "read_parquet" in before.files.reading(DAYS).sql
        deliver(home, lines([event("late", eventTime="2026-04-30T10:00:00Z", triggeredBy="user 9")]), "b.ndjson")
        run(home)

        def is_new() -> bool:
            with warehouse.query() as asked:
                return asked.snapshot.snapshot_id > old.snapshot_id

        until(is_new)
        assert events.count(before, DAYS) == 30
    with warehouse.query() as asked:
        assert asked.has_people
        assert asked.snapshot.run_id != old.run_id
        assert events.count(asked, DAYS) == 31
        assert events.page(asked, DAYS, events.Order()).rows[-1][1] == "late"
        found = groups.groups(asked, DAYS, ("triggered_by",))
        assert {one.value: one.count for one in found} == {"user 0": 10, "user 1": 10, "user 2": 10, "user 9": 1}
    with warehouse.query(snapshot=old.snapshot_id) as asked:
        assert asked.snapshot == old
        assert len(groups.groups(asked, DAYS, ("triggered_by",))) == 3


def test_who_opens_an_older_snapshot_or_stops_the_report_does_not_wait_until_people_are_counted(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = threading.Event()

    def snapshot(number: int | None = None) -> tuple[int, bool]:
        with warehouse.query(snapshot=number) as asked:
            return asked.snapshot.snapshot_id, asked.is_prepared

    def count(connection: duckdb.DuckDBPyConnection, *_: object) -> None:
        counting.set()
        # The end of the count if nobody stops it, so that a reader who waits for it fails the test and hangs nothing.
        too_late = threading.Timer(8, connection.interrupt)
        too_late.start()
        try:
            connection.execute(ENDLESS)
        finally:
            too_late.cancel()

    warehouse = Warehouse(home)
    try:
        until(lambda: snapshot()[1])
        old = snapshot()[0]
        with lake.reader(home) as connection:
            older = lake.newest_version(connection) - 1
        monkeypatch.setattr("activity_audit.report.queries.rollups.build_people", count)
        deliver(home, lines([event("later", eventTime="2026-04-30T11:00:00Z", triggeredBy="user 9")]), "c.ndjson")
        run(home)
        refreshing = threading.Thread(target=warehouse.refresh, daemon=True)
        refreshing.start()
        assert counting.wait(20)
        with ThreadPoolExecutor(1) as reader:
            opened = reader.submit(snapshot, older)
            try:
                assert opened.result(5)[0] == older < old
                assert refreshing.is_alive()
            finally:
                threading.Thread(target=warehouse.close, daemon=True).start()
                refreshing.join(2)
                is_stopped = not refreshing.is_alive()
        assert is_stopped
    finally:
        warehouse.close()


def test_rows_that_were_deleted_are_not_read_from_their_file(home: Settings) -> None:
    with duckdb.connect() as connection:
        lake_writer.attach(connection, home)
        connection.execute("delete from audit.main.fact_activity_event where triggered_by = 'user 1'")
        left = {
            user for (user,) in connection.execute("select triggered_by from audit.main.fact_activity_event").fetchall()
        }
    warehouse = Warehouse(home)
    try:
        with warehouse.query() as asked:
            page = events.page(asked, DAYS, events.Order())
            assert {row[2] for row in page.rows} == left
            assert "user 1" not in left
            assert FACT in asked.files.reading(DAYS).sql
    finally:
        warehouse.close()


def test_the_duckdbs_of_a_snapshot_share_the_memory_limit(home: Settings) -> None:
    little = home.model_copy(update={"memory_limit": "400MB"})
    sort = "select max(n) from (select row_number() over (order by md5(range::varchar)) as n from range(1000000))"
    with closing(Warehouse(little)) as warehouse, ThreadPoolExecutor(6) as readers:
        with warehouse.query() as asked:
            assert events.count(asked, DAYS) >= 30
        (attached,) = warehouse._attached.values()
        both = (attached.connection, attached.scanning)
        assert warehouse._catalog._connection is not None
        others = (warehouse._catalog._connection, warehouse._event_ids._hashing)
        limit = "select current_setting('memory_limit')"
        assert [one.cursor().execute(limit).fetchall() for one in both] == [[("190.7 MiB",)]] * 2
        assert [one.cursor().execute(limit).fetchall() for one in others] == [[("95.3 MiB",)]] * 2

        def read(reads: int) -> int:
            with warehouse.query(timeout=60) as query:
                return query.rows(sort, reads=reads)[0][0]

        reading = [readers.submit(read, reads) for reads in (0, 10**9) * 2]
        most = 0
        while not all(one.done() for one in reading):
            used = "select sum(memory_usage_bytes) from duckdb_memory()"
            most = max(most, sum(one.cursor().execute(used).fetchall()[0][0] for one in both))
            time.sleep(0.02)
        assert [one.result() for one in reading] == [1_000_000] * 4
        assert 50_000_000 < most <= 400_000_000, most


class _Interrupted:
    """A connection whose interruption lets the thread that counts with it come to its end first, if it may."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, ends: threading.Event, ended: threading.Event) -> None:
        self._connection, self._ends, self._ended = connection, ends, ended

    def __enter__(self) -> _Interrupted:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def interrupt(self) -> None:
        self._ends.set()
        self._ended.wait(0.5)
        self._connection.interrupt()


def test_the_report_is_stopped_just_as_a_count_ends(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    counting, ends, ended = threading.Event(), threading.Event(), threading.Event()

    def count(*_: object) -> None:
        counting.set()
        assert ends.wait(20)
        raise duckdb.InterruptException("interrupted")

    def prepare() -> None:
        attached.prepare()
        ended.set()

    monkeypatch.setattr("activity_audit.report.queries.rollups.build_people", count)
    with lake.reader(home) as connection:
        number = lake.newest_version(connection)
    with closing(EventIds(home.report_dir / "event_ids")) as event_ids:
        attached = snapshots.attach(home, number, 0, event_ids)
        cursor = attached.connection.cursor()
        monkeypatch.setattr(attached, "cursor", lambda: _Interrupted(cursor, ends, ended))
        preparing = threading.Thread(target=prepare, daemon=True)
        preparing.start()
        assert counting.wait(20)
        attached.close()
        preparing.join(20)
        assert ended.is_set()
