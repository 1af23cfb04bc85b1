"""A judge of feed files: the feed contract in plain Python, without a line of the product's own reading.

It reads small files whole and knows only what the simulator may write.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import zstandard

from activity_audit.base import catalogue

FIELDS = ("application", "entity", "activity", "eventtime", "eventid", "triggeredby", "instance", "outcome", "comments")
REQUIRED = ("event_id", "event_time", "entity", "activity", "outcome")
FUTURE = timedelta(hours=2)


def records(path: Path) -> Iterator[dict[str, Any] | str]:
    """A file's records with their fields' names in the shortest form, or the reason why one is none."""
    content = path.read_bytes()
    if path.name.endswith(".gz"):
        content = gzip.decompress(content)
    elif path.name.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompress(content)
    if ".parquet" in path.name:
        table = pq.read_table(io.BytesIO(content))
        assert {str(column.type) for column in table.schema} == {"string"}
        yield from map(short_names, table.to_pylist())
    elif ".csv" in path.name:
        header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
        for row in rows:
            fits = len(row) == len(header)
            yield short_names(dict(zip(header, row, strict=True))) if fits else "unparseable"
    elif path.name.endswith(".json"):
        document = json.loads(content)
        yield from map(short_names, document if isinstance(document, list) else document["values"])
    else:
        for line in content.split(b"\n")[:-1]:
            if len(line) > 1_048_576:
                yield "too_large"
                continue
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            yield short_names(value) if isinstance(value, dict) else "unparseable"


def short_names(record: dict[str, Any]) -> dict[str, Any]:
    result = {re.sub("[ _]", "", name.lower()).replace("(utc)", ""): value for name, value in record.items()}
    result["declares_utc"] = "Event Time (UTC)" in record
    return result


def text(record: dict[str, Any], field: str) -> str | None:
    return unicodedata.normalize("NFC", record.get(field) or "").strip() or None


def parse_time(value: str, declares_utc: bool) -> datetime | str:
    """The instant, or the reason why there is none."""
    if declares_utc and re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d [AP]M", value):
        try:
            return datetime.strptime(value, "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC)
        except ValueError:
            return "invalid_event_time"
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return "invalid_event_time"
    if moment.tzinfo is None and not declares_utc:
        return "event_time_zone_unknown"
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def application_names() -> dict[str, str]:
    return {
        catalogue.normalised_name(name): application.name
        for application in catalogue.applications()
        for name in (application.name, application.display_name, *application.aliases)
    }


def judge_reasons(record: dict[str, Any], hour: datetime) -> tuple[list[str], datetime | None]:
    reasons = [f"missing_{name}" for name in REQUIRED if text(record, name.replace("_", "")) is None]
    moment: datetime | None = None
    if value := text(record, "eventtime"):
        parsed = parse_time(value, record["declares_utc"])
        if isinstance(parsed, str):
            reasons.append(parsed)
        else:
            moment = parsed
            if moment > hour + FUTURE:
                reasons.append("event_time_in_future")
    outcome = text(record, "outcome")
    if outcome and outcome.upper() not in ("SUCCESS", "FAILURE"):
        reasons.append("invalid_outcome")
    return reasons, moment


def judge(root: Path) -> tuple[list[dict[str, Any]], Counter[str], Counter[str]]:
    """Per feed hour the numbers, and over all of them the reasons and warnings."""
    reasons: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    accepted: dict[str, tuple[Any, ...]] = {}
    names = application_names()
    own_names = {application.slug: application.name for application in catalogue.applications()}
    documented = {
        tuple(map(catalogue.normalised_name, (row.application, row.entity, row.activity)))
        for row in catalogue.entity_activities()
        if row.activity
    }
    rows = []
    folders = [path for path in root.glob("*/*/*") if path.is_dir()]
    for folder in sorted(folders, key=lambda path: (path.parent.name, path.name, path.parent.parent.name)):
        slug = folder.parent.parent.name
        hour = datetime.strptime(f"{folder.parent.name} {folder.name}", "%Y-%m-%d %H").replace(tzinfo=UTC)
        own = own_names[slug]
        row: Counter[str] = Counter()
        for path in sorted(folder.glob("[!_.]*")):
            for record in records(path):
                row["received"] += 1
                if isinstance(record, str):
                    row["quarantined"] += 1
                    reasons[record] += 1
                    continue
                why, moment = judge_reasons(record, hour)
                said = text(record, "application")
                application = names.get(catalogue.normalised_name(said), said) if said else own
                values = {field: text(record, field) for field in FIELDS}
                content = (
                    *(values[field] for field in FIELDS if field not in ("application", "eventtime", "outcome")),
                    application,
                    moment,
                    (values["outcome"] or "").upper(),
                )
                known = accepted.get(values["eventid"] or "")
                if not why and known and known != content:
                    why = ["event_id_conflict"]
                if why:
                    row["quarantined"] += 1
                    reasons.update(why)
                elif known:
                    row["duplicate"] += 1
                else:
                    row["accepted"] += 1
                    accepted[str(values["eventid"])] = content
                    assert moment
                    row["offset_normalised"] += bool(moment.utcoffset())
                    row["late"] += moment < hour
                    triple = (application, values["entity"] or "", values["activity"] or "")
                    known_triple = tuple(map(catalogue.normalised_name, triple)) in documented
                    warnings["foreign_application"] += application != own
                    warnings["undocumented"] += not known_triple
        warnings["offset_normalised"] += row["offset_normalised"]
        warnings["late"] += row["late"]
        numbers = ("received", "accepted", "duplicate", "quarantined", "offset_normalised", "late")
        when = hour.isoformat().replace("+00:00", "Z")
        rows.append({"feed": slug, "feed_hour": when, **{name: row[name] for name in numbers}})
    return rows, reasons, warnings
