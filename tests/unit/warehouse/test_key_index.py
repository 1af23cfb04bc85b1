"""The index of the known ids finds what a scan of the table finds, after every kind of change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from activity_audit.warehouse import key_index, known_ids
from activity_audit.warehouse.extensions import connect
from activity_audit.warehouse.key_index import KeyIndex
from activity_audit.warehouse.transactions import snapshot_now

TABLE = known_ids.TABLE
FIRST = "timestamp '1969-12-31 20:00'"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        connection.execute("load ducklake; load sqlite_scanner")
        connection.execute(f"attach 'ducklake:sqlite:{tmp_path}/c.sqlite' as audit (data_path '{tmp_path}/data')")
        connection.execute("create schema audit.quality")
        connection.execute(f"create table {TABLE} (event_id_key bigint, event_hour_utc timestamp)")
        connection.execute("call audit.set_option('data_inlining_row_limit', '0')")
        yield connection


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is read, merged and asked for has several parts."""
    monkeypatch.setattr(key_index, "_ROWS_AT_A_TIME", 70)
    monkeypatch.setattr(key_index, "_KEYS_AT_A_TIME", 30)


def replaced(path: Path, content: bytes) -> None:
    """Give a file another content, and not the one that is open."""
    path.unlink()
    path.write_bytes(content)


def _add(connection: duckdb.DuckDBPyConnection, numbers: str) -> None:
    """Rows with keys spread like those of ids, two of them with one key in two hours."""
    connection.execute(
        f"insert into {TABLE} select (hash(n // 2) >> 16)::bigint, {FIRST} + to_hours(n::integer) from ({numbers}) r(n)"
    )


def _digest(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    return connection.execute(known_ids.digest_of(TABLE)).fetchall()[0]


def _rows(connection: duckdb.DuckDBPyConnection, index: KeyIndex) -> list[tuple[int, int]]:
    """What the index finds of all keys of the table, and of two others."""
    keys = connection.execute(f"select event_id_key from {TABLE} union all values (5), (281474976710655)").fetchnumpy()
    return sorted(zip(*(column.tolist() for column in index.find(keys["event_id_key"])), strict=True))


def _scanned(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    return connection.execute(
        f"select event_id_key, (epoch_us(event_hour_utc) // 3600000000)::integer from {TABLE} order by all"
    ).fetchall()


def _follow(connection: duckdb.DuckDBPyConnection, index: KeyIndex) -> bool:
    snapshot = snapshot_now(connection)
    assert snapshot is not None
    follows = index.follow(connection, snapshot, _digest(connection))
    assert index.covers(connection, snapshot) is follows
    return follows


def _made(connection: duckdb.DuckDBPyConnection, folder: Path) -> KeyIndex:
    index = KeyIndex(folder)
    snapshot = snapshot_now(connection)
    assert snapshot is not None
    index.make(connection, snapshot)
    return index


def test_it_follows_many_runs_with_few_segments(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    index = _made(lake, tmp_path / "index")
    assert _rows(lake, index) == []
    for first in range(0, 1000, 100):
        _add(lake, f"from range({first}, {first + 100})")
        assert _follow(lake, index)
        assert _rows(lake, index) == _scanned(lake)
    # Another process finds it as it was left, and nothing that is no longer of use.
    other = KeyIndex(tmp_path / "index")
    with pytest.raises(RuntimeError, match="was not brought up to date"):
        _rows(lake, other)
    assert _follow(lake, other)
    assert _rows(lake, other) == _scanned(lake)
    assert len(list((tmp_path / "index").glob("*.*s"))) <= 2 * 4
    assert _follow(lake, KeyIndex(tmp_path / "index"))


def test_a_bulk_of_rows_is_read_and_merged_in_parts(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    _add(lake, "from range(1000)")
    index = _made(lake, tmp_path / "index")
    assert _rows(lake, index) == _scanned(lake)
    _add(lake, "from range(1000, 2000)")
    assert _follow(lake, index)
    assert _rows(lake, index) == _scanned(lake)


def test_rows_that_went_are_found_and_not_counted(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    _add(lake, "from range(400)")
    index = _made(lake, tmp_path / "index")
    before = _scanned(lake)
    _add(lake, "from range(400, 500)")
    lake.execute(f"delete from {TABLE} where event_hour_utc < {FIRST} + to_hours(50)")
    lake.execute(f"update {TABLE} set event_id_key = 7 where event_hour_utc = {FIRST} + to_hours(60)")
    assert _follow(lake, index)
    assert {*_scanned(lake)} <= {*_rows(lake, index), *before}
    assert (7, 56) in _rows(lake, index)
    # When most of it is of no use, it is to be made again.
    lake.execute(f"delete from {TABLE} where event_hour_utc < {FIRST} + to_hours(300)")
    assert not _follow(lake, index)


def test_rows_that_are_only_written_again_are_not_added(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    index = _made(lake, tmp_path / "index")
    _add(lake, "from range(100)")
    assert _follow(lake, index)
    lake.execute("create temp table kept as from audit.quality.known_event_id")
    lake.execute(f"begin; delete from {TABLE}; insert into {TABLE} from kept; commit")
    assert _follow(lake, index)
    assert _rows(lake, index) == _scanned(lake)
    assert sum(path.stat().st_size for path in (tmp_path / "index").glob("*.keys")) == 8 * 100


@pytest.mark.parametrize(
    "harm", ["no index", "a torn one", "a segment gone", "a segment cut", "a segment of zeros", "another warehouse's"]
)
def test_an_index_that_is_not_as_it_was_written_is_to_be_made_again(
    lake: duckdb.DuckDBPyConnection, tmp_path: Path, harm: str
) -> None:
    _add(lake, "from range(100)")
    index = _made(lake, tmp_path / "index")
    state, segment = tmp_path / "index" / "index.json", next((tmp_path / "index").glob("*.hours"))
    match harm:
        case "no index":
            state.unlink()
        case "a torn one":
            state.write_text(state.read_text()[:40])
        case "a segment gone":
            segment.unlink()
        case "a segment cut":
            replaced(segment, segment.read_bytes()[:-4])
        case "a segment of zeros":
            replaced(segment, bytes(segment.stat().st_size))
        case _:
            state.write_text(state.read_text().replace('"warehouse": "', '"warehouse": "x'))
    # What was compared before is held on to; what is opened now is not trusted.
    assert _rows(lake, index) == _scanned(lake)
    assert not _follow(lake, KeyIndex(tmp_path / "index"))
    index = _made(lake, tmp_path / "index")
    assert _rows(lake, index) == _scanned(lake)


def test_another_digest_than_that_of_the_rows_is_not_followed(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    index = _made(lake, tmp_path / "index")
    _add(lake, "from range(100)")
    keys, row_sum = _digest(lake)
    for wrong in ((keys + 1, row_sum), (keys, row_sum + 1)):
        assert not index.follow(lake, snapshot_now(lake) or 0, wrong)
    assert _follow(lake, index)


def test_snapshots_that_are_gone_are_not_followed(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    index = _made(lake, tmp_path / "index")
    at = snapshot_now(lake)
    _add(lake, "from range(10)")
    _add(lake, "from range(10, 20)")
    lake.execute(f"call ducklake_expire_snapshots('audit', versions => [{at + 1}])")
    assert not _follow(lake, index)


def test_sql_finds_the_same_by_the_index_and_by_a_scan(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    _add(lake, "from range(5000)")
    asked = (
        "select unnest(known_event_rows(keys), recursive := true) from (select list(event_id_key) as keys from "
        f"(select event_id_key from {TABLE} where event_id_key % 2 = 0 union all from range(10)) "
        "group by event_id_key >> 40) order by all"
    )
    with lake.cursor() as other:
        known_ids.look_up_by_scan(other)
        by_scan = lake.execute(asked).fetchall()
        lake.execute(f"drop macro {known_ids.FUNCTION}")
    assert len(by_scan) > 2000
    _made(lake, tmp_path / "index").register(lake)
    assert lake.execute(asked).fetchall() == by_scan
    with lake.cursor() as other:
        assert other.execute(asked).fetchall() == by_scan


def test_one_that_another_process_replaces_is_held_on_to(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    _add(lake, "from range(100)")
    index = _made(lake, tmp_path / "index")
    other = _made(lake, tmp_path / "index")
    for path in (tmp_path / "index").iterdir():
        path.unlink()
    assert _rows(lake, index) == _rows(lake, other) == _scanned(lake)


def test_a_full_disk_leaves_nothing(
    lake: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(lake, "from range(100)")

    def is_full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(key_index.files, "sync", is_full)
        with pytest.raises(OSError, match="No space left"):
            _made(lake, tmp_path / "index")
    assert list((tmp_path / "index").glob("*.*s")) == []
    # What a process left that was killed goes when the next one changes the index.
    (tmp_path / "index" / "0123.keys").write_bytes(b"left")
    _made(lake, tmp_path / "index")
    assert not (tmp_path / "index" / "0123.keys").exists()
