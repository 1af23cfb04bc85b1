"""The index of a shared raw lake in PostgreSQL: it says what the SQLite file says, to several machines at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activity_audit.base.faults import FaultError
from activity_audit.ingest.set_aside import SetAside, SetAsides
from activity_audit.ingest.waiting import Waiting
from activity_audit.raw.database import SqliteDatabase
from activity_audit.raw.index import LandedDelivery, LandedManifest, RawIndex
from activity_audit.raw.lake import RawLake, local_lake
from activity_audit.raw.notes import FileNotes, IndexNotes, Notes
from activity_audit.raw.postgres import SCHEMA, PostgresDatabase
from activity_audit.raw.store import LocalStore
from tests.integration.postgres_server import INITDB, PostgresServer, postgres_server

pytestmark = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")

HOUR = datetime(2026, 5, 1, 10, tzinfo=UTC)
LANDED_AT = datetime(2026, 5, 1, 11, 30, tzinfo=UTC)
# What a quote, a backslash, a question mark, SQL and other alphabets must not do.
NAMES = ["a.ndjson", "o'clock?.csv", "back\\slash\\'", "$q$ -- ; drop table delivery", "Zoë 😀", "%s {} ::text", ""]
FEEDS = ("search", "bi")


def delivery(number: int, feed: str = "search", hour: int = 0, name: str = "") -> LandedDelivery:
    at = LANDED_AT + timedelta(microseconds=number)
    hour_of = HOUR + timedelta(hours=hour)
    return LandedDelivery(f"{number:032x}", feed, hour_of, name, f"s3://b/{name}", "0" * 64, number, number + 1, at)


@pytest.fixture
def raw(postgres: PostgresServer, tmp_path: Path) -> RawLake:
    """A shared raw lake with a new index."""
    return _lake(postgres.new_database(), tmp_path)


def _lake(catalog: str, folder: Path) -> RawLake:
    database = PostgresDatabase(catalog.removeprefix("postgres:"))
    (folder / "raw").mkdir(exist_ok=True)
    return RawLake(LocalStore(folder / "raw"), RawIndex(database), IndexNotes(database), folder / "raw", is_shared=True)


def _said(raw: RawLake) -> Iterator[object]:
    """All that an index says after it went through everything."""
    index = raw.index
    yield index.is_complete()
    deliveries = [delivery(n, FEEDS[n % 2], n % 3, name) for n, name in enumerate(NAMES)]
    manifest = LandedManifest("search", HOUR, "1" * 64, b"\0\xff'\\ {}")
    yield index.add(deliveries[:4], [(manifest, LANDED_AT)], [(d.source_uri, "1") for d in deliveries[:3]])
    newer = replace(manifest, sha256="2" * 64, content=b"")
    yield index.add(deliveries, [(newer, LANDED_AT + timedelta(hours=1))], [(deliveries[1].source_uri, "2")])
    yield index.manifests(FEEDS)
    yield index.add([], [(manifest, LANDED_AT + timedelta(hours=2))])
    yield index.manifests(FEEDS)
    yield index.manifests(["bi"])
    yield sorted(index.tokens([d.source_uri for d in deliveries]).items())
    yield index.deliveries(FEEDS)
    yield index.deliveries(["search"], (HOUR + timedelta(hours=1), HOUR + timedelta(hours=2)))
    yield index.newest("search", HOUR, deliveries[0].source_uri)
    yield index.newest("search", HOUR, "none")
    yield index.first_hour(), index.newest_hours([*FEEDS, "qm"])
    index.set_complete(deliveries, [])
    yield index.is_complete()
    waiting = Waiting(raw)
    ids = {deliveries[0].delivery_id, deliveries[1].delivery_id}
    assert len(waiting.hours(FEEDS, ())) == 3
    yield waiting.hours(FEEDS, ids), waiting.all_hours(["bi"], ids), waiting.hours(FEEDS, ())
    yield waiting.count(LANDED_AT + timedelta(microseconds=3), ids), waiting.count(LANDED_AT, ())
    aside = SetAsides(raw)
    found = [SetAside("search", HOUR, name, name, "it's \0 \\ wrong", LANDED_AT, LANDED_AT) for name in NAMES]
    no_hour = SetAside("bi", None, "x", "y", "z", LANDED_AT, LANDED_AT, "id", LANDED_AT)
    aside.update([*found, no_hour])
    aside.update([replace(found[0], reason="other", first_seen=HOUR)], found[1:3])
    yield [replace(one, reason=one.reason.replace("\0", "\\0")) for one in aside.all(FEEDS)]
    yield len(aside.all(["search"], (HOUR + timedelta(hours=1), HOUR + timedelta(hours=2))))
    index.expect(["b", "a'"], LANDED_AT)
    index.expect(["a'", "c"], LANDED_AT + timedelta(hours=30))
    yield index.expected()
    index.forget_expected(["c"], LANDED_AT)
    yield index.expected()
    index.forget_expected([], LANDED_AT + timedelta(days=2))
    yield index.expected()


def test_it_says_what_a_sqlite_file_says(raw: RawLake, tmp_path: Path) -> None:
    local = local_lake(tmp_path / "local")
    (tmp_path / "local").mkdir()
    for number, (there, here) in enumerate(zip(_said(raw), _said(local), strict=True)):
        assert there == here, number


def test_texts_are_ordered_as_in_sqlite_whatever_the_database_is(raw: RawLake) -> None:
    with raw.index.connect() as connection:
        rows = connection.execute(
            "select table_name, column_name from information_schema.columns "
            "where table_schema = ? and data_type = 'text' and collation_name is distinct from 'C'",
            [SCHEMA],
        ).fetchall()
    assert rows == []


@pytest.mark.parametrize("kind", ["files", "sqlite", "postgresql"])
def test_notes(kind: str, raw: RawLake, tmp_path: Path) -> None:
    notes: Notes = raw.notes if kind == "postgresql" else FileNotes(tmp_path / "notes")
    if kind == "sqlite":
        notes = IndexNotes(SqliteDatabase(tmp_path / "notes.sqlite"))
    assert notes.read("a/b.json") is None
    notes.update("a/b.json", lambda known: f"first {known}")
    notes.update("a/b.json", lambda known: f"{known}, 'second'")
    assert notes.read("a/b.json") == "first None, 'second'"
    assert notes.read("a/c.json") is None
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: notes.update("n", lambda known: f"{int(known or 0) + 1}"), range(20)))
    assert notes.read("n") == "20"


def test_several_machines_at_once(postgres: PostgresServer, tmp_path: Path) -> None:
    """They make the tables at the same moment, and each delivery is new to one of them alone."""
    catalog = postgres.new_database()
    deliveries = [delivery(n, name=f"{n}.ndjson") for n in range(1200)]

    def machine(number: int) -> list[LandedDelivery]:
        own = deliveries[number * 100 : number * 100 + 900]
        return _lake(catalog, tmp_path).index.add(own, [], [(d.source_uri, str(number)) for d in reversed(own)])

    with ThreadPoolExecutor(4) as pool:
        added = [one for part in pool.map(machine, range(4)) for one in part]
    assert sorted(one.delivery_id for one in added) == [one.delivery_id for one in deliveries]
    assert len(_lake(catalog, tmp_path).index.deliveries(FEEDS)) == 1200


def test_a_block_that_fails_changes_nothing(raw: RawLake) -> None:
    def fails(statement: str) -> None:
        with raw.index.connect() as connection:
            connection.execute("insert into note values ('a', 'b')")
            connection.execute(statement)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails("select 1")
    assert raw.notes.read("a") is None
    with pytest.raises(FaultError, match=r'cannot be used: relation "nothing" does not exist\. Nothing is half done'):
        fails("delete from nothing")
    assert raw.notes.read("a") is None


def test_a_role_that_may_only_read_reads(raw: RawLake, postgres: PostgresServer, tmp_path: Path) -> None:
    raw.index.set_complete([delivery(1)], [])
    with raw.index.connect() as connection:
        connection.execute(f"create role reader_{id(raw)} login")
        connection.execute(f"grant usage on schema {SCHEMA} to reader_{id(raw)}")
        connection.execute(f"grant select on all tables in schema {SCHEMA} to reader_{id(raw)}")
    dsn = raw.index.database._dsn.replace("user=audit", f"user=reader_{id(raw)}")
    reader = _lake(f"postgres:{dsn}", tmp_path)
    assert reader.index.is_complete()
    assert reader.index.deliveries(FEEDS) == [delivery(1)]
    assert SetAsides(reader).all(FEEDS) == []
    with pytest.raises(FaultError, match="permission denied for table delivery"):
        reader.index.add([delivery(2)])


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    raw = _lake(f"postgres:host={tmp_path} dbname=audit password=secret", tmp_path)
    with pytest.raises(FaultError, match=r"the index of the raw lake.*when the database is back") as raised:
        raw.notes.read("a")
    assert "No such file" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.slow
def test_a_server_that_went_away_and_came_back(tmp_path: Path) -> None:
    with postgres_server() as server:
        raw = _lake(server.dsn, tmp_path)
        raw.notes.update("a", lambda _: "b")
        server.kill()
        with pytest.raises(FaultError, match="when the database is back"):
            raw.notes.read("a")
        server.start()
        assert raw.notes.read("a") == "b"

        def falls_down(_: str | None) -> str:
            server.kill()
            return "d"

        with pytest.raises(FaultError, match="when the database is back"):
            raw.notes.update("c", falls_down)
        server.start()
        assert (raw.notes.read("a"), raw.notes.read("c")) == ("b", None)
