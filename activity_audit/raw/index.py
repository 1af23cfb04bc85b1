"""The index of the raw lake: which deliveries are landed, and under which token they were last seen.

A SQLite file beside the raw Parquet files. The raw files are the truth and carry all that the index has
about a delivery or a manifest, so a lost index is rebuilt from them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from activity_audit.base.faults import damaged
from activity_audit.base.hours import HOUR_FOLDER, iso, parse_time

INDEX_NAME = "index.sqlite"
METADATA_KEY = "delivery"
# What the name of a reading begins with; a file's name cannot.
READING = "reading/"
_TIMEOUT = 60
_REBUILD = "Move it away, with its -wal and -shm, and run again: the run makes it again from the raw files"
_IN_LIST = 500
# The versions of an index: it may lack what is in the raw lake, or has all of it.
_INCOMPLETE = 1
_COMPLETE = 2
_SCHEMA = """
create table if not exists delivery (
    delivery_id text primary key, feed text not null, feed_hour text not null, name text not null,
    source_uri text not null, sha256 text not null, bytes integer not null, records integer not null,
    landed_at text not null
) without rowid;
create index if not exists delivery_hour on delivery (feed_hour, feed);
create table if not exists manifest (
    feed text not null, feed_hour text not null, sha256 text not null, content blob not null,
    landed_at text not null, primary key (feed, feed_hour, sha256)
) without rowid;
create table if not exists seen (source_uri text primary key, token text not null) without rowid;
"""


def raw_path(feed: str, feed_hour: datetime, delivery_id: str) -> str:
    """Where the records of a delivery are, relative to the raw lake; the feed hour is in UTC."""
    return f"{feed}/{feed_hour:{HOUR_FOLDER}}/{delivery_id}.parquet"


@dataclass(frozen=True)
class LandedDelivery:
    """One delivery in the raw lake: the content `sha256` of the file `name` of a feed hour."""

    delivery_id: str
    feed: str
    feed_hour: datetime
    name: str
    source_uri: str
    sha256: str
    bytes: int
    records: int
    landed_at: datetime

    @property
    def raw_path(self) -> str:
        """Where its records are, relative to the raw lake."""
        return raw_path(self.feed, self.feed_hour, self.delivery_id)

    @property
    def is_reading(self) -> bool:
        """Whether it is all that its source had for the feed hour at one time."""
        return self.name.startswith(READING)


_METADATA = [field.name for field in fields(LandedDelivery) if field.name != "records"]


@dataclass(frozen=True)
class LandedManifest:
    """The newest manifest of a feed hour, as it came."""

    feed: str
    feed_hour: datetime
    sha256: str
    content: bytes


def to_metadata(delivery: LandedDelivery) -> str:
    """A delivery as the JSON text that its Parquet file carries; the record count is the file's own."""
    values = {name: getattr(delivery, name) for name in _METADATA}
    values |= {"feed_hour": iso(delivery.feed_hour), "landed_at": iso(delivery.landed_at)}
    return json.dumps(values, ensure_ascii=True, sort_keys=True)


def from_metadata(text: str, records: int) -> LandedDelivery:
    """The delivery that a Parquet file of the raw lake holds."""
    values = json.loads(text)
    times = {key: parse_time(values[key]) for key in ("feed_hour", "landed_at")}
    return LandedDelivery(**(values | times | {"records": records}))


class RawIndex:
    """Access to the index below `raw_dir`; each call is one transaction.

    Several processes may use it at once.
    """

    def __init__(self, raw_dir: Path) -> None:
        self._path = raw_dir / INDEX_NAME

    def is_complete(self) -> bool:
        """Whether the index is known to have all that was landed; not so when it is new, lost or half rebuilt."""
        return self._path.exists() and self._version() == _COMPLETE

    def set_complete(
        self, deliveries: Iterable[LandedDelivery], manifests: Iterable[tuple[LandedManifest, datetime]]
    ) -> None:
        """Record what was found in the raw lake, which makes the index complete."""
        with self.connect() as connection:
            _add(connection, deliveries, manifests, ())
            connection.execute(f"pragma user_version = {_COMPLETE}")

    def add(
        self,
        deliveries: Iterable[LandedDelivery] = (),
        manifests: Iterable[tuple[LandedManifest, datetime]] = (),
        seen: Iterable[tuple[str, str]] = (),
    ) -> list[LandedDelivery]:
        """Record deliveries, manifests and sightings; what is recorded already stays as it is.

        Returns the deliveries that were not recorded before.
        """
        with self.connect() as connection:
            return _add(connection, deliveries, manifests, seen)

    def tokens(self, uris: Collection[str]) -> dict[str, str]:
        """The token under which each of these source URIs was last landed, of those that were."""
        wanted = list(uris)
        tokens: dict[str, str] = {}
        with self.connect() as connection:
            for start in range(0, len(wanted), _IN_LIST):
                part = wanted[start : start + _IN_LIST]
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"select source_uri, token from seen where source_uri in ({marks})", part)
                tokens.update(rows.fetchall())
        return tokens

    def deliveries(
        self, feeds: Collection[str], window: tuple[datetime, datetime] | None = None
    ) -> list[LandedDelivery]:
        """The landed deliveries of these feeds, in the half-open window of feed hours or in all."""
        where, arguments = _in_window(window)
        with self.connect() as connection:
            rows = connection.execute(
                f"select * from delivery{where} order by feed_hour, feed, name, delivery_id", arguments
            ).fetchall()
            return [
                LandedDelivery(
                    row[0], row[1], parse_time(row[2]), row[3], row[4], row[5], row[6], row[7], parse_time(row[8])
                )
                for row in rows
                if row[1] in feeds
            ]

    def newest(self, feed: str, feed_hour: datetime, source_uri: str) -> str | None:
        """The id of what was landed last of a file of a feed hour."""
        with self.connect() as connection:
            row = connection.execute(
                "select delivery_id from delivery where feed = ? and feed_hour = ? and source_uri = ? "
                "order by landed_at desc limit 1",
                [feed, iso(feed_hour), source_uri],
            ).fetchone()
        return row[0] if row else None

    def first_hour(self) -> datetime | None:
        """The first feed hour of which something is landed."""
        with self.connect() as connection:
            row = connection.execute("select min(feed_hour) from delivery").fetchone()
        return parse_time(row[0]) if row and row[0] else None

    def newest_hours(self, feeds: Collection[str]) -> dict[str, datetime]:
        """The newest feed hour of which something is landed, of each of these feeds that has one."""
        with self.connect() as connection:
            # An earlier release made none, and without it all deliveries are gone over.
            connection.execute("create index if not exists delivery_feed on delivery (feed, feed_hour)")
            found = {
                feed: connection.execute("select max(feed_hour) from delivery where feed = ?", [feed]).fetchone()[0]
                for feed in feeds
            }
            return {feed: parse_time(hour) for feed, hour in found.items() if hour}

    def manifests(
        self, feeds: Collection[str], window: tuple[datetime, datetime] | None = None
    ) -> list[LandedManifest]:
        """The newest manifest of each feed hour that has one."""
        where, arguments = _in_window(window)
        with self.connect() as connection:
            rows = connection.execute(
                f"select feed, feed_hour, sha256, content, landed_at from manifest{where} order by feed_hour, feed",
                arguments,
            ).fetchall()
            newest: dict[tuple[str, str], tuple[datetime, LandedManifest]] = {}
            for feed, hour, sha256, content, landed_at in rows:
                landed = parse_time(landed_at)
                if feed in feeds and ((feed, hour) not in newest or newest[feed, hour][0] < landed):
                    newest[feed, hour] = (landed, LandedManifest(feed, parse_time(hour), sha256, content))
            return [manifest for _, manifest in newest.values()]

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, which is committed where the block ends without an error."""
        if not self._path.exists() or not self._version():
            self._create()
        with self._open() as connection, connection:
            yield connection

    def _version(self) -> int:
        with self._open() as connection:
            return int(connection.execute("pragma user_version").fetchone()[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection, closed at the end.

        Raises:
            FaultError: the index is damaged, or cannot be used; for a time or a text in it that is none, too.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=_TIMEOUT)) as connection:
                yield connection
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise damaged(self._path, error, _REBUILD) from error

    def _create(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite does not wait for another process when it switches to a write-ahead log.
        with FileLock(self._path.with_name(f".{INDEX_NAME}.lock")), self._open() as connection:
            if not connection.execute("pragma user_version").fetchone()[0]:
                connection.execute("pragma journal_mode = wal")
                connection.executescript(f"begin; {_SCHEMA} pragma user_version = {_INCOMPLETE}; commit;")


def _add(
    connection: sqlite3.Connection,
    deliveries: Iterable[LandedDelivery],
    manifests: Iterable[tuple[LandedManifest, datetime]],
    seen: Iterable[tuple[str, str]],
) -> list[LandedDelivery]:
    added = [
        d
        for d in deliveries
        if connection.execute(
            "insert or ignore into delivery values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                d.delivery_id, d.feed, iso(d.feed_hour), d.name, d.source_uri, d.sha256, d.bytes, d.records,
                iso(d.landed_at),
            ],
        ).rowcount
    ]  # fmt: skip
    # The same manifest delivered again is the newest one again.
    connection.executemany(
        "insert or replace into manifest values (?, ?, ?, ?, ?)",
        [(m.feed, iso(m.feed_hour), m.sha256, m.content, iso(at)) for m, at in manifests],
    )
    connection.executemany("insert or replace into seen values (?, ?)", seen)
    return added


def _in_window(window: tuple[datetime, datetime] | None) -> tuple[str, list[str]]:
    if window is None:
        return "", []
    return " where feed_hour >= ? and feed_hour < ?", [iso(window[0]), iso(window[1])]
