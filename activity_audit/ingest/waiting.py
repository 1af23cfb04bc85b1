"""The deliveries that are landed and not published, kept in the raw lake's index, so that no look reads all of it.

A delivery waits from when it is on record there until a look sees it in the warehouse. The look also keeps which
ledger entry was the newest then. While the warehouse has that entry, it has all that was published by then; one that
was restored from a backup, or begun again, has not, and everything is compared.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import duckdb
from filelock import FileLock

from activity_audit.base.hours import iso, naive, parse_time
from activity_audit.ledger import ledger
from activity_audit.raw.database import WAITING, WAITING_BY_ITSELF, IndexConnection
from activity_audit.raw.lake import RawLake
from activity_audit.warehouse import arrow_rows

_BUT = "delivery_id not in (select value from json_each(?))"
_LOCK = ".waiting.lock"
_AT_A_TIME = 100_000


@dataclass(frozen=True)
class _Looked:
    """The warehouse as a look left it: its newest ledger entry, and how many deliveries it had."""

    sequence: int
    entry_sha256: str
    deliveries: int


class Waiting:
    """The deliveries of the raw lake that wait to be published. Several processes may use it at once."""

    def __init__(self, raw: RawLake) -> None:
        self._index = raw.index
        self._lock = raw.space / _LOCK

    def look(self, warehouse: duckdb.DuckDBPyConnection) -> None:
        """Let go of what is published by now; `warehouse` reads the newest snapshot, as its current catalog."""
        with FileLock(self._lock):
            with self._connect() as connection:
                row = connection.execute("select sequence, entry_sha256, deliveries from looked").fetchone()
            compare_all = row is None or not _is_still_there(warehouse, _Looked(*row))
            table = "delivery" if compare_all else "waiting inner join delivery using (delivery_id)"
            with self._connect() as connection:
                if not compare_all and not connection.execute("select 1 from waiting limit 1").fetchone():
                    return
                rows = iter(connection.execute(f"select delivery_id, feed_hour from {table}"))
                published: list[str] = []
                left: list[str] = []
                while part := dict(islice(rows, _AT_A_TIME)):
                    found = _published(warehouse, part)
                    published += found
                    left += part.keys() - found if compare_all else ()
                # Of now or later than what was seen, so that whoever has this entry has all of that.
                looked = _looked(warehouse)
                connection.executemany("delete from waiting where delivery_id = ?", [(one,) for one in published])
                connection.executemany(
                    "insert into waiting values (?) on conflict (delivery_id) do nothing", [(one,) for one in left]
                )
                connection.execute("delete from looked")
                if looked:
                    values = (looked.sequence, looked.entry_sha256, looked.deliveries)
                    connection.execute("insert into looked values (?, ?, ?)", values)

    def hours(self, feeds: Collection[str], without: Collection[str]) -> set[datetime]:
        """The feed hours of these feeds in which deliveries waited at the last look or came since, but for some ids."""
        return self._hours("waiting inner join delivery using (delivery_id)", feeds, without)

    def all_hours(self, feeds: Collection[str], without: Collection[str]) -> set[datetime]:
        """The feed hours of these feeds in which anything is landed, but for some delivery ids."""
        return self._hours("delivery", feeds, without)

    def count(self, landed_before: datetime, without: Collection[str]) -> int:
        """How many wait that were landed before a time, but for some ids."""
        query = f"select count(*) from waiting inner join delivery using (delivery_id) where landed_at < ? and {_BUT}"
        with self._connect() as connection:
            return int(connection.execute(query, [iso(landed_before), json.dumps(list(without))]).fetchone()[0])

    def _hours(self, table: str, feeds: Collection[str], without: Collection[str]) -> set[datetime]:
        query = f"select distinct feed, feed_hour from {table} where {_BUT}"
        with self._connect() as connection:
            rows = connection.execute(query, [json.dumps(list(without))]).fetchall()
        return {parse_time(hour) for feed, hour in rows if feed in feeds}

    @contextmanager
    def _connect(self) -> Iterator[IndexConnection]:
        with self._index.connect() as connection:
            connection.ensure(WAITING + WAITING_BY_ITSELF)
            yield connection


def _is_still_there(warehouse: duckdb.DuckDBPyConnection, looked: _Looked) -> bool:
    if not ledger.is_there(warehouse):
        return False
    row = warehouse.execute(
        "select exists (from quality.integrity_ledger where sequence = ? and entry_sha256 = ?), "
        "(select count(*) from quality.feed_delivery)",
        [looked.sequence, looked.entry_sha256],
    ).fetchone()
    return row is not None and row[0] and row[1] >= looked.deliveries


def _looked(warehouse: duckdb.DuckDBPyConnection) -> _Looked | None:
    newest = ledger.newest(warehouse) if ledger.is_there(warehouse) else None
    if newest is None:
        return None
    row = warehouse.execute("select count(*) from quality.feed_delivery").fetchone()
    return _Looked(newest.sequence, newest.entry_sha256, row[0] if row else 0)


def _published(warehouse: duckdb.DuckDBPyConnection, hours: dict[str, str]) -> set[str]:
    """Those of the deliveries, each with its feed hour, that are in the warehouse."""
    first, last = (naive(parse_time(hour)) for hour in (min(hours.values()), max(hours.values())))
    with arrow_rows.readable(warehouse, ["delivery_id"], [(one,) for one in hours]) as landed:
        rows = warehouse.execute(
            f"select delivery_id from quality.feed_delivery semi join {landed} using (delivery_id) "
            "where feed_hour_utc between ? and ?",
            [first, last],
        ).fetchall()
    return {row[0] for row in rows}
