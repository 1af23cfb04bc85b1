"""One reading of an hour: its window from the first page to the last, kept as pages, and split by application.

A reading exists only when it has reached its end; one that fails leaves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR
from activity_audit.ingest.cxone.client import Client, Fetched
from activity_audit.ingest.cxone.page_files import PageWriter
from activity_audit.ingest.cxone.pages import PageError, Trail, next_url, window_url
from activity_audit.ingest.sources.source import SourceRefusedError
from activity_audit.settings.cxone import CxoneSettings

# Where a record goes whose application the catalogue does not know.
UNATTRIBUTED = "unattributed"
# Records are sorted in memory, and once more there when they are written; each takes some bytes besides its text.
_FACTOR = 2
_RECORD_BYTES = 64


@dataclass(frozen=True)
class Reading:
    """A whole reading; `digest` is the same for the same records, in whatever order and pages they came."""

    folder: Path
    digest: str
    records: int

    @property
    def pages(self) -> Path:
        """The file of its pages."""
        return self.folder / "pages.parquet"

    def part(self, feed: str) -> Path:
        """The file of a feed's records, each as it stood in its page, on a line."""
        return self.folder / f"{feed}.ndjson"


def window_query(settings: CxoneSettings, hour: datetime) -> dict[str, str]:
    """The parameters that ask for [hour, hour + 1 h)."""
    return {"From": hour.strftime(settings.time_format), "To": (hour + HOUR).strftime(settings.time_format)}


def read_hour(client: Client, settings: CxoneSettings, hour: datetime, folder: Path) -> Reading:
    """Read the window of an hour into the empty `folder`.

    The records of a part stand in the order of their text, so that another order of the API's makes no other part.

    Raises:
        SourceError: if it cannot be read to its end; the message says why.
        DeliveryError: if its records take more memory than the client's limits say.
        OSError: if the folder cannot be written.
    """
    parts: dict[str, list[bytes]] = {slug: [] for slug in catalogue.slugs()}
    held = 0
    with PageWriter(folder / "pages.parquet") as writer:
        for fetched in _pages(client, settings, hour):
            writer.add(fetched)
            for line, application in fetched.page.records:
                parts[(application and catalogue.slug_of(application)) or UNATTRIBUTED].append(line)
                held += _FACTOR * len(line) + _RECORD_BYTES
            if held > client.limits.delivery_memory:
                raise client.limits.too_much_memory("the records of an hour of the API", held)
        digest = hashlib.sha256()
        records = 0
        reading = Reading(folder, "", 0)
        for feed, lines in parts.items():
            records += len(lines)
            content = _written(reading.part(feed), lines)
            digest.update(f"{feed} {content}\n".encode())
        reading = Reading(folder, digest.hexdigest(), records)
        writer.describe(hour, reading.digest, records)
    return reading


def _pages(client: Client, settings: CxoneSettings, hour: datetime) -> Iterator[Fetched]:
    query: Mapping[str, str] = {**window_query(settings, hour), "Top": str(settings.page_size)}
    url: str | None = window_url(client.api_url(), settings.audit_path, query)
    trail = Trail()
    while url is not None:
        fetched = client.get(url)
        try:
            trail.add(url, fetched.page)
            following = next_url(url, fetched.page)
        except PageError as error:
            raise SourceRefusedError(f"{fetched.request_url}: {error}") from None
        yield fetched
        url = following


def _written(path: Path, lines: list[bytes]) -> str:
    """The hash of the file that the lines, sorted, were written to."""
    lines.sort()
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
