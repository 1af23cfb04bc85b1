"""The files of the raw lake: their names, and what is found in them.

    <feed>/<YYYY-MM-DD>/<HH>/<delivery id>.parquet                       every record of a delivery
    <feed>/<YYYY-MM-DD>/<HH>/<time of landing>-<sha256>.manifest.json    a manifest as it came

Other names are no part of it.
"""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from activity_audit.base.faults import DamagedError
from activity_audit.base.hours import HOUR_FOLDER, from_hour_folder
from activity_audit.base.shown_text import visible
from activity_audit.base.sql_text import parquet_rows
from activity_audit.raw.index import METADATA_KEY, LandedDelivery, LandedManifest, from_metadata
from activity_audit.raw.store import RawStore
from activity_audit.warehouse.extensions import connect

# What is kept beside the deliveries: the pages of readings, and what is remembered of looks at a bucket.
PAGES = "pages"
SWEEPS = "sweeps.json"
_MANIFEST_TIME = "%Y%m%dT%H%M%S.%fZ"
_MANIFEST_SUFFIX = ".manifest.json"
_MANIFEST_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{32}\.manifest\.json")
_HASH_SHOWN = 32
# What would end a cell or its code mark, and what looks like it.
_NO_MARKDOWN = str.maketrans({"|": "\u00a6", "`": "\u00b4"})


def manifest_path(manifest: LandedManifest, landed_at: datetime) -> str:
    """Where a manifest is, relative to the raw lake; its name tells which of several is the newest."""
    time = landed_at.astimezone(UTC).strftime(_MANIFEST_TIME)
    name = f"{time}-{manifest.sha256[:_HASH_SHOWN]}{_MANIFEST_SUFFIX}"
    return f"{manifest.feed}/{manifest.feed_hour:{HOUR_FOLDER}}/{name}"


def manifest_hash_shown(path: str) -> str | None:
    """The beginning of its content's hash that a manifest has in its name; None where a path is no manifest's."""
    name = path.rsplit("/", 1)[-1]
    return name.partition("-")[2].removesuffix(_MANIFEST_SUFFIX) if _MANIFEST_NAME.fullmatch(name) else None


def found_deliveries(store: RawStore) -> list[LandedDelivery]:
    """Every delivery of the raw lake, from the files themselves.

    Raises:
        DamagedError: naming the first of the files that are not as landing wrote them, and how many there are.
    """
    found, wrong = [], []
    with ThreadPoolExecutor(store.at_once) as pool:
        for read in pool.map(lambda name: _delivery_or_error(store, name), store.matching("[!.]*/*/*/[!.]*.parquet")):
            if isinstance(read, DamagedError):
                wrong.append(read)
            else:
                found.append(read)
    if wrong:
        others = f" There are {len(wrong) - 1} others." if wrong[1:] else ""
        raise DamagedError(f"{wrong[0]}.{others}") from wrong[0]
    return found


def found_manifests(store: RawStore) -> list[tuple[LandedManifest, datetime]]:
    """Every manifest of the raw lake and when it was landed, the newest of a feed hour last."""
    names = store.matching(f"[!.]*/*/*/[!.]*{_MANIFEST_SUFFIX}")
    return [manifest_in(store, name) for name in names if manifest_hash_shown(name)]


def manifest_in(store: RawStore, name: str) -> tuple[LandedManifest, datetime]:
    """The manifest in a file of the raw lake, and when it was landed."""
    feed, day, hour, own_name = name.split("/")
    with store.open(name) as file:
        content = file.read()
    landed_at = datetime.strptime(own_name.partition("-")[0], _MANIFEST_TIME).replace(tzinfo=UTC)
    feed_hour = from_hour_folder(f"{day}/{hour}")
    return LandedManifest(feed, feed_hour, hashlib.sha256(content).hexdigest(), content), landed_at


def delivery_in(store: RawStore, name: str) -> LandedDelivery:
    """The delivery that a file of the raw lake holds, from its footer.

    Raises:
        DamagedError: the file is not one that landing wrote, or not as it was written.
        OSError: it cannot be read.
    """
    try:
        with store.open(name) as file:
            footer = pq.read_metadata(file)
        return from_metadata(footer.metadata[METADATA_KEY.encode()].decode(), footer.num_rows)
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise DamagedError(
            f"{store.shown(name)} is not a file of the raw lake as landing wrote it. Restore it from a backup; or move "
            "it away, and its delivery is landed again if the source still has it"
        ) from error


def _delivery_or_error(store: RawStore, name: str) -> LandedDelivery | DamagedError:
    try:
        return delivery_in(store, name)
    except DamagedError as error:
        return error


def preview(store: RawStore, name: str, records_shown: int = 5) -> str:
    """The first records of a raw file as a Markdown table."""
    with connect() as connection:
        store.let_read(connection)
        rows = connection.execute(
            f"select source_record, left(record, 300) from {parquet_rows(store.shown(name))} order by 1 limit ?",
            [records_shown],
        ).fetchall()
    lines = [f"| {position} | `{visible(text).translate(_NO_MARKDOWN)}` |" for position, text in rows]
    return "\n".join(["| record | as it came |", "|---|---|", *lines])
