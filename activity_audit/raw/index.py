"""The index of the raw lake: which deliveries are landed, and under which token they were last seen.

It is in a database: a SQLite file beside the raw Parquet files, or the database of a shared warehouse's catalog. The
raw files are the truth and carry all that the index has about a delivery or a manifest, so a lost index is rebuilt
from them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from activity_audit.base.hours import HOUR_FOLDER, iso, parse_time
from activity_audit.raw.database import BY_FEED, EXPECTED, WAITING, IndexConnection, IndexDatabase
from activity_audit.raw.database import INDEX_NAME as INDEX_NAME

METADATA_KEY = "delivery"
# What the name of a reading begins with; a file's name cannot.
READING = "reading/"
_IN_LIST = 500
# As a text that sorts as the times do; one to the second has no fraction.
_LANDED = "case when length(landed_at) = 20 then replace(landed_at, 'Z', '.000000Z') else landed_at end"
# So long a pass may take to put a file into the raw lake after it has said so.
_LONGEST_PUT = timedelta(days=1)


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
    """Access to the index in a database; each call is one transaction.

    Several processes may use it at once.
    """

    def __init__(self, database: IndexDatabase) -> None:
        self.database = database

    def is_complete(self) -> bool:
        """Whether the index is known to have all that was landed; not so when it is new, lost or half rebuilt."""
        return self.database.is_complete()

    def set_complete(
        self, deliveries: Iterable[LandedDelivery], manifests: Iterable[tuple[LandedManifest, datetime]]
    ) -> None:
        """Record what was found in the raw lake, which makes the index complete."""
        with self.connect() as connection:
            _add(connection, deliveries, manifests, ())
            self.database.set_complete(connection)

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

    def last_landing(self, hours: Collection[datetime]) -> datetime | None:
        """When something of these feed hours was landed last, by the clock of that time."""
        wanted = [iso(hour) for hour in hours]
        found: list[str] = []
        with self.connect() as connection:
            for start in range(0, len(wanted), _IN_LIST):
                part = wanted[start : start + _IN_LIST]
                marks = ",".join("?" * len(part))
                for table in ("delivery", "manifest"):
                    query = f"select max({_LANDED}) from {table} where feed_hour in ({marks})"
                    found += [time for (time,) in connection.execute(query, part).fetchall() if time]
        return parse_time(max(found)) if found else None

    def first_hour(self) -> datetime | None:
        """The first feed hour of which something is landed."""
        with self.connect() as connection:
            row = connection.execute("select min(feed_hour) from delivery").fetchone()
        return parse_time(row[0]) if row and row[0] else None

    def newest_hours(self, feeds: Collection[str]) -> dict[str, datetime]:
        """The newest feed hour of which something is landed, of each of these feeds that has one."""
        with self.connect() as connection:
            # An earlier release made none, and without it all deliveries are gone over.
            connection.ensure(BY_FEED)
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

    def expect(self, paths: Iterable[str], at: datetime) -> None:
        """Record files that are about to be put into the raw lake, for a pass that takes up what a killed one left."""
        with self.connect() as connection:
            connection.ensure(EXPECTED)
            statement = "insert into expected values (?, ?) on conflict (path) do nothing"
            connection.executemany(statement, [(path, iso(at)) for path in paths])

    def expected(self) -> list[str]:
        """The files that passes were about to put there, and have not recorded."""
        with self.connect() as connection:
            connection.ensure(EXPECTED)
            return [path for (path,) in connection.execute("select path from expected order by path").fetchall()]

    def forget_expected(self, paths: Iterable[str], at: datetime) -> None:
        """Let go of these files, which are recorded, and of those that were expected a day before `at`."""
        with self.connect() as connection:
            connection.ensure(EXPECTED)
            connection.executemany("delete from expected where path = ?", [(path,) for path in paths])
            connection.execute("delete from expected where expected_at < ?", [iso(at - _LONGEST_PUT)])

    def connect(self) -> AbstractContextManager[IndexConnection]:
        """A connection in a transaction, which is committed where the block ends without an error."""
        return self.database.connect()


def _add(
    connection: IndexConnection,
    deliveries: Iterable[LandedDelivery],
    manifests: Iterable[tuple[LandedManifest, datetime]],
    seen: Iterable[tuple[str, str]],
) -> list[LandedDelivery]:
    landed = list(deliveries)
    rows = [
        (d.delivery_id, d.feed, iso(d.feed_hour), d.name, d.source_uri, d.sha256, d.bytes, d.records, iso(d.landed_at))
        for d in landed
    ]
    added = [d for d, is_new in zip(landed, connection.add_new("delivery", "delivery_id", rows), strict=True) if is_new]
    # They wait from now on, until a look sees them in the warehouse.
    connection.ensure(WAITING)
    connection.executemany(
        "insert into waiting values (?) on conflict (delivery_id) do nothing", [(d.delivery_id,) for d in added]
    )
    # The same manifest delivered again is the newest one again.
    connection.executemany(
        "insert into manifest values (?, ?, ?, ?, ?) on conflict (feed, feed_hour, sha256) do update set "
        "content = excluded.content, landed_at = excluded.landed_at",
        [(m.feed, iso(m.feed_hour), m.sha256, m.content, iso(at)) for m, at in manifests],
    )
    connection.executemany(
        "insert into seen values (?, ?) on conflict (source_uri) do update set token = excluded.token", seen
    )
    return added


def _in_window(window: tuple[datetime, datetime] | None) -> tuple[str, list[str]]:
    if window is None:
        return "", []
    return " where feed_hour >= ? and feed_hour < ?", [iso(window[0]), iso(window[1])]
