"""What the tests of feeds share: delivering files, landing them, and reading the raw lake back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from activity_audit.base.delivery_limits import DEFAULT, Limits
from activity_audit.ingest.landing import LandingReport, land, open_index
from activity_audit.ingest.sources.bucket import source_at
from activity_audit.ingest.sources.source import Source
from activity_audit.raw.lake import local_lake

FEEDS = ("search", "bi")
HOUR = datetime(2026, 5, 1, 10, tzinfo=UTC)
LANDED_AT = datetime(2026, 5, 1, 11, 30, tzinfo=UTC)
LIMIT = 1 << 20
A, B, C = b'{"eventId":"a"}\n', b'{"eventId":"b"}\n', b'{"eventId":"c"}\n'


@dataclass(frozen=True)
class Kept:
    """A record of the raw lake, but for its position."""

    text: str
    problem: str | None
    content: bytes | None
    length: int | None
    sha256: str | None


class Feeds:
    """A landing folder and a raw lake below `home`."""

    def __init__(self, home: Path) -> None:
        self.landing = home / "landing"
        self.raw = home / "raw"
        self.folder = self.landing / f"search/{HOUR:%Y-%m-%d/%H}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def deliver(self, name: str, content: bytes) -> Path:
        """Put a file into the folder of the feed `search` and HOUR."""
        target = self.folder / name
        target.write_bytes(content)
        return target

    def land(
        self,
        root: str | None = None,
        *,
        limit: int = LIMIT,
        at: datetime = LANDED_AT,
        source: Source | None = None,
        limits: Limits = DEFAULT,
    ) -> LandingReport:
        """Land everything there is."""
        return land(
            source or source_at(root or str(self.landing), FEEDS),
            local_lake(self.raw),
            feeds=FEEDS,
            window=None,
            landed_at=at,
            max_record_bytes=limit,
            limits=limits,
        )

    def one(self, name: str, content: bytes, limit: int = LIMIT) -> list[Kept]:
        """The records of one file, delivered and landed; their positions are 1, 2, 3 …"""
        self.deliver(name, content)
        (delivery,) = self.land(limit=limit).new
        rows = read(self.raw / delivery.raw_path)
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
        assert delivery.records == len(rows)
        assert (delivery.name, delivery.bytes) == (name, len(content))
        return [Kept(*row[1:]) for row in rows]


def read(path: Path) -> list[tuple[Any, ...]]:
    """Every row of one raw file, in file order."""
    with duckdb.connect(config={"threads": 1}) as connection:
        return connection.execute(
            "select source_record, record, problem, record_bytes, record_length, record_sha256 from read_parquet(?)",
            [str(path)],
        ).fetchall()


def raw_files(raw: Path) -> list[str]:
    """The files that have a final name in a raw lake."""
    return sorted(str(path.relative_to(raw)) for path in raw.glob("[!.]*/*/*/*") if path.is_file())


def raw_content(raw: Path) -> dict[str, Any]:
    """All that the raw lake says: every record of every delivery, and every manifest."""
    return {
        name: read(raw / name) if name.endswith(".parquet") else (raw / name).read_bytes() for name in raw_files(raw)
    }


def indexed(feeds: Feeds) -> tuple[Any, ...]:
    """What the index says."""
    index = open_index(local_lake(feeds.raw))
    return index.deliveries(FEEDS), index.manifests(FEEDS)


def texts(kept: list[Kept]) -> list[str]:
    """The records' texts."""
    return [record.text for record in kept]


def problems(kept: list[Kept]) -> list[str | None]:
    """The records' problems."""
    return [record.problem for record in kept]
