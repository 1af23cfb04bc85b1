"""The core of the feed contract in pandas: files in batches, then duplicates over all of them in memory."""

from __future__ import annotations

import argparse
import gzip
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import orjson
import pandas as pd

SENT = ["application", "entity", "activity", "eventTime", "eventId", "triggeredBy", "instance", "outcome", "comments"]
TEXTS = [
    "application", "entity", "activity", "event_time", "event_id", "triggered_by", "instance", "outcome", "comments",
]  # fmt: skip
NINE = [
    "event_id", "event_time_utc", "application", "entity", "activity", "triggered_by", "instance", "outcome",
    "comments",
]  # fmt: skip
PLACE = ["file", "source_record"]
REQUIRED = ["event_id", "event_time", "entity", "activity", "outcome"]
REASONS = [
    *(f"missing_{name}" for name in REQUIRED),
    *("invalid_event_time", "event_time_zone_unknown", "event_time_in_future", "invalid_outcome"),
]
TIME = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d+)?"
ZONE = r"(?:Z|[+-]\d{2}:\d{2})"
TEXT = pd.StringDtype("pyarrow", na_value=pd.NA)
TOO_LARGE = 1_048_576
KEPT_OF_TOO_LARGE = 65_536
BATCH_BYTES = 64_000_000


def key(name: str) -> str:
    """The key by which names match."""
    lowered = name.lower()
    kept = (char for char in lowered.replace("&", "and") if unicodedata.category(char)[0] not in "PZC")
    return "".join(kept) or lowered


class Catalogue:
    """The applications' names, and what is documented of them."""

    def __init__(self, folder: Path) -> None:
        def table(name: str) -> pd.DataFrame:
            return pd.read_csv(folder / f"{name}.csv", dtype="str", keep_default_na=False)

        known = table("application")
        aliases = known.assign(aliases=known["aliases"].str.split(";")).explode("aliases")
        self.by_slug = dict(zip(known["slug"], known["application"], strict=True))
        self.by_key: dict[str, str] = {}
        for frame, names in ((known, "application"), (aliases, "aliases"), (known, "display_name"), (known, "slug")):
            for name, application in zip(frame[names], frame["application"], strict=True):
                if name.strip():
                    self.by_key.setdefault(key(name.strip()), application)
        pairs = pd.concat([table("entity_activity"), table("own_activity")])
        self.documented = {
            tuple(map(key, names))
            for names in pairs[["application", "entity", "activity"]].itertuples(index=False, name=None)
        }


def in_order(feeds: Path) -> list[Path]:
    """The files by hour, feed and name."""
    return sorted(feeds.glob("*/*/*/*.ndjson*"), key=lambda path: (path.parts[-3:-1], path.parts[-4], path.name))


def batches(paths: list[Path]) -> Iterator[range]:
    """So many files at a time that memory stays small, by their numbers."""
    start, size = 0, 0
    for number, path in enumerate(paths):
        size += path.stat().st_size * (8 if path.suffix == ".gz" else 1)
        if size >= BATCH_BYTES:
            yield range(start, number + 1)
            start, size = number + 1, 0
    if start < len(paths):
        yield range(start, len(paths))


def lines(path: Path) -> list[bytes]:
    """The records of a file."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [line for line in content.split(b"\n") if line.strip()]


def parse(paths: list[Path], batch: range) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The objects of these files with their text fields as sent, and the records that are none."""
    objects, others = [], []
    for number in batch:
        for position, line in enumerate(lines(paths[number]), start=1):
            if len(line) > TOO_LARGE:
                others.append((number, position, line[:KEPT_OF_TOO_LARGE], ["too_large"]))
                continue
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                record = None
            if isinstance(record, dict):
                objects.append((number, position, line, *map(record.get, SENT)))
            else:
                others.append((number, position, line, ["unparseable"]))
    return (
        pd.DataFrame(objects, columns=[*PLACE, "record", *TEXTS]),
        pd.DataFrame(others, columns=[*PLACE, "record", "reasons"]),
    )


def clean(column: pd.Series) -> pd.Series:
    """Trimmed, in NFC, null where nothing is left."""
    column = column.map(str, na_action="ignore").astype(TEXT).str.strip()
    other = ~column.str.isascii().fillna(True).astype(bool)
    if other.any():
        column = column.where(~other, column[other].str.normalize("NFC"))
    return column.mask((column == "").fillna(False))


def judge(frame: pd.DataFrame, paths: list[Path], catalogue: Catalogue) -> pd.DataFrame:
    """The normalised columns of each record, whether it is foreign or has an offset, and a column for each reason."""
    numbers = frame["file"].unique()
    own = frame["file"].map({number: catalogue.by_slug[paths[number].parts[-4]] for number in numbers}).astype(TEXT)
    hour = frame["file"].map({number: pd.Timestamp(" ".join(paths[number].parts[-3:-1]) + ":00") for number in numbers})
    for name in TEXTS:
        frame[name] = clean(frame[name])
    frame["outcome"] = frame["outcome"].str.upper()
    sent = frame["application"].fillna(own)
    frame["application"] = sent.map({name: catalogue.by_key.get(key(name), name) for name in sent.unique()}).astype(
        TEXT
    )
    frame["foreign"] = (frame["application"] != own).astype(bool)
    text = frame.pop("event_time")
    zoned = text.str.fullmatch(TIME + ZONE).fillna(False).astype(bool)
    local = text.str.fullmatch(TIME).fillna(False).astype(bool)
    # Cut to the microsecond, not rounded.
    exact = text.where(zoned | local).str.replace(r"(\.\d{6})\d+", r"\1", regex=True)
    moment = pd.to_datetime(exact, format="ISO8601", utc=True, errors="coerce").dt.as_unit("us").dt.tz_localize(None)
    frame["event_time_utc"] = moment
    frame["offset"] = zoned & ~text.str.endswith(("Z", "+00:00", "-00:00")).fillna(True).astype(bool)
    for name in REQUIRED:
        frame[f"missing_{name}"] = text.isna() if name == "event_time" else frame[name].isna()
    frame["invalid_event_time"] = text.notna() & moment.isna()
    frame["event_time_zone_unknown"] = local & moment.notna()
    frame["event_time_in_future"] = zoned & (moment > hour + pd.Timedelta(hours=2))
    frame["invalid_outcome"] = frame["outcome"].notna() & ~frame["outcome"].isin(["SUCCESS", "FAILURE"])
    return frame


def split(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The valid records, and the others with their reasons."""
    wrong = frame[REASONS].any(axis=1)
    bad = frame.loc[wrong, [*PLACE, "record"]]
    bad["reasons"] = [
        [name for name, holds in zip(REASONS, row, strict=True) if holds]
        for row in frame.loc[wrong, REASONS].to_numpy()
    ]
    return frame.loc[~wrong, [*PLACE, *NINE, "foreign", "offset"]], bad


def compare(valid: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Which valid records are duplicates, and which are conflicts."""
    again = valid["event_id"].duplicated()
    contested = valid.loc[valid["event_id"].isin(valid.loc[again, "event_id"]), NINE]
    later = contested[contested["event_id"].duplicated()]
    first = contested.drop_duplicates("event_id").set_index("event_id", drop=False).loc[later["event_id"]]
    same = pd.Series(True, index=later.index)
    for name in NINE[1:]:
        left, right = later[name].astype(object), first[name].astype(object).set_axis(later.index)
        same &= (left == right) | (left.isna() & right.isna())
    same = same.astype(bool).reindex(valid.index, fill_value=False)
    return again & same, again & ~same


def with_records(place: pd.DataFrame, paths: list[Path]) -> pd.DataFrame:
    """These records' own text, from their files, which is cheaper than to keep all text until here."""
    found = place.assign(record=b"")
    for number, group in place.groupby("file"):
        content = lines(paths[number])
        found.loc[group.index, "record"] = [content[position - 1] for position in group["source_record"]]
    return found


def documented(events: pd.DataFrame, catalogue: Catalogue) -> pd.Series:
    """Whether the catalogue has an event's three names; worked out once for each spelling."""
    names = ["application", "entity", "activity"]
    distinct = events[names].drop_duplicates()
    distinct["known"] = [
        tuple(map(key, row)) in catalogue.documented for row in distinct.itertuples(index=False, name=None)
    ]
    return events[names].merge(distinct, how="left", on=names)["known"].set_axis(events.index)


def main() -> None:
    """Read, judge, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("feeds", "catalogue", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    catalogue, paths = Catalogue(options.catalogue), in_order(options.feeds)
    frames, quarantine = [], []
    received = 0
    for batch in batches(paths):
        objects, others = parse(paths, batch)
        received += len(objects) + len(others)
        good, bad = split(judge(objects, paths, catalogue))
        frames.append(good)
        quarantine += [bad, others]
    valid = pd.concat(frames, ignore_index=True)
    del frames
    duplicate, conflict = compare(valid)
    conflicts = with_records(valid.loc[conflict, PLACE], paths)
    quarantine.append(conflicts.assign(reasons=[["event_id_conflict"]] * len(conflicts)))
    events = valid[~(duplicate | conflict)]
    del valid
    events = events.assign(is_documented=documented(events, catalogue))
    kept = pd.concat([frame for frame in quarantine if len(frame)], ignore_index=True)
    kept["feed"] = [paths[number].parts[-4] for number in kept["file"]]
    kept["source_uri"] = [paths[number].as_posix() for number in kept.pop("file")]
    kept["record"] = [line.decode(errors="backslashreplace") for line in kept["record"]]
    for name, frame in (("fact", events[[*NINE, "is_documented"]]), ("quarantine", kept)):
        (options.out / name).mkdir(parents=True)
        frame.to_parquet(options.out / name / "part.parquet", compression="zstd", index=False)
    counts = {
        "received": received,
        "accepted": len(events),
        "duplicate": int(duplicate.sum()),
        "quarantined": len(kept),
        "conflict": int(conflict.sum()),
        "offset_normalised": int(events["offset"].sum()),
        "foreign_application": int(events["foreign"].sum()),
        "undocumented": int((~events["is_documented"]).sum()),
    }
    (options.out / "counts.json").write_text(json.dumps(counts))


if __name__ == "__main__":
    main()
