"""The simulator: what it promises about its files, and what an independent judge finds in them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activity_audit.base import catalogue
from activity_audit.simulator.simulate import simulate
from tests.unit.feed_judge import judge, records

HOUR = timedelta(hours=1)
NOON = datetime(2026, 5, 6, 13, tzinfo=UTC)  # a Wednesday; the hours before it are busy ones


def run(root: Path, hours: int = 2, until: datetime = NOON, **options: Any) -> dict[str, Any]:
    return simulate(root, hours=hours, until=until, **{"events_per_hour": 400, "seed": 7, "defects": True, **options})


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def parsed(root: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The records of all files that are records at all, each with its file."""
    paths = sorted(root.glob("*/*/*/events*"))
    return [(path, record) for path in paths for record in records(path) if isinstance(record, dict)]


@pytest.mark.parametrize("events_per_hour", [30, 400, 1500])
@pytest.mark.parametrize("until", [NOON, datetime(2026, 5, 4, 2, tzinfo=UTC)], ids=["noon", "after_a_weekend"])
def test_an_independent_judge_counts_what_the_simulator_says(
    tmp_path: Path, events_per_hour: int, until: datetime
) -> None:
    result = run(tmp_path, hours=3, until=until, events_per_hour=events_per_hour, detail=True)
    rows, reasons, warnings = judge(tmp_path)
    order = ("feed_hour", "feed")
    assert sorted(result["by_feed_hour"], key=lambda row: [row[key] for key in order]) == sorted(
        rows, key=lambda row: [row[key] for key in order]
    )
    assert +Counter(result["reasons"]) == +reasons
    assert +Counter(result["warnings"]) == +warnings
    for number in ("received", "accepted", "duplicate", "quarantined"):
        assert result[number] == sum(row[number] for row in rows)
    assert result["received"] == 3 * events_per_hour
    assert result["received"] == result["accepted"] + result["duplicate"] + result["quarantined"]


def test_without_defects_every_record_is_accepted_and_in_its_hour(tmp_path: Path) -> None:
    result = run(tmp_path, hours=3, defects=False, detail=True)
    rows, reasons, warnings = judge(tmp_path)
    assert result["received"] == result["accepted"] == sum(row["accepted"] for row in rows) == 1200
    assert not reasons
    assert result["warnings"]["late"] == result["warnings"]["offset_normalised"] == 0
    assert +Counter(result["warnings"]) == +warnings


@pytest.mark.parametrize("events_per_hour", [0, 1, 7, 199, 400])
@pytest.mark.parametrize("defects", [True, False])
def test_every_hour_has_exactly_the_number_and_every_feed_a_manifest_that_fits(
    tmp_path: Path, events_per_hour: int, defects: bool
) -> None:
    result = run(tmp_path, hours=3, events_per_hour=events_per_hour, defects=defects)
    manifests = list(tmp_path.rglob("_manifest.json"))
    assert len(manifests) == result["feed_hours"] == 16 * 3
    per_hour: Counter[str] = Counter()
    files = size = 0
    for manifest in manifests:
        listed = json.loads(manifest.read_text())["files"]
        assert {item["name"] for item in listed} == {path.name for path in manifest.parent.glob("[!_]*")}
        assert listed
        for item in listed:
            path = manifest.parent / item["name"]
            content = path.read_bytes()
            assert hashlib.sha256(content).hexdigest() == item["sha256"]
            assert item["records"] == len(list(records(path)))
            per_hour[manifest.parent.name] += item["records"]
            files += 1
            size += len(content)
    assert per_hour == dict.fromkeys(("10", "11", "12"), events_per_hour)
    assert (result["files"], result["bytes"]) == (files, size)


def test_the_same_again_is_the_same_bytes_and_touches_nothing(tmp_path: Path) -> None:
    first = run(tmp_path / "a")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")}
    assert run(tmp_path / "a") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")} == written
    # Another process has another order of sets and another hash().
    code = (
        "import sys, pathlib, datetime; from activity_audit.simulator.simulate import simulate;"
        "simulate(pathlib.Path(sys.argv[1]), hours=2, until=datetime.datetime.fromisoformat(sys.argv[2]),"
        "events_per_hour=400, seed=7, defects=True)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "b"), NOON.isoformat()]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "12345"})
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    run(tmp_path, hours=1)
    before = contents(tmp_path)
    path = next(tmp_path.rglob("events*.ndjson"))
    path.write_bytes(path.read_bytes().replace(b"SUCCESS", b"FAILURE"))
    run(tmp_path, hours=1)
    assert contents(tmp_path) == before


def test_a_shifted_range_leaves_the_common_hours_as_they_were(tmp_path: Path) -> None:
    run(tmp_path, hours=3)
    before = contents(tmp_path)
    run(tmp_path, hours=3, until=NOON + HOUR)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)


def test_a_redelivery_is_a_duplicate_only_where_the_hour_before_is_in_the_range(tmp_path: Path) -> None:
    alone = run(tmp_path / "alone", hours=1, detail=True)["by_feed_hour"]
    after = run(tmp_path / "after", hours=2, detail=True)["by_feed_hour"][16:]
    again = sum(row["duplicate"] for row in after) - sum(row["duplicate"] for row in alone)
    assert again > 0
    assert sum(row["accepted"] for row in alone) - sum(row["accepted"] for row in after) == again
    assert sum(row["late"] for row in alone) - sum(row["late"] for row in after) == again


def test_within_an_hour_an_event_id_is_met_again_in_the_same_file_only(tmp_path: Path) -> None:
    # In this hour two feeds deliver two files each.
    run(tmp_path, hours=1, events_per_hour=4000, until=NOON)
    assert len(list(tmp_path.glob("*/*/*/events-2.*"))) == 2
    files: dict[str, set[Path]] = {}
    for path, record in parsed(tmp_path):
        if (record.get("eventid") or "").strip():
            files.setdefault(record["eventid"], set()).add(path)
    assert all(len(paths) == 1 for paths in files.values())


def test_gzip_files_carry_no_time(tmp_path: Path) -> None:
    run(tmp_path, hours=1)
    headers = [path.read_bytes()[:8] for path in tmp_path.rglob("*.gz")]
    assert headers
    assert all(header[4:8] == bytes(4) for header in headers)


def test_fewer_feeds_have_the_same_files(tmp_path: Path) -> None:
    run(tmp_path / "all", hours=1)
    result = run(tmp_path / "two", hours=1, feeds=["qm", "search"])
    every, two = contents(tmp_path / "all"), contents(tmp_path / "two")
    assert two == {name: content for name, content in every.items() if name.startswith(("qm/", "search/"))}
    assert result["feeds"] == result["feed_hours"] == 2


def test_seeds_give_different_events_under_the_same_names(tmp_path: Path) -> None:
    run(tmp_path / "a", hours=1)
    run(tmp_path / "b", hours=1, seed=8)
    assert contents(tmp_path / "a").keys() == contents(tmp_path / "b").keys()
    a, b = ({record["eventid"] for _, record in parsed(tmp_path / seed) if record.get("eventid")} for seed in "ab")
    assert not {event_id for event_id in a & b if event_id.strip()}


def test_every_reason_and_warning_is_in_every_hour(tmp_path: Path) -> None:
    for hour in range(6):
        result = run(tmp_path / str(hour), hours=1, until=NOON + hour * HOUR)
        absent = [reason for reason, number in result["reasons"].items() if not number]
        assert absent == ([] if (12 + hour) % 6 == 0 else ["too_large"])
        assert all(result["warnings"].values())
        assert result["duplicate"] >= 1


def test_shares_are_about_what_they_should_be(tmp_path: Path) -> None:
    result = run(tmp_path, hours=6, events_per_hour=4000)
    received = result["received"]
    assert 0.015 < result["warnings"]["late"] / received < 0.025
    assert 0.008 < result["duplicate"] / received < 0.012
    assert 0.004 < result["quarantined"] / received < 0.007
    # Some records have two reasons.
    assert sum(result["reasons"].values()) > result["quarantined"]
    assert all(number >= 2 for reason, number in result["reasons"].items() if reason != "too_large")


@pytest.mark.parametrize("defects", [True, False])
def test_about_one_event_of_a_hundred_is_not_in_the_catalogue(tmp_path: Path, defects: bool) -> None:
    result = run(tmp_path, hours=24, until=NOON, defects=defects)
    assert 0.002 < result["warnings"]["undocumented"] / result["accepted"] < 0.015
    assert {path.parts[-4] for path, _ in parsed(tmp_path)} == set(catalogue.report_prompt_slugs())


def test_it_looks_like_audit_events(tmp_path: Path) -> None:
    run(tmp_path, hours=10, until=NOON, events_per_hour=600, defects=False)
    seen = [(path.parts[-4], path.parent.name, record) for path, record in parsed(tmp_path)]
    triples = {(record["application"], record["entity"], record["activity"]) for _, _, record in seen}
    assert ("Analytics", "Chat", "Interaction Viewed") in triples
    users = Counter(record["triggeredby"] for _, _, record in seen)
    assert {"clarissa.dalloway@classics.example", "Impersonated admin", "Not applicable"} <= users.keys()
    failures = sum(record["outcome"] == "FAILURE" for _, _, record in seen) / len(seen)
    assert 0.02 < failures < 0.04
    people = Counter(record["eventid"] for _, _, record in seen)
    assert max(people.values()) == 1
    by_hour = Counter((hour, slug in ("storage", "extract_data_apis")) for slug, hour, _ in seen)
    assert by_hour["03", True] / 600 > 0.2 > 0.15 > by_hour["11", True] / 600
    instances = Counter(record["instance"] for slug, _, record in seen if slug == "webapp_player")
    assert instances.most_common(1)[0][1] > 5
    assert any("sessionid" in record for _, _, record in seen)
    assert any(unicodedata.normalize("NFC", record["comments"] or "") != record["comments"] for _, _, record in seen)
    suffixes = {"".join(path.suffixes) for path in tmp_path.glob("*/*/*/events*")}
    assert suffixes == {".ndjson", ".ndjson.gz", ".jsonl.zst", ".json", ".csv", ".csv.gz", ".parquet"}
    assert any(record["declares_utc"] for _, _, record in seen)
    assert list(tmp_path.glob("*/*/*/events-2.*"))


def test_on_hour_is_told_each_hour_in_order(tmp_path: Path) -> None:
    told: list[datetime] = []
    run(tmp_path, hours=3, events_per_hour=1, on_hour=told.append)
    assert told == [NOON - 3 * HOUR, NOON - 2 * HOUR, NOON - HOUR]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hours": 0}, "hours must be at least 1"),
        ({"events_per_hour": -1}, "must not be negative"),
        ({"until": NOON + timedelta(minutes=5)}, "on the hour"),
        ({"until": NOON.replace(tzinfo=None)}, "on the hour"),
        ({"feeds": ["data_share"]}, "not a feed of the report prompt: data_share"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **options)
    assert not list(tmp_path.iterdir())
