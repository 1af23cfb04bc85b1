"""Which hours of a bucket a look lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import fsspec
import pytest

from activity_audit.ingest.sources.bucket import BucketSource, source_at
from activity_audit.ingest.sources.files import FileSource
from activity_audit.ingest.sources.source import Offer, SourceError
from activity_audit.ingest.sweeps import Reach, Sweep, Sweeps, after, begin
from activity_audit.raw.notes import FileNotes
from tests.unit.raw_lake import FEEDS, HOUR

NOW = datetime(2026, 5, 20, 12, 30, tzinfo=UTC)
REACH = Reach(timedelta(days=2), timedelta(days=1))
SWEPT = Sweep(NOW - timedelta(hours=3))


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 5, number, hour, tzinfo=UTC)


def offer(hour: datetime) -> Offer:
    return Offer("search", hour, "a.ndjson", "s3://b/a", "t", 1)


def test_the_usual_look_goes_back_to_the_day_in_which_the_lookback_ends() -> None:
    assert begin(SWEPT, day(20, 10), NOW, REACH) == day(18)


def test_a_look_takes_up_where_a_feed_ended() -> None:
    assert begin(SWEPT, day(11, 7), NOW, REACH) == day(11)


def test_a_look_goes_back_to_what_is_left_to_land() -> None:
    assert begin(Sweep(SWEPT.swept_at, day(3, 5)), day(20, 10), NOW, REACH) == day(3)


@pytest.mark.parametrize(
    ("sweep", "newest"),
    [
        (None, day(20)),
        (SWEPT, None),
        (Sweep(NOW - timedelta(days=1)), day(20)),
        (Sweep(NOW + timedelta(minutes=1)), day(20)),
    ],
    ids=["never swept", "nothing landed", "due", "the clock went back"],
)
def test_a_sweep_is_made(sweep: Sweep | None, newest: datetime | None) -> None:
    assert begin(sweep, newest, NOW, REACH) is None


def test_what_a_look_leaves() -> None:
    assert after(None, [], NOW, REACH) == Sweep(NOW)
    assert after(SWEPT, [], NOW, REACH) == SWEPT
    assert after(Sweep(NOW - timedelta(days=2)), [], NOW, REACH) == Sweep(NOW)
    # Nothing landed makes every look go over all; that is no reason to note it each time.
    assert after(SWEPT, [offer(day(20, 11))], NOW, REACH) == SWEPT
    assert after(SWEPT, [offer(day(9)), offer(day(4)), offer(day(20))], NOW, REACH).open_from == day(4)


def test_sweeps_are_kept_for_one_url(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sweeps.json"
    kept = Sweeps(FileNotes(path.parent), "s3://a")
    assert kept.read() == {}
    kept.update({"search": Sweep(NOW, day(3)), "bi": Sweep(NOW)})
    kept.update({"bi": SWEPT})
    assert Sweeps(FileNotes(path.parent), "s3://a").read() == {"search": Sweep(NOW, day(3)), "bi": SWEPT}
    assert Sweeps(FileNotes(path.parent), "s3://b").read() == {}
    before = path.stat()
    kept.update({"bi": SWEPT})
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"url": "s3://a", "feeds": {"bi": ["x", null]}}', '{"url": "s3'])
def test_a_damaged_file_of_sweeps_is_none(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "sweeps.json"
    path.write_text(damage)
    kept = Sweeps(FileNotes(path.parent), "s3://a")
    assert kept.read() == {}
    kept.update({"bi": SWEPT})
    assert kept.read() == {"bi": SWEPT}


def test_spans_of_a_store_that_lists_folders(tmp_path: Path) -> None:
    """What is no S3 is listed a day's folder at a time; the outcome is the same."""
    memory = fsspec.filesystem("memory")
    root = f"memory://{tmp_path.name}"
    try:
        for path in ("2026-04-30/23/a.csv", "2026-05-01/09/a.csv", "2026-05-01/10/a.csv", "2026-05-01/10/deep/a.csv",
                     "2026-05-02/00/a.csv", "zzz/a.csv"):  # fmt: skip
            memory.pipe(f"{root}/search/{path}", b"a\n1\n")
        source = BucketSource(root, FEEDS)
        assert [o.feed_hour for o in source.list(FEEDS, None).offers] == [
            HOUR - timedelta(hours=11), HOUR - timedelta(hours=1), HOUR, HOUR + timedelta(hours=14),
        ]  # fmt: skip
        assert source.list(FEEDS, None).unknown == ["search/zzz", "search/2026-05-01/10/deep"]
        assert [o.feed_hour for o in source.list(FEEDS, (HOUR, HOUR + timedelta(hours=1))).offers] == [HOUR]
        span = source.list_spans({"search": (HOUR, None), "bi": (None, None)})
        assert [o.feed_hour for o in span.offers] == [HOUR, HOUR + timedelta(hours=14)]
        assert source.list(["bi"], None).offers == []
    finally:
        memory.rm(root, recursive=True)


def test_a_place_is_a_folder_or_a_bucket() -> None:
    assert isinstance(source_at("/srv/feeds", FEEDS), FileSource)
    assert isinstance(source_at("file:///srv/feeds", FEEDS), FileSource)
    assert isinstance(source_at("s3://bucket/feeds", FEEDS), BucketSource)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("gs://bucket/feeds", r"'gs://bucket/feeds' needs .*: run `.venv/bin/uv sync --locked --inexact --extra gcs`"),
        ("abfs://box@a.net/feeds", r"needs a package that is not installed: run `.* --extra azure`"),
        ("nope://bucket/feeds", r"'nope://bucket/feeds' cannot be opened: Protocol not known: nope"),
    ],
)
def test_what_cannot_be_opened_says_what_to_install(url: str, reason: str) -> None:
    if url.startswith("gs") and find_spec("gcsfs"):
        pytest.skip("gcsfs is installed")
    if url.startswith("abfs") and find_spec("adlfs"):
        pytest.skip("adlfs is installed")
    with pytest.raises(SourceError, match=reason):
        source_at(url, FEEDS).list(FEEDS, None)


def test_a_store_without_conditional_reads_never_gives_a_mix(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    root = f"memory://{tmp_path.name}"
    path = f"{root}/search/2026-05-01/10/a.ndjson"
    try:
        memory.pipe(path, b"old\n" * 100)
        memory.pipe(f"{root}/readme.txt", b"")
        source = BucketSource(root, FEEDS)
        (listed,) = source.list(FEEDS, None).offers
        with source.open(listed) as stream:
            assert stream.read() == b"old\n" * 100
        with source.open(listed) as stream:
            assert stream.read(4) == b"old\n"
            memory.pipe(path, b"new\n" * 100)
            with pytest.raises(FileNotFoundError, match="replaced"):
                stream.read()
        memory.rm(path)
        with pytest.raises(FileNotFoundError):
            source.open(listed)
    finally:
        memory.rm(root, recursive=True)
