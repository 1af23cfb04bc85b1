"""The index of the raw lake: which deliveries are landed, and under which token they were last seen.

A SQLite file beside the raw Parquet files. The Parquet files are the truth and carry all that the index has
about a delivery, so a lost index is rebuilt from them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from orchestration.hours import iso, parse_time

INDEX_NAME = "index.sqlite"
METADATA_KEY = "delivery"
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
        return f"{self.feed}/{self.feed_hour:%Y-%m-%d/%H}/{self.delivery_id}.parquet"


@dataclass(frozen=True)
class LandedManifest:
    """The newest manifest of a feed hour, as it came."""

    feed: str
    feed_hour: datetime
    sha256: str
    content: bytes


def to_metadata(delivery: LandedDelivery) -> str:
    """A delivery as the JSON text that its Parquet file carries; the record count is the file's own."""
    fields = asdict(delivery) | {"feed_hour": iso(delivery.feed_hour), "landed_at": iso(delivery.landed_at)}
    del fields["records"]
    return json.dumps(fields, ensure_ascii=True, sort_keys=True)


def from_metadata(text: str, records: int) -> LandedDelivery:
    """The delivery that a Parquet file of the raw lake holds."""
    fields = json.loads(text)
    times = {key: parse_time(fields[key]) for key in ("feed_hour", "landed_at")}
    return LandedDelivery(**(fields | times | {"records": records}))


class RawIndex:
    """Access to the index below `raw_dir`; each call is one transaction."""

    def __init__(self, raw_dir: Path) -> None:
        self._path = raw_dir / INDEX_NAME

    def exists(self) -> bool:
        """Whether anything was ever landed here and is indexed."""
        return self._path.exists()

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=60)
        try:
            connection.execute("pragma journal_mode = wal")
            connection.executescript(_SCHEMA)
            with connection:
                yield connection
        finally:
            connection.close()

    def tokens(self) -> dict[str, str]:
        """The token under which each source URI was last landed."""
        with self._connect() as connection:
            return dict(connection.execute("select source_uri, token from seen"))

    def add(
        self,
        deliveries: Iterable[LandedDelivery] = (),
        manifests: Iterable[tuple[LandedManifest, datetime]] = (),
        seen: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Record deliveries, manifests and sightings; what is recorded already stays as it is."""
        with self._connect() as connection:
            connection.executemany(
                "insert or ignore into delivery values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (d.delivery_id, d.feed, iso(d.feed_hour), d.name, d.source_uri, d.sha256, d.bytes, d.records,
                     iso(d.landed_at))
                    for d in deliveries
                ],
            )  # fmt: skip
            # The same manifest delivered again is the newest one again.
            connection.executemany(
                "insert or replace into manifest values (?, ?, ?, ?, ?)",
                [(m.feed, iso(m.feed_hour), m.sha256, m.content, iso(at)) for m, at in manifests],
            )
            connection.executemany("insert or replace into seen values (?, ?)", seen)

    def deliveries(
        self, feeds: Collection[str], window: tuple[datetime, datetime] | None = None
    ) -> list[LandedDelivery]:
        """The landed deliveries of these feeds, in the half-open window of feed hours or in all."""
        query = "select * from delivery"
        arguments: tuple[str, ...] = ()
        if window:
            query += " where feed_hour >= ? and feed_hour < ?"
            arguments = (iso(window[0]), iso(window[1]))
        with self._connect() as connection:
            rows = connection.execute(
                query + " order by feed_hour, feed, name, delivery_id", arguments
            ).fetchall()
        return [
            LandedDelivery(row[0], row[1], parse_time(row[2]), *row[3:8], parse_time(row[8]))
            for row in rows
            if row[1] in feeds
        ]

    def manifests(
        self, feeds: Collection[str], window: tuple[datetime, datetime] | None = None
    ) -> list[LandedManifest]:
        """The newest manifest of each feed hour that has one."""
        query = "select feed, feed_hour, sha256, content from manifest"
        arguments: tuple[str, ...] = ()
        if window:
            query += " where feed_hour >= ? and feed_hour < ?"
            arguments = (iso(window[0]), iso(window[1]))
        with self._connect() as connection:
            rows = connection.execute(query + " order by feed_hour, feed, landed_at", arguments).fetchall()
        newest = {(row[0], row[1]): row for row in rows if row[0] in feeds}
        return [LandedManifest(row[0], parse_time(row[1]), row[2], row[3]) for row in newest.values()]
