"""The rules of the ledger: what is hashed, how entries are chained, and how a broken chain is told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activity_audit.ledger import digests
from activity_audit.ledger.chain import EMPTY_SHA256, BatchDigest, Entry, append, breaks, entry_sha256, entry_text
from activity_audit.ledger.head import kept
from activity_audit.ledger.raw_hashes import each_sha256, each_sha256_or_error
from activity_audit.ledger.slices import condition, even, halves, is_within, slices

HOUR = datetime(2026, 5, 1, 10)  # noqa: DTZ001
LATER = datetime(2026, 5, 1, 11, 10, 0, 5)  # noqa: DTZ001


def _batch(feed: str = "search", hour: datetime = HOUR) -> BatchDigest:
    return BatchDigest(feed, hour, "run-1", 1, 3, 2, 0, 1, "a" * 64, "b" * 64, "c" * 64)


def _chain(length: int) -> list[Entry]:
    return append(None, "batch", [_batch(f"feed-{number}") for number in range(length)], LATER)


def test_the_text_and_the_hash_of_an_entry_never_change() -> None:
    text = entry_text(1, "batch", _batch(), LATER)
    digests_text = ",".join(f"64:{letter * 64}" for letter in "abc")
    assert text == (
        "23:activity-audit-ledger/1,1:1,5:batch,5:run-1,6:search,27:2026-05-01T10:00:00.000000Z,1:1,1:3,1:2,1:0,1:1,"
        f"{digests_text},27:2026-05-01T11:10:00.000005Z"
    )
    leaf = hashlib.sha256(b"\x00" + text.encode()).digest()
    expected = hashlib.sha256(b"\x01" + hashlib.sha256(b"").digest() + leaf).hexdigest()
    assert entry_sha256(EMPTY_SHA256, text) == expected
    assert expected == "215e5ea9d63d4aa716d3c51d4eae4071b51ada33488d5805a62c450beaf47447"
    assert append(None, "batch", [_batch()], LATER)[0].entry_sha256 == expected


def test_entries_follow_each_other_across_runs() -> None:
    first = append(None, "batch", [_batch("a"), _batch("b")], LATER)
    second = append(first[-1], "batch", [_batch("c")], LATER)
    assert [entry.sequence for entry in first + second] == [1, 2, 3]
    assert [entry.previous_sha256 for entry in first + second] == [
        EMPTY_SHA256, first[0].entry_sha256, first[1].entry_sha256,
    ]  # fmt: skip
    assert list(breaks(first + second)) == []
    assert list(breaks([])) == []


@given(st.data())
def test_every_field_of_an_entry_counts(data: st.DataObject) -> None:
    chain = _chain(3)
    number = data.draw(st.integers(0, 2))
    field = data.draw(st.sampled_from([*BatchDigest.__dataclass_fields__]))
    value = getattr(chain[number].batch, field)
    other = value + 1 if isinstance(value, int) else LATER if isinstance(value, datetime) else f"{value}0"
    chain[number] = replace(chain[number], batch=replace(chain[number].batch, **{field: other}))
    assert [(found.sequence, found.is_edited) for found in breaks(chain)] == [(number + 1, True)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("kind", "other"), ("recorded_at_utc", HOUR), ("entry_sha256", "0" * 64), ("previous_sha256", "no hash")],
)
def test_an_edited_entry_is_named(field: str, value: object) -> None:
    chain = _chain(3)
    chain[1] = replace(chain[1], **{field: value})  # type: ignore[arg-type]
    assert (2, True) in [(found.sequence, found.is_edited) for found in breaks(chain)]
    assert 1 not in [found.sequence for found in breaks(chain)]


def test_removed_replaced_and_repeated_entries_are_named() -> None:
    chain = _chain(6)
    assert [(b.sequence, b.problem) for b in breaks(chain[1:])] == [(1, "missing")]
    assert [(b.sequence, b.problem) for b in breaks(chain[:2] + chain[4:])] == [(3, "missing")]
    assert [(b.sequence, b.problem) for b in breaks([*chain[:3], chain[2], *chain[3:]])] == [(3, "added")]
    forged = append(chain[0], "batch", [_batch("forged")], LATER)
    assert [(b.sequence, b.problem, b.is_edited) for b in breaks([chain[0], *forged, *chain[2:]])] == [
        (3, "changed", False)
    ]


@pytest.mark.parametrize("number", [1, 5, 1000])
def test_the_digest_of_rows_is_that_of_their_sorted_hashes(number: int) -> None:
    hashes = [hashlib.sha256(str(row).encode()).hexdigest() for row in range(number)]
    # What begins alike, what ends in zeros, and what is there more than once.
    hashes += [hashes[0][:63] + digit for digit in "0f5"] + [hashes[0][:60] + "0000", "00" * 32] + hashes[:2]
    expected = hashlib.sha256("".join(f"{row}\n" for row in sorted(hashes)).encode()).hexdigest()
    with duckdb.connect() as connection:
        connection.execute("create table given as select unnest(?) as row_sha256", [hashes])
        query = f"select {digests.hashes('row_sha256')} from given"
        ((joined,),) = connection.execute(query).fetchall()
    assert digests.digest(joined) == expected


def test_a_row_hash_tells_every_field_apart() -> None:
    columns = {
        "delivery_id": "varchar", "source_uri": "varchar", "source_record": "bigint", "reasons": "varchar[]",
        "event_id": "varchar", "record": "varchar", "record_bytes": "blob", "record_length": "bigint",
        "record_sha256": "varchar",
    }  # fmt: skip
    given = ("d", "file:///é", 7, ["a", "b"], None, "{}", b"\xff\x00", 2, None)
    text = "1:d,10:file:///é,1:7,3:a b,-,2:{},4:ff00,1:2,-"
    with duckdb.connect() as connection:
        connection.execute(f"create table given ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        connection.execute("insert into given values (?, ?, ?, ?, ?, ?, ?, ?, ?)", given)
        assert connection.execute(f"select {digests.quarantined_sha256()} from given").fetchall() == [
            (hashlib.sha256(text.encode()).hexdigest(),)
        ]


def test_slices_cover_the_window_and_hold_no_more_than_they_may() -> None:
    hours = [HOUR.replace(hour=hour) for hour in range(6)]
    rows = list(zip(hours, [3, 4, 0, 5, 20, 1], strict=True))
    assert slices(rows, most=10) == [(None, hours[3]), (hours[3], hours[4]), (hours[4], hours[5]), (hours[5], None)]
    assert slices([], (HOUR, LATER)) == [(HOUR, LATER)]
    assert condition((None, None)) == "true"
    assert condition((HOUR, None)) == "feed_hour_utc >= timestamp '2026-05-01 10:00:00'"
    assert even([], 10, 2) == 10
    assert even([3, 4, 0, 5, 20, 1], 100, 2) == 17 + 20
    assert even([1] * 100, 10, 2) == 10 + 1
    # Eleven at a time would be nine slices and one of one hour.
    assert len(slices([(HOUR + n * timedelta(hours=1), 1) for n in range(100)], most=even([1] * 100, 10, 2))) == 10
    assert halves(rows, (hours[1], hours[5])) == [(hours[1], hours[4]), (hours[4], hours[5])]
    assert halves(rows, (hours[4], hours[5])) == [(hours[4], hours[5])]
    assert halves([(hour, 1) for hour in hours], (None, None)) == [(None, hours[3]), (hours[3], None)]
    assert [is_within(HOUR, part) for part in ((HOUR, LATER), (None, HOUR), (LATER, None), (None, None))] == [
        True, False, False, True,
    ]  # fmt: skip


def test_the_lines_of_a_head_file(tmp_path: Path) -> None:
    file = tmp_path / "heads"
    good = f"1 {'a' * 64} 2026-05-01T11:00:00Z run-1"
    file.write_text(f"{good}\n\n{good[:40]}\n{good.replace('1 a', '2 b')}\n")
    heads, wrong = kept(file)
    assert [(head.sequence, head.entry_sha256[0]) for head in heads] == [(1, "a"), (2, "b")]
    assert wrong == [3]


def test_files_are_hashed_in_order_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    paths = [tmp_path / "a", tmp_path / "gone", tmp_path]
    hashed, gone, folder = each_sha256_or_error(paths)
    assert (hashed, gone) == (hashlib.sha256(b"x" * 3_000_000).hexdigest(), None)
    assert isinstance(folder, IsADirectoryError)
    assert list(each_sha256(paths[:2])) == [hashed, None]
    with pytest.raises(IsADirectoryError):
        list(each_sha256(paths))


def test_paths_are_taken_as_their_files_are_hashed(tmp_path: Path) -> None:
    taken = 0

    def paths() -> Iterator[Path]:
        nonlocal taken
        for taken in range(1, 10_001):
            yield tmp_path / str(taken)

    hashes = each_sha256_or_error(paths())
    assert next(hashes) is None
    assert taken < 1000
    assert len(list(hashes)) == 9_999


def test_a_batch_of_any_number_of_rows_is_digested_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an hour with millions of lines that are no JSON: DuckDB can spill a sort, but no joined hashes."""
    monkeypatch.setattr(digests, "_MOST_IN_MEMORY", 100_000, raising=False)
    rows = 400_000
    with duckdb.connect(tmp_path / "rows.duckdb") as connection:
        connection.execute(f"set threads = 2; set temp_directory = '{tmp_path / 'spill'}'")
        connection.execute(
            "create table given as select 'bi' as feed, timestamp '2026-05-01 10:00' as feed_hour_utc, "
            f"if(n % 4 = 0, null, 'r1') as run_id, sha256(cast(n as varchar)) as row_sha256, n from range({rows}) t(n)"
        )
        connection.execute("set memory_limit = '40MB'")
        found = digests.counted(connection, "given", "row_sha256", "true", "n")
    for run_id, is_in in ((None, lambda n: n % 4 == 0), ("r1", lambda n: n % 4)):
        numbers = [n for n in range(rows) if is_in(n)]
        lines = sorted(hashlib.sha256(str(n).encode()).hexdigest() + "\n" for n in numbers)
        expected = hashlib.sha256("".join(lines).encode()).hexdigest()
        assert found.pop(("bi", HOUR, run_id)) == (len(numbers), sum(numbers), expected)  # type: ignore[arg-type]
    assert not found
