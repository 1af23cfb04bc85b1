"""A warehouse moves to PostgreSQL and a bucket, and back, and stays the same warehouse."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from activity_audit.evidence.verify.verify import verify
from activity_audit.ledger import ledger
from activity_audit.pipeline.run import land_feeds
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings, load_settings
from activity_audit.upkeep import move as moving
from activity_audit.upkeep.move import MoveError, move
from activity_audit.warehouse import lake
from activity_audit.warehouse.transactions import NotPublishedError, snapshot_now, transaction
from tests.integration.postgres_server import INITDB, PostgresServer
from tests.integration.support import HOUR, audit, deliver, dump, event, lines, query, run
from tests.integration.tampering import copied, warehouse
from tests.s3_server import Bucket

on_postgres = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")
EVENTS = "select event_id from fact_activity_event order by all"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two hours; the tests work on copies."""
    folder = tmp_path_factory.mktemp("move")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search")
    deliver(settings, lines([event("a"), event("a"), event("b"), "junk"]))
    run(settings)
    deliver(settings, lines([event("c")]), hour=1)
    run(settings, 1)
    return settings


@pytest.fixture
def published(original: Settings, tmp_path: Path) -> Settings:
    return copied(original, tmp_path / "home")


def _elsewhere(settings: Settings, name: str) -> Settings:
    folder = settings.home.with_name(name)
    places = {"catalog": str(folder / "catalog.sqlite"), "data_path": str(folder / "data")}
    return settings.model_copy(update=places)


def _index(settings: Settings, query: str) -> list[tuple]:
    with raw_lake(settings).index.connect() as connection:
        return connection.execute(query).fetchall()


def _head(settings: Settings) -> object:
    with lake.reader(settings) as reading:
        return ledger.newest(reading)


@on_postgres
def test_to_postgresql_and_a_bucket_and_back(published: Settings, postgres: PostgresServer, bucket: Bucket) -> None:
    runs = [run_id for (run_id,) in query(published, "select run_id from quality.pipeline_run order by started_at_utc")]
    before, head = dump(published, set()), _head(published)
    tokens = _index(published, "select * from seen order by 1")
    places = {"catalog": postgres.new_database(), "data_path": f"{bucket.url}/lake", "raw_path": f"{bucket.url}/raw"}
    shared = published.model_copy(update=places)
    moved = move(published, shared)
    assert moved.head == head
    assert moved.files == len([key for key in bucket.keys("lake/") if key.endswith(".parquet")])
    assert moved.raw_files == len(bucket.keys("raw/")) == 2
    assert _index(shared, "select * from seen order by 1") == tokens
    with pytest.raises(lake.WarehouseError, match=r"the raw lake in .* was moved to s3://"):
        land_feeds(published, ["search"], (HOUR, HOUR + timedelta(hours=3)))
    assert dump(shared, set()) == before
    assert query(shared, EVENTS, at=runs[0]) == [("a",), ("b",)]
    assert verify(shared).findings == []
    # A published id is known there too, and the next run follows.
    deliver(shared, lines([event("d"), event("a")]), hour=2)
    totals = run(shared, 2).totals
    assert (totals["accepted"], totals["duplicate"]) == (1, 1)

    # A third machine has nothing but the settings.
    back = _elsewhere(published, "back").model_copy(update={"home": published.home.with_name("new")})
    before, head = dump(shared, set()), _head(shared)
    moved = move(shared.model_copy(update={"home": back.home}), back)
    assert (moved.head, moved.raw_files) == (head, 3)
    assert dump(back, set()) == before
    assert query(back, EVENTS, at=runs[0]) == [("a",), ("b",)]
    assert [row[0] for row in query(back, EVENTS)] == ["a", "b", "c", "d"]
    assert verify(back).findings == []
    deliver(back, lines([event("e")]), hour=4)
    assert run(back, 4).totals["accepted"] == 1


def test_the_old_place_is_closed(published: Settings) -> None:
    there = _elsewhere(published, "there")
    move(published, there)
    for command in (["run"], ["status"], ["sql", "select 1"], ["verify"]):
        refused = audit(published, *command, check=False)
        assert refused.returncode == 1
        assert "was moved to" in refused.stderr
        assert "set AUDIT_CATALOG and AUDIT_DATA_PATH" in refused.stderr
    with pytest.raises(lake.WarehouseError, match="was moved to"):
        move(published, _elsewhere(published, "a third place"))
    # To repeat it does no harm.
    assert move(published, there).head == _head(there)


@pytest.mark.parametrize(
    "step",
    ["_fence", *(pytest.param(step, marks=pytest.mark.slow) for step in ("_copy_catalog", "_hand_over"))],
)
def test_a_move_that_was_interrupted_goes_on(published: Settings, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there, before = _elsewhere(published, "there"), dump(published, set())
    with monkeypatch.context() as patch:
        patch.setattr(moving, step, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            move(published, there)
    with pytest.raises(lake.WarehouseError, match="is being moved"):
        query(there, EVENTS)
    if step == "_copy_catalog":
        # The old one is open until the new one is complete.
        deliver(published, lines([event("d")]), hour=2)
        run(published, 2)
        before = dump(published, set())
    move(published, there)
    assert dump(there, set()) == before


def test_what_another_home_publishes_meanwhile_is_not_lost(
    published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = _elsewhere(published, "there")
    copy = moving._copy_catalog

    def publish_meanwhile(connection: duckdb.DuckDBPyConnection, *places: object) -> None:
        copy(connection, *places)
        other = published.model_copy(update={
            "home": published.home.with_name("other"), "catalog": str(published.catalog_file),
            "data_path": published.data_root,
        })  # fmt: skip
        deliver(other, lines([event("d")]), hour=2)
        run(other, 2)

    with monkeypatch.context() as patch:
        patch.setattr(moving, "_copy_catalog", publish_meanwhile)
        with pytest.raises(MoveError, match="a run was published while"):
            move(published, there)
    move(published, there)
    assert [row[0] for row in query(there, EVENTS)] == ["a", "b", "c", "d"]


def test_a_place_that_is_taken_is_refused(published: Settings, tmp_path: Path) -> None:
    with pytest.raises(MoveError, match="is the catalog already"):
        move(published, published)
    there = _elsewhere(published, "there")
    Path(there.data_root).mkdir(parents=True)
    (Path(there.data_root) / "mine.txt").write_text("mine")
    with pytest.raises(MoveError, match=r"holds mine\.txt"):
        move(published, there)
    (Path(there.data_root) / "mine.txt").unlink()
    other = there.model_copy(update={"home": tmp_path / "other"})
    deliver(other, lines([event("z")]))
    run(other)
    with pytest.raises(MoveError, match="holds a warehouse already"):
        move(published, there)
    assert query(published, EVENTS)


def test_the_command_says_what_to_set(published: Settings) -> None:
    there = _elsewhere(published, "there")
    said = audit(published, "move", "--catalog", there.catalog or "", "--data-path", there.data_root).stdout
    assert f"export AUDIT_CATALOG={there.catalog}" in said
    assert f"export AUDIT_DATA_PATH={there.data_root}" in said
    assert "ledger" in said
    assert [row[0] for row in query(there, EVENTS)] == ["a", "b", "c"]
    empty = published.model_copy(update={"home": published.home.with_name("empty")})
    nothing = audit(empty, "move", "--catalog", "x.sqlite", "--data-path", "y", check=False)
    assert nothing.returncode == 1
    assert "nothing is published" in nothing.stderr


def _with_raw(settings: Settings, name: str) -> Settings:
    there = _elsewhere(settings, name)
    return there.model_copy(update={"raw_path": str(settings.home.with_name(f"{name}-raw"))})


def test_a_move_that_is_complete_changes_nothing_when_it_is_repeated(published: Settings) -> None:
    there = _with_raw(published, "there")
    first = move(published, there)
    deliver(there, lines([event("d")]), hour=2)
    land_feeds(there, ["search"], (HOUR, HOUR + timedelta(hours=3)))
    landed = _index(there, "select count(*) from delivery")
    again = move(published, there)
    assert (again.files, again.head) == (first.files, first.head)
    assert _index(there, "select count(*) from delivery") == landed == [(3,)]
    # Its source may be gone by then.
    shutil.rmtree(Path(there.feed_root) / "search")
    assert run(there, 2).totals["accepted"] == 1
    assert move(published, there).head == _head(there)


def test_a_raw_lake_that_is_another_ones_is_refused(published: Settings, tmp_path: Path) -> None:
    other = published.model_copy(update={"home": tmp_path / "other", "feed_url": str(tmp_path / "other-feeds")})
    deliver(other, lines([event("z")]))
    land_feeds(other, ["search"], (HOUR, HOUR + timedelta(hours=1)))
    there = _with_raw(published, "there").model_copy(update={"raw_path": str(other.raw_dir)})
    with pytest.raises(MoveError, match="holds a raw lake already"):
        move(published, there)
    assert query(published, EVENTS)
    # So is the one that was moved away from.
    there = _with_raw(published, "there")
    move(published, there)
    back = _elsewhere(published, "back").model_copy(update={"raw_path": None})
    with pytest.raises(MoveError, match="holds a raw lake already"):
        move(there, back)


def test_a_process_that_had_attached_the_old_place_commits_nothing(published: Settings) -> None:
    with warehouse(published) as attached:
        move(published, _elsewhere(published, "there"))
        with (
            pytest.raises(NotPublishedError, match="was moved to"),
            transaction(attached, "late", {}, since=snapshot_now(attached)),
        ):
            attached.execute("create table audit.main.late as select 1 as n")


@on_postgres
def test_an_index_that_moves_with_its_catalog_closes_the_old_one(
    published: Settings, postgres: PostgresServer, bucket: Bucket
) -> None:
    """The raw files stay where they are; what is landed by the old index would be known to nobody."""
    places = {"data_path": f"{bucket.url}/lake", "raw_path": f"{bucket.url}/raw"}
    first = published.model_copy(update={"catalog": postgres.new_database(), **places})
    move(published, first)
    second = first.model_copy(update={"catalog": postgres.new_database()})
    move(first, second)
    with pytest.raises(lake.WarehouseError, match=r"the raw lake in s3://.* was moved"):
        land_feeds(first, ["search"], (HOUR, HOUR + timedelta(hours=3)))
    deliver(second, lines([event("d")]), hour=2)
    assert run(second, 2).totals["accepted"] == 1
    assert verify(second).findings == []
