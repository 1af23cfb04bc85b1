"""The pages of readings in the raw lake, as they came, and the mark of an hour that is complete.

pages/cxone/<YYYY-MM-DD>/<HH>/<time of reading>.parquet    the pages of a reading that differs from the one before
pages/cxone/<YYYY-MM-DD>/<HH>/sealed.json                  the hour was read after it was sealed, and is landed
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from activity_audit.base.files import sync
from activity_audit.base.hours import HOUR_FOLDER, from_hour_folder, iso, naive
from activity_audit.raw.files import PAGES, folders_of, publish

if TYPE_CHECKING:
    from activity_audit.ingest.cxone.client import Fetched
    from activity_audit.ingest.cxone.reading import Reading

ROOT = f"{PAGES}/cxone"
SEAL = "sealed.json"
_KEY = "reading"


class PageWriter:
    """Writes the pages of one reading to a Parquet file, as they come."""

    def __init__(self, path: Path) -> None:
        self._schema = pa.schema(
            [
                ("page", pa.int64()),
                ("request_url", pa.string()),
                ("status", pa.int64()),
                ("fetched_at_utc", pa.timestamp("us")),
                ("body", pa.binary()),
            ]
        )
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", use_dictionary=False)
        self._count = 0

    def __enter__(self) -> PageWriter:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._writer.close()

    def add(self, fetched: Fetched) -> None:
        """The next page."""
        self._count += 1
        row: dict[str, Any] = {
            "page": self._count,
            "request_url": fetched.request_url,
            "status": fetched.status,
            "fetched_at_utc": naive(fetched.fetched_at),
            "body": fetched.body,
        }
        self._writer.write_table(pa.Table.from_pylist([row], self._schema))

    def describe(self, hour: datetime, digest: str, records: int) -> None:
        """What the footer says about the reading; called once, after the last page."""
        about = {"feed_hour": iso(hour), "digest": digest, "records": records, "pages": self._count}
        self._writer.add_key_value_metadata({_KEY: json.dumps(about)})


class PageFiles:
    """The pages below `raw_dir`."""

    def __init__(self, raw_dir: Path) -> None:
        self._raw_dir = raw_dir
        self._root = raw_dir / ROOT

    def keep(self, reading: Reading, hour: datetime, name: str) -> None:
        """Keep the pages of a reading under its name, unless the newest kept reading of the hour had the same records.

        They are on disk when this returns. The reading's own file of pages is gone afterwards.
        """
        folder = self._folder(hour)
        kept = sorted(folder.glob("[!.]*.parquet"))
        if kept and _digest(kept[-1]) == reading.digest:
            reading.pages.unlink()
            return
        target = folder / f"{name}.parquet"
        self._publish(reading.pages, target)

    def seal(self, hour: datetime, read_at: datetime, scratch: Path) -> None:
        """Mark an hour as read for the last time."""
        target = self._folder(hour) / SEAL
        temporary = scratch / f"{hour:%Y%m%dT%H}.seal"
        temporary.write_text(json.dumps({"feed_hour": iso(hour), "read_at": iso(read_at)}), encoding="utf-8")
        self._publish(temporary, target)

    def hours(self) -> list[tuple[datetime, bool]]:
        """Every hour of which pages are kept, and whether it is sealed, from the files themselves."""
        found = []
        for folder in sorted(self._root.glob("[!.]*/[!.]*")):
            hour = from_hour_folder("/".join(folder.parts[-2:]))
            found.append((hour, (folder / SEAL).exists()))
        return found

    def _publish(self, temporary: Path, target: Path) -> None:
        sync(temporary)
        publish(temporary, target)
        for folder in folders_of([target], self._raw_dir):
            sync(folder)

    def _folder(self, hour: datetime) -> Path:
        return self._root / hour.strftime(HOUR_FOLDER)


def _digest(path: Path) -> str:
    metadata = pq.read_metadata(path).metadata or {}
    return str(json.loads(metadata.get(_KEY.encode(), b"{}")).get("digest"))
