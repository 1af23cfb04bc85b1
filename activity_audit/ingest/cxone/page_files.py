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

from activity_audit.base.hours import HOUR_FOLDER, from_hour_folder, iso, naive
from activity_audit.raw.files import PAGES
from activity_audit.raw.store import RawStore

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
    """The pages in the raw lake."""

    def __init__(self, store: RawStore) -> None:
        self._store = store

    def keep(self, reading: Reading, hour: datetime, name: str) -> None:
        """Keep the pages of a reading under its name, unless the newest kept reading of the hour had the same records.

        They are on disk when this returns. The reading's own file of pages is gone afterwards.
        """
        kept = self._store.matching(f"{_folder(hour)}/[!.]*.parquet")
        if kept and self._digest(kept[-1]) == reading.digest:
            reading.pages.unlink()
            return
        self._publish(reading.pages, f"{_folder(hour)}/{name}.parquet")

    def seal(self, hour: datetime, read_at: datetime, scratch: Path) -> None:
        """Mark an hour as read for the last time."""
        temporary = scratch / f"{hour:%Y%m%dT%H}.seal"
        temporary.write_text(json.dumps({"feed_hour": iso(hour), "read_at": iso(read_at)}), encoding="utf-8")
        self._publish(temporary, f"{_folder(hour)}/{SEAL}")

    def hours(self) -> list[tuple[datetime, bool]]:
        """Every hour of which pages are kept, and whether it is sealed, from the files themselves."""
        found: dict[datetime, bool] = {}
        for name in self._store.matching(f"{ROOT}/[!.]*/[!.]*/[!.]*"):
            folder, _, own_name = name.removeprefix(f"{ROOT}/").rpartition("/")
            hour = from_hour_folder(folder)
            found[hour] = found.get(hour, False) or own_name == SEAL
        return sorted(found.items())

    def _publish(self, temporary: Path, name: str) -> None:
        with self._store.writing() as writer:
            writer.publish([(temporary, name)])
            writer.settle([name])

    def _digest(self, name: str) -> str:
        with self._store.open(name) as file:
            metadata = pq.read_metadata(file).metadata or {}
        return str(json.loads(metadata.get(_KEY.encode(), b"{}")).get("digest"))


def _folder(hour: datetime) -> str:
    return f"{ROOT}/{hour:{HOUR_FOLDER}}"
