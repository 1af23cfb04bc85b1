"""Writes simulated records as the bytes of a feed file, and puts files into their place.

A record is an event, or bytes that stand in the file as they are because they are no record of its format.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from activity_audit.base.hours import HOUR, iso
from activity_audit.ingest.readers.formats import MANIFEST_NAME
from activity_audit.simulator.events import Event
from activity_audit.simulator.profiles import FileFormat, Spelling

Record = Event | bytes

_API_PAGE = "https://api.classics.example/activity/audit?From={}&To={}"
_GZIP_LEVEL = 5
# The fields of an event in the order in which a file has them, under the names that it gives them.
_VENDOR_ORDER = (
    "application",
    "entity",
    "activity",
    "event_time",
    "event_id",
    "triggered_by",
    "instance",
    "outcome",
    "comments",
)
_NAMES: dict[Spelling, dict[str, str]] = {
    "camel": {
        **{name: name for name in _VENDOR_ORDER},
        "event_time": "eventTime",
        "event_id": "eventId",
        "triggered_by": "triggeredBy",
        "extra": "sessionId",
    },
    "snake": {**{name: name for name in _VENDOR_ORDER}, "extra": "session_id"},
    "report": {
        "event_time": "Event Time (UTC)",
        "event_id": "Event ID",
        "triggered_by": "Triggered By",
        "entity": "Entity",
        "instance": "Instance",
        "activity": "Activity",
        "outcome": "Outcome",
        "application": "Application",
        "comments": "Comments",
        "extra": "Session ID",
    },
}


def encode(records: Sequence[Record], file_format: FileFormat, hour: datetime, extra_field: bool) -> bytes:
    """The file's content; the same records always give the same bytes.

    `extra_field` says whether a table has a column for the field that the contract does not name.
    """
    if file_format.layout == "parquet":
        return _parquet(records, file_format.spelling, extra_field)
    if file_format.layout == "csv":
        content = _csv(records, file_format.spelling, extra_field)
    else:
        content = _json(records, file_format, hour)
    if file_format.extension.endswith(".gz"):
        return gzip.compress(content, _GZIP_LEVEL, mtime=0)
    if file_format.extension.endswith(".zst"):
        import zstandard

        return zstandard.ZstdCompressor(level=3).compress(content)
    return content


def json_text(event: Event, spelling: Spelling) -> str:
    """The event as a JSON object on one line."""
    if event.extra or None in event:
        return _uncommon_json_text(event, spelling)
    _, application, entity, activity, event_time, event_id, user, instance, outcome, comments, _ = event
    # Times, ids and instances never have a character that JSON escapes, and are too many to be remembered.
    return _template(spelling) % (
        _quoted(application),
        _quoted(entity),
        _quoted(activity),
        event_time,
        event_id,
        _quoted(user),
        instance,
        _quoted(outcome),
        _quoted(comments),
    )


def csv_header(spelling: Spelling, extra_field: bool) -> list[str]:
    """The names of the columns."""
    names = _NAMES[spelling].items()
    return [name for field, name in names if extra_field or field != "extra"]


def csv_row(values: Sequence[str | None]) -> str:
    """One row of a CSV file, with its line end."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def csv_values(spelling: Spelling, extra_field: bool) -> Callable[[Event], tuple[str | None, ...]]:
    """The function that gives an event's values in the order of the columns."""
    fields = [field for field in _NAMES[spelling] if extra_field or field != "extra"]
    return itemgetter(*(Event._fields.index(field) for field in fields))


def write_manifest(folder: Path, files: Sequence[tuple[str, int, bytes]]) -> None:
    """The feed hour's manifest: each file's name, number of records and SHA-256 of its content."""
    entries = [
        {"name": name, "records": records, "sha256": hashlib.sha256(content).hexdigest()}
        for name, records, content in files
    ]
    write_if_changed(folder / MANIFEST_NAME, json.dumps({"files": entries}, indent=2).encode() + b"\n")


def write_if_changed(path: Path, content: bytes) -> None:
    """Put the content there in one step; until then it has a name that is no feed.

    A file that has this content already stays untouched.
    """
    if path.exists() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _json(records: Sequence[Record], file_format: FileFormat, hour: datetime) -> bytes:
    spelling = file_format.spelling
    lines = [record if isinstance(record, bytes) else json_text(record, spelling).encode() for record in records]
    if file_format.layout == "lines":
        return b"\n".join([*lines, b""])
    values = b"[\n" + b",\n".join(lines) + b"\n]" if lines else b"[]"
    if file_format.layout == "array":
        return values + b"\n"
    link = json.dumps({"self": _API_PAGE.format(iso(hour), iso(hour + HOUR))})
    return b'{"links": ' + link.encode() + b', "values": ' + values + b"}\n"


def _csv(records: Sequence[Record], spelling: Spelling, extra_field: bool) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(csv_header(spelling, extra_field))
    values = csv_values(spelling, extra_field)
    for record in records:
        if isinstance(record, bytes):
            buffer.write(record.decode())
        else:
            writer.writerow(values(record))
    return buffer.getvalue().encode()


def _parquet(records: Sequence[Record], spelling: Spelling, extra_field: bool) -> bytes:
    header = csv_header(spelling, extra_field)
    values = csv_values(spelling, extra_field)
    rows = [values(record) for record in records if isinstance(record, Event)]
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    arrays = [pa.array([value or None for value in column], pa.string()) for column in columns]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, names=header), buffer, compression="zstd")
    return buffer.getvalue()


@lru_cache(maxsize=8192)
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@cache
def _template(spelling: Spelling) -> str:
    plain = ("event_time", "event_id", "instance")
    names = _NAMES[spelling]
    members = (f'"{names[field]}":' + ('"%s"' if field in plain else "%s") for field in _VENDOR_ORDER)
    return "{" + ",".join(members) + "}"


def _uncommon_json_text(event: Event, spelling: Spelling) -> str:
    """An event with the extra field, or without one that it should have.

    What it lacks is left out if its instant is an odd second, else null.
    """
    names = _NAMES[spelling]
    left_out = event.at // 1000 % 2 == 1
    members: dict[str, Any] = {
        names[field]: getattr(event, field)
        for field in _VENDOR_ORDER
        if getattr(event, field) is not None or not left_out
    }
    if event.extra:
        members[names["extra"]] = event.extra
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))
