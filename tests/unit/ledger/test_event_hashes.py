"""What verify hashes by another library is what DuckDB hashes with the expression that everyone else uses."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import duckdb
import pytest

from activity_audit.ledger.digests import record_sha256
from activity_audit.ledger.event_hashes import by_batch

# More than are handed over at a time, their batches in turn.
_MANY = 40_000


@pytest.fixture
def warehouse() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as audit")
    connection.execute(f"""
        create table audit.main.fact_activity_event as
        select
            if(n % 3 = 0, 'search', 'dfo') as feed,
            timestamp '2026-05-01' + (n % 5) * interval 1 hour as feed_hour_utc,
            'run-' || (n % 2) as run_id,
            'ACD' as application, 'Skill' as entity, if(n % 7 = 0, 'Créé 🙂', 'Deleted') as activity,
            timestamp '2026-05-01 10:00:00.000001' + n * interval 1 minute as event_time_utc,
            'id-' || n as event_id, nullif('', if(n % 11 = 0, '', 'x')) as triggered_by,
            if(n % 13 = 0, null, repeat('é,:"', n % 50)) as instance, 'SUCCESS' as outcome,
            case n when 17 then repeat('x', 3000000) when 18 then '' end as comments
        from range({_MANY}) as event (n)
        union all
        select * replace ('once' as feed) from (
            select 'x' as feed, timestamp '2026-05-01', 'run-0', null, null, null, null, null, null, null, null, null
        )
    """)
    return connection


def test_every_event_has_the_hash_that_duckdb_gives_it(warehouse: duckdb.DuckDBPyConnection) -> None:
    expected = defaultdict(list)
    for *key, hashed in warehouse.execute(
        f"select feed, feed_hour_utc, run_id, {record_sha256()} from audit.main.fact_activity_event"
    ).fetchall():
        expected[tuple(key)].append(hashed)
    found = dict(by_batch(warehouse, "true"))
    assert found.keys() == expected.keys()
    assert len(found) == 2 * 5 * 2 + 1
    for key, hashes in found.items():
        assert sorted(hashes.tobytes()[at : at + 32].hex() for at in range(0, 32 * len(hashes), 32)) == sorted(
            expected[key]
        )


def test_only_the_batches_of_the_condition_are_hashed(warehouse: duckdb.DuckDBPyConnection) -> None:
    first = list(by_batch(warehouse, "feed_hour_utc < timestamp '2026-05-01 01:00'"))
    assert sorted((feed, run_id, len(hashes)) for (feed, _, run_id), hashes in first) == [
        ("dfo", "run-0", 2666), ("dfo", "run-1", 2667), ("once", "run-0", 1), ("search", "run-0", 1334),
        ("search", "run-1", 1333),
    ]  # fmt: skip
    assert list(by_batch(warehouse, "feed_hour_utc > timestamp '2027-01-01'")) == []


def test_batches_that_were_given_one_number_on_purpose_pass_for_nothing(warehouse: duckdb.DuckDBPyConnection) -> None:
    # DuckDB's hash of these two is the same.
    own, forged = "f94bdc55-d201-4f37-b9a9-845e6a5e0b7a", "f94bdc55-d201-4fvx41oWk9CsT+~aR90b7a"
    assert warehouse.execute("select hash(?) = hash(?)", [own, forged]).fetchall() == [(True,)]
    table = "audit.main.fact_activity_event"
    warehouse.execute(f"update {table} set run_id = ? where feed = 'dfo' and run_id = 'run-0'", [own])
    whole = {key: len(hashes) for key, hashes in by_batch(warehouse, "true") if key[2] == own}
    # All of these are of one hour.
    warehouse.execute(f"update {table} set run_id = ? where run_id = ? and event_id like '%14'", [forged, own])
    found = {key: hashes for key, hashes in by_batch(warehouse, "true") if key[2] in (own, forged)}
    (changed,) = [key for key in found if key[2] == forged]
    pair = [found[changed], found[(*changed[:2], own)]]
    assert sum(map(len, pair)) == whole[(*changed[:2], own)]
    assert not any(hashes.tobytes().strip(b"\0") for hashes in pair)
    assert all(hashes.tobytes().strip(b"\0") for key, hashes in found.items() if key[1] != changed[1])


def test_a_file_that_is_damaged_far_behind_its_beginning_is_an_error_of_duckdb(tmp_path: Path) -> None:
    file = tmp_path / "fact.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"""
            copy (
                select
                    'search' as feed, timestamp '2026-05-01' as feed_hour_utc, 'run' as run_id, 'ACD' as application,
                    'Skill' as entity, 'Deleted' as activity, timestamp '2026-05-01' as event_time_utc,
                    'id-' || n as event_id, 'x' as triggered_by, cast(uuid() as varchar) as instance,
                    'SUCCESS' as outcome, null::varchar as comments
                from range(900000) as event (n)
            ) to '{file}' (format parquet, row_group_size 100000)
        """)
        content = bytearray(file.read_bytes())
        at = len(content) * 9 // 10
        content[at : at + 2000] = bytes(2000)
        file.write_bytes(content)
        connection.execute("attach ':memory:' as audit")
        connection.execute(f"create view audit.main.fact_activity_event as from '{file}'")
        with pytest.raises(duckdb.Error, match="decompression") as raised:
            list(by_batch(connection, "true"))
    # It is met after the first rows were handed over, when Arrow tells it in its own way.
    assert isinstance(raised.value.__cause__, OSError)
