"""The files of the raw lake: their names, how one gets its name, and what is found in them.

    <feed>/<YYYY-MM-DD>/<HH>/<delivery id>.parquet                       every record of a delivery
    <feed>/<YYYY-MM-DD>/<HH>/<time of landing>-<sha256>.manifest.json    a manifest as it came

Other names are no part of it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from activity_audit.base.faults import DamagedError
from activity_audit.base.hours import HOUR_FOLDER, from_hour_folder
from activity_audit.base.sql_text import parquet_rows
from activity_audit.raw.index import METADATA_KEY, LandedDelivery, LandedManifest, from_metadata
from activity_audit.warehouse.extensions import connect

# What is kept beside the deliveries: the pages of readings, and what is remembered of looks at a bucket.
PAGES = "pages"
SWEEPS = "sweeps.json"
_MANIFEST_TIME = "%Y%m%dT%H%M%S.%fZ"
_MANIFEST_SUFFIX = ".manifest.json"
_MANIFEST_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{32}\.manifest\.json")
_HASH_SHOWN = 32
# What would end a cell or its code mark, and what looks like it.
_NO_MARKDOWN = str.maketrans({"|": "\u00a6", "`": "\u00b4", "\n": " ", "\r": " "})


def manifest_path(manifest: LandedManifest, landed_at: datetime) -> str:
    """Where a manifest is, relative to the raw lake; its name tells which of several is the newest."""
    time = landed_at.astimezone(UTC).strftime(_MANIFEST_TIME)
    name = f"{time}-{manifest.sha256[:_HASH_SHOWN]}{_MANIFEST_SUFFIX}"
    return f"{manifest.feed}/{manifest.feed_hour:{HOUR_FOLDER}}/{name}"


def manifest_hash_shown(path: str) -> str | None:
    """The beginning of its content's hash that a manifest has in its name; None where a path is no manifest's."""
    name = path.rsplit("/", 1)[-1]
    return name.partition("-")[2].removesuffix(_MANIFEST_SUFFIX) if _MANIFEST_NAME.fullmatch(name) else None


def found_deliveries(raw_dir: Path) -> list[LandedDelivery]:
    """Every delivery of the raw lake, from the files themselves.

    Raises:
        DamagedError: naming the first of the files that are not as landing wrote them, and how many there are.
    """
    found, wrong = [], []
    for path in sorted(raw_dir.glob("[!.]*/*/*/[!.]*.parquet")):
        try:
            found.append(delivery_in(path))
        except DamagedError as error:
            wrong.append(error)
    if wrong:
        others = f" There are {len(wrong) - 1} others." if wrong[1:] else ""
        raise DamagedError(f"{wrong[0]}.{others}") from wrong[0]
    return found


def found_manifests(raw_dir: Path) -> list[tuple[LandedManifest, datetime]]:
    """Every manifest of the raw lake and when it was landed, the newest of a feed hour last."""
    found = []
    for path in sorted(raw_dir.glob(f"[!.]*/*/*/[!.]*{_MANIFEST_SUFFIX}")):
        if not _MANIFEST_NAME.fullmatch(path.name):
            continue
        feed, day, hour = path.parts[-4:-1]
        content = path.read_bytes()
        landed_at = datetime.strptime(path.name.partition("-")[0], _MANIFEST_TIME).replace(tzinfo=UTC)
        feed_hour = from_hour_folder(f"{day}/{hour}")
        found.append((LandedManifest(feed, feed_hour, hashlib.sha256(content).hexdigest(), content), landed_at))
    return found


def publish(temporary: Path, target: Path) -> bool:
    """Give a whole file its final name, for ever; False where another one has that name already.

    The content must be on disk before its name is. The temporary name is gone afterwards.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError:
        # A file system without hard links: of two that land the same at once, the second one's file stays.
        temporary.replace(target)
        return True
    finally:
        temporary.unlink(missing_ok=True)
    return True


def folders_of(files: Iterable[Path], raw_dir: Path) -> Iterator[Path]:
    """The folders of the raw lake that these files are in; a name is on disk when all of them are."""
    folders: set[Path] = set()
    for folder in {file.parent for file in files}:
        folders |= {folder, *folder.parents}
    yield from sorted((folder for folder in folders if folder.is_relative_to(raw_dir)), reverse=True)


def delivery_in(path: Path) -> LandedDelivery:
    """The delivery that a file of the raw lake holds, from its footer.

    Raises:
        DamagedError: the file is not one that landing wrote, or not as it was written.
        OSError: it cannot be read.
    """
    try:
        footer = pq.read_metadata(path)
        return from_metadata(footer.metadata[METADATA_KEY.encode()].decode(), footer.num_rows)
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise DamagedError(
            f"{path} is not a file of the raw lake as landing wrote it. Restore it from a backup; or move it away, and "
            "its delivery is landed again if the source still has it"
        ) from error


def preview(path: Path, records_shown: int = 5) -> str:
    """The first records of a raw file as a Markdown table."""
    with connect() as connection:
        rows = connection.execute(
            f"select source_record, left(record, 300) from {parquet_rows(path)} order by 1 limit ?",
            [records_shown],
        ).fetchall()
    lines = [f"| {position} | `{text.translate(_NO_MARKDOWN)}` |" for position, text in rows]
    return "\n".join(["| record | as it came |", "|---|---|", *lines])
