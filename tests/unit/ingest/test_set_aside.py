"""What cannot be read is set aside by name, holds up nothing else, and is forgotten when its source mends it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activity_audit.base.delivery_limits import DeliveryError
from activity_audit.ingest import offer_content
from activity_audit.ingest.manifests import MOST_BYTES, read_manifest
from activity_audit.ingest.set_aside import SetAside, SetAsides
from activity_audit.ingest.sources.files import FileSource
from activity_audit.ingest.sources.source import Listing, Offer, SourceError
from activity_audit.raw.lake import local_lake
from activity_audit.transform.staging import largest_part
from tests.s3_server import Bucket
from tests.unit.raw_lake import FEEDS, HOUR, LANDED_AT, A, B, Feeds, indexed


def aside(feeds: Feeds) -> list[SetAside]:
    return SetAsides(local_lake(feeds.raw)).all(FEEDS)


def names(feeds: Feeds) -> list[str]:
    return [delivery.name for delivery in indexed(feeds)[0]]


class Fails(FileSource):
    """Files of which some cannot be opened."""

    def __init__(self, feeds: Feeds, **errors: Exception) -> None:
        super().__init__(str(feeds.landing), FEEDS)
        self.errors = errors

    def open(self, offer: Offer) -> Any:
        if error := self.errors.get(offer.name.partition(".")[0]):
            raise error
        return super().open(offer)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(5, "Input/output error"), "it cannot be read: Input/output error"),
        (DeliveryError("it has more than 7 records"), "it has more than 7 records"),
        (MemoryError(), "this machine has too little memory"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (SourceError("the store has it in its archive"), "the store has it in its archive"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_cannot_be_read_is_set_aside(feeds: Feeds, error: Exception, reason: str) -> None:
    for name in "abc":
        feeds.deliver(f"{name}.ndjson", A)
    report = feeds.land(source=Fails(feeds, b=error))
    assert names(feeds) == ["a.ndjson", "c.ndjson"]
    (one,) = report.set_aside
    assert (one.feed, one.feed_hour, one.name) == ("search", HOUR, "b.ndjson")
    assert reason in one.reason
    assert any(f"search/2026-05-01/10/b.ndjson (search 2026-05-01T10:00:00Z) is set aside: {one.reason}" in warning
               for warning in report.warnings)  # fmt: skip
    # It is tried again by each pass, and stays first seen when it was.
    later = LANDED_AT + timedelta(hours=1)
    feeds.land(source=Fails(feeds, b=error), at=later)
    assert [(found.first_seen, found.last_seen) for found in aside(feeds)] == [(LANDED_AT, later)]
    assert (feeds.land().set_aside, aside(feeds)) == ([], [])
    assert names(feeds) == ["a.ndjson", "b.ndjson", "c.ndjson"]


def test_what_is_removed_at_the_source_is_set_aside_no_more(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    path = feeds.deliver("b.ndjson", B)
    feeds.land(source=Fails(feeds, b=OSError(5, "Input/output error")))
    path.unlink()
    feeds.land()
    assert aside(feeds) == []


def test_a_pass_over_other_hours_or_feeds_leaves_what_is_set_aside(feeds: Feeds) -> None:
    feeds.deliver("b.ndjson", B)
    source = Fails(feeds, b=OSError(5, "Input/output error"))
    feeds.land(source=source)
    (one,) = aside(feeds)
    elsewhere = [(FEEDS, (HOUR + timedelta(hours=1), HOUR + timedelta(hours=2))), (["bi"], None)]
    for feed_names, window in elsewhere:
        landing_of(feeds, source, feed_names, window)
        assert aside(feeds) == [one]


def landing_of(feeds: Feeds, source: FileSource, chosen: Sequence[str], window: Any) -> None:
    from activity_audit.ingest.landing import land

    land(source, local_lake(feeds.raw), feeds=chosen, window=window, landed_at=LANDED_AT, max_record_bytes=1 << 20)


def test_a_source_of_which_nothing_can_be_read_is_out_of_reach(feeds: Feeds) -> None:
    for name in "ab":
        feeds.deliver(f"{name}.ndjson", A)
    down = SourceError("the store is down")
    with pytest.raises(SourceError, match="the store is down"):
        feeds.land(source=Fails(feeds, a=down, b=down))
    assert aside(feeds) == []
    feeds.land(source=Fails(feeds, b=down))
    # What is known to be in trouble by itself does not stop the next run.
    assert [one.name for one in feeds.land(source=Fails(feeds, b=down)).set_aside] == ["b.ndjson"]


def test_a_folder_that_may_not_be_read(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds.deliver("a.ndjson", A)
    closed = [feeds.landing / name for name in ("search/2026-05-01/11", "search/2026-05-02", "bi")]
    for folder in closed:
        folder.mkdir()
    scandir = os.scandir

    def refused(location: Any) -> Any:
        if str(location) in map(str, closed):
            raise PermissionError(13, "Permission denied")
        return scandir(location)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        report = feeds.land()
    assert [delivery.name for delivery in report.new] == ["a.ndjson"]
    assert {(one.source_uri, one.feed_hour) for one in report.set_aside} == {
        (f"file://{closed[0]}", HOUR + timedelta(hours=1)), (f"file://{closed[1]}", None),
        (f"file://{closed[2]}", None),
    }  # fmt: skip
    assert all("Permission denied" in one.reason for one in report.set_aside)
    assert feeds.land().set_aside == aside(feeds) == []


@pytest.mark.parametrize("day", ["0001-01-01", "0999-12-31", "1000-01-01", "2014-12-31"])
def test_a_day_that_has_no_feed_hour_is_set_aside(feeds: Feeds, day: str) -> None:
    feeds.deliver("a.ndjson", A)
    folder = feeds.landing / f"search/{day}/10"
    folder.mkdir(parents=True)
    (folder / "b.ndjson").write_bytes(B)
    report = feeds.land()
    assert names(feeds) == ["a.ndjson"]
    (one,) = report.set_aside
    assert one.source_uri == f"file://{folder.parent}"
    assert "names no feed hour that can be loaded" in one.reason
    # A pass over one hour sees it, too.
    landing_of(feeds, FileSource(str(feeds.landing), FEEDS), FEEDS, (HOUR, HOUR + timedelta(hours=1)))
    assert [found.source_uri for found in aside(feeds)] == [one.source_uri]
    folder.parent.rename(feeds.landing / "search/2026-05-02")
    feeds.land()
    assert aside(feeds) == []


def test_the_last_day_of_the_calendar(feeds: Feeds) -> None:
    folder = feeds.landing / "search/9999-12-31/23"
    folder.mkdir(parents=True)
    (folder / "b.ndjson").write_bytes(B)
    source = FileSource(str(feeds.landing), FEEDS)
    assert [offer.feed_hour.year for offer in source.list(FEEDS, None).offers] == [9999]
    assert source.list(FEEDS, (HOUR, HOUR + timedelta(hours=1))).offers == []


def test_a_day_of_a_bucket_that_has_no_feed_hour(feeds: Feeds, bucket: Bucket) -> None:
    place = f"feeds/search/{HOUR:%Y-%m-%d/%H}"
    bucket.put_all(
        {f"{place}/a.ndjson": A, "feeds/search/0999-01-01/10/b.ndjson": B, "feeds/bi/9999-12-31/23/c.csv": B}
    )
    report = feeds.land(f"s3://{bucket.name}/feeds")
    assert {delivery.name for delivery in report.new} == {"a.ndjson", "c.csv"}
    (one,) = report.set_aside
    assert one.source_uri == f"s3://{bucket.name}/feeds/search/0999-01-01"


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_what_takes_a_files_place_after_the_listing(feeds: Feeds, kind: str, tmp_path: Path) -> None:
    """Nothing waits for a writer that never comes, and nothing outside of the landing area is read."""
    (tmp_path / "secret").write_bytes(b'{"eventId":"secret"}\n')
    path = feeds.deliver("a.ndjson", A)

    class Replaces(FileSource):
        def list(self, *arguments: Any) -> Listing:
            listing = super().list(*arguments)
            path.unlink()
            os.mkfifo(path) if kind == "fifo" else path.symlink_to(tmp_path / "secret")
            return listing

    done = threading.Event()

    def land() -> None:
        feeds.land(source=Replaces(str(feeds.landing), FEEDS))
        done.set()

    threading.Thread(target=land, daemon=True).start()
    assert done.wait(20), "it waits for the pipe"
    assert names(feeds) == []
    (one,) = aside(feeds)
    assert ("not a regular file" if kind == "fifo" else "leads out of the landing area") in one.reason


HOSTILE = {
    "deep": b'{"files":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "surrogate": b'{"files":[{"name":"\\ud800"}]}',
    "surrogate in the hash": b'{"files":[{"name":"a","sha256":"\\ud800"}]}',
    "too many": b'{"files":[{"name":"a","records":9223372036854775808}]}',
    "too many together": b'{"files":[%s]}' % b",".join([b'{"name":"a","records":5000000000000000000}'] * 2),
    "many digits": b'{"files":[{"name":"a","records":' + b"9" * 5000 + b"}]}",
    "infinite": b'{"files":[{"name":"a","records":1e999}]}',
    "no number": b'{"files":[{"name":"a","records":NaN}]}',
    "twice": b'{"files":[],"files":[{"name":"a"}]}',
    "no text": b'{"files":[{"name":"\xff"}]}',
    "no object": b'{"files":[[]]}',
    "a text": b'"files"',
    "empty": b"",
    "large": b" " * MOST_BYTES + b"{}",
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_manifest_has_a_reason(content: bytes) -> None:
    files, reason = read_manifest(content)
    assert files == []
    assert reason
    reason.encode()


def test_a_manifest_that_doubles_the_last_of_many_names_is_not_long_to_read() -> None:
    names = b",".join(b'"%d":0' % number for number in range(300_000))
    begun = time.process_time()
    files, reason = read_manifest(b'{"files":[{%s,"299999":1}]}' % names)
    assert (files, reason) == ([], "it has '299999' twice in one object")
    # Looking for each name among all of them takes more than an hour.
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("entry", [{"records": -1}, {"records": 1, "sha256": "\ud800"}, {"records": "9" * 1_000_000}])
def test_the_reason_is_short_however_long_a_manifests_names_are(entry: dict[str, Any]) -> None:
    entry["name"] = "n" * 1_000_000 + entry.get("sha256", "")
    _, reason = read_manifest(json.dumps({"files": [entry]}).encode())
    assert reason
    assert len(reason) < 1000
    assert "nnnnn…" in reason


def test_a_manifest_of_many_files_is_read() -> None:
    entries = [{"name": f"part-{number}.ndjson", "records": number, "sha256": "0" * 64} for number in range(1000)]
    files, reason = read_manifest(b"\xef\xbb\xbf" + json.dumps({"files": entries, "x": [1.5, None, True]}).encode())
    assert reason is None
    assert files[-1] == ("part-999.ndjson", 999, "0" * 64)


def test_a_large_manifest_is_not_read(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds.deliver("a.ndjson", A)
    with feeds.deliver("_manifest.json", b"").open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    monkeypatch.setattr(offer_content, "_SMALL", 0)
    report = feeds.land()
    assert names(feeds) == ["a.ndjson"]
    assert report.new_manifests == []
    assert [one.reason for one in report.set_aside] == [
        f"the manifest cannot be read: it has {MOST_BYTES + 1} bytes, and a manifest may have {MOST_BYTES}"
    ]


@pytest.mark.parametrize("bad", [set(), {0}, {6}, {3, 4}, {0, 1, 2, 3, 4, 5, 6}], ids=str)
def test_those_with_which_it_fails_are_found(bad: set[int]) -> None:
    asked = []

    def fails(items: Sequence[int]) -> str | None:
        asked.append(list(items))
        return f"because of {sorted(bad & set(items))}" if bad & set(items) else None

    good, left = largest_part(range(7), fails)
    assert (set(good), {item for item, _ in left}) == (set(range(7)) - bad, bad)
    assert all(str(item) in reason for item, reason in left)
    assert len(asked) <= 14
    assert len({tuple(items) for items in asked}) == len(asked)


def test_of_those_that_fail_only_together_as_many_as_can_be_are_kept() -> None:
    good, left = largest_part([3, 1, 5, 2], lambda items: "too much" if sum(items) > 7 else None)
    assert (sum(good) <= 7, len(good) + len(left)) == (True, 4)
    assert all(sum(good) + item > 7 for item, _ in left)


def test_a_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activity_audit.transform.staging.MOST_TRIES", 5)
    asked = []

    def fails(items: Sequence[int]) -> str | None:
        asked.append(items)
        return "bad" if set(items) & set(range(50, 100)) else None

    good, left = largest_part(range(100), fails)
    assert set(good) | {item for item, _ in left} == set(range(100))
    assert set(range(50)) <= set(good)
    assert len(asked) <= 5 + 7
