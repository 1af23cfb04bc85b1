"""Landing: every delivery reaches the raw lake once and for ever, whatever happens while it does."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest
import zstandard

from orchestration.feeds import landing, landing_pass, raw_files
from orchestration.feeds.files import FileSource
from orchestration.feeds.landing import changed_offers, open_index
from orchestration.feeds.raw_index import INDEX_NAME, RawIndex
from orchestration.feeds.source import SourceError
from orchestration.settings import SettingsError, load_settings
from tests.unit.raw_lake import FEEDS, HOUR, LANDED_AT, Feeds, raw_content, read
from tests.unit.raw_lake import raw_files as final_names

A, B, C = b'{"eventId":"a"}\n', b'{"eventId":"b"}\n', b'{"eventId":"c"}\n'


@pytest.fixture
def feeds(tmp_path: Path) -> Feeds:
    return Feeds(tmp_path)


def indexed(feeds: Feeds) -> tuple[Any, ...]:
    """What the index says."""
    index = open_index(feeds.raw)
    return index.deliveries(FEEDS), index.manifests(FEEDS)


def restore(path: Path, content: bytes, status: os.stat_result) -> None:
    """Change a file behind everybody's back: same size, same times."""
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_delivery_says_what_it_is(feeds: Feeds) -> None:
    path = feeds.deliver("a.ndjson", A + B)
    (delivery,) = feeds.land().new
    assert (delivery.feed, delivery.feed_hour, delivery.name) == ("search", HOUR, "a.ndjson")
    assert delivery.sha256 == hashlib.sha256(A + B).hexdigest()
    assert (delivery.bytes, delivery.records) == (len(A + B), 2)
    assert delivery.source_uri == f"file://{path}"
    assert delivery.landed_at == LANDED_AT
    assert raw_files.delivery_in(feeds.raw / delivery.raw_path) == delivery


def test_landing_again_adds_nothing(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.deliver("_manifest.json", b'{"files":[]}')
    first = feeds.land()
    assert (len(first.new), len(first.new_manifests)) == (1, 1)
    before, known = raw_content(feeds.raw), indexed(feeds)
    again = feeds.land(at=LANDED_AT + timedelta(hours=1))
    assert (again.new, again.new_manifests, again.warnings) == ([], [], [])
    assert (raw_content(feeds.raw), indexed(feeds)) == (before, known)
    # Nor where every file looks as if it were new.
    for path in feeds.folder.iterdir():
        os.utime(path)
    again = feeds.land(at=LANDED_AT + timedelta(hours=2))
    assert (again.new, again.new_manifests) == ([], [])
    assert (raw_content(feeds.raw), indexed(feeds)) == (before, known)


def test_what_was_landed_is_not_read_again(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.land()
    monkeypatch.setattr(FileSource, "open", lambda *_: pytest.fail("read again"))
    assert feeds.land().new == []


def test_the_same_content_under_another_name_is_another_delivery(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.land()
    feeds.deliver("b.ndjson", A)
    assert [delivery.name for delivery in feeds.land().new] == ["b.ndjson"]
    assert len(final_names(feeds.raw)) == 2


def test_a_change_that_leaves_size_and_time_is_noticed(feeds: Feeds) -> None:
    path = feeds.deliver("a.ndjson", A)
    feeds.land()
    restore(path, B, path.stat())
    (delivery,) = feeds.land().new
    assert [row[1] for row in read(feeds.raw / delivery.raw_path)] == [B.decode().strip()]


def test_a_grown_file_is_a_second_delivery(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.land()
    with (feeds.folder / "a.ndjson").open("ab") as file:
        file.write(B)
    assert [delivery.records for delivery in feeds.land().new] == [2]
    assert sorted(len(rows) for rows in raw_content(feeds.raw).values()) == [1, 2]


def test_a_delivery_that_comes_back_is_the_one_it_was(feeds: Feeds) -> None:
    news = []
    for content in (A, B, A):
        feeds.deliver("a.ndjson", content)
        news.append(len(feeds.land().new))
    assert news == [1, 1, 0]
    assert len(final_names(feeds.raw)) == 2


def test_a_manifest_that_comes_back_is_the_newest_again(feeds: Feeds) -> None:
    first, second = b'{"files":[]}', b'{"files":[],"x":1}'
    for hours, content in enumerate((first, second, first)):
        feeds.deliver("_manifest.json", content)
        assert len(feeds.land(at=LANDED_AT + timedelta(hours=hours)).new_manifests) == 1
        (newest,) = open_index(feeds.raw).manifests(FEEDS)
        assert newest.content == content
    assert len(final_names(feeds.raw)) == 3
    (feeds.raw / INDEX_NAME).unlink()
    (newest,) = open_index(feeds.raw).manifests(FEEDS)
    assert newest.content == first


def test_what_is_deleted_after_landing_stays(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.land()
    before, known = raw_content(feeds.raw), indexed(feeds)
    (feeds.folder / "a.ndjson").unlink()
    assert feeds.land().new == []
    assert (raw_content(feeds.raw), indexed(feeds)) == (before, known)


def test_what_no_feed_is_known_for_is_named(feeds: Feeds) -> None:
    unknown = ["nope/2026-05-01/10/a.ndjson", "readme.txt", "search/2026-5-1/10/a.ndjson", "search/2026-02-30/x"]
    unknown += ["search/2026-05-01/24/a.ndjson", "search/2026-05-01/x.ndjson", "search/2026-05-01/10/a.xml"]
    unknown += ["search/2026-05-01/10/ndjson", "search/2026-05-01/10/sub.ndjson/a.ndjson"]
    for name in unknown:
        (feeds.landing / name).parent.mkdir(parents=True, exist_ok=True)
        (feeds.landing / name).write_bytes(A)
    (feeds.folder / "lost.ndjson").symlink_to("nowhere")
    feeds.deliver("a.ndjson", A)
    report = feeds.land()
    assert [delivery.name for delivery in report.new] == ["a.ndjson"]
    assert sorted(report.unknown) == [
        "nope/",
        "readme.txt",
        "search/2026-02-30",
        "search/2026-05-01/10/a.xml",
        "search/2026-05-01/10/lost.ndjson",
        "search/2026-05-01/10/ndjson",
        "search/2026-05-01/10/sub.ndjson",
        "search/2026-05-01/24",
        "search/2026-05-01/x.ndjson",
        "search/2026-5-1",
    ]
    assert "no feed is known for nope/; it was not read" in report.warnings


@pytest.mark.parametrize("name", [".a.ndjson", "_a.ndjson", "a.ndjson.tmp", "a.ndjson.PART", ".hidden"])
def test_unfinished_and_private_files_are_no_feeds(feeds: Feeds, name: str) -> None:
    feeds.deliver(name, A)
    (feeds.landing / name).write_bytes(A)
    report = feeds.land()
    assert (report.new, report.unknown) == ([], [])


NAMES = [
    "a b.ndjson",
    'it\'s "it".ndjson',
    "Ünï 🎉.ndjson",
    "a#b?c.ndjson",
    "50%25.ndjson",
    "*[x].ndjson",
    "a\nb.ndjson",
]


@pytest.mark.parametrize("as_url", [False, True], ids=["path", "url"])
def test_odd_names(feeds: Feeds, as_url: bool) -> None:
    for name in NAMES:
        feeds.deliver(name, A)
    undecodable = os.fsencode(feeds.folder) + b"/\xff.ndjson"
    Path(os.fsdecode(undecodable)).write_bytes(A)
    report = feeds.land(f"file://{feeds.landing}" if as_url else None)
    assert sorted(delivery.name for delivery in report.new) == sorted([*NAMES, "\\xff.ndjson"])
    assert all(rows == [(1, A.decode().strip(), None, None, 15, None)] for rows in raw_content(feeds.raw).values())
    assert len(final_names(feeds.raw)) == len(NAMES) + 1
    known = indexed(feeds)
    (feeds.raw / INDEX_NAME).unlink()
    assert indexed(feeds) == known


def test_a_window_and_feeds_are_kept_to(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    source = FileSource(str(feeds.landing), FEEDS)
    assert source.list(FEEDS, (HOUR, HOUR + timedelta(hours=1))).offers
    assert source.list(FEEDS, (HOUR - timedelta(hours=9), HOUR)).offers == []
    assert source.list(FEEDS, (HOUR + timedelta(hours=1), HOUR + timedelta(days=9))).offers == []
    assert source.list(["bi"], None).offers == []


def every_kind(feeds: Feeds) -> None:
    """A folder with deliveries of many kinds, also broken ones."""
    for n in range(12):
        content = b"".join(b'{"eventId":"%d-%d"}\n' % (n, m) for m in range(300))
        feeds.deliver(f"{n}.ndjson", content)
        feeds.deliver(f"{n}.ndjson.gz", gzip.compress(content, mtime=0)[: -n * 9 or None])
        feeds.deliver(f"{n}.csv", b"eventId,n\n" + b"".join(b"%d,%d\n" % (n, m) for m in range(300)) + b'"')
    feeds.deliver("_manifest.json", b'{"files":[{"name":"1.csv","records":301}]}')


def test_a_lost_index_is_rebuilt_as_it_was(feeds: Feeds) -> None:
    every_kind(feeds)
    feeds.land()
    known, before = indexed(feeds), raw_content(feeds.raw)
    assert [len(part) for part in known] == [36, 1]
    for path in feeds.raw.glob(f"{INDEX_NAME}*"):
        path.unlink()
    assert indexed(feeds) == known
    for path in feeds.raw.glob(f"{INDEX_NAME}*"):
        path.unlink()
    report = feeds.land(at=LANDED_AT + timedelta(hours=1))
    assert (report.new, report.new_manifests) == ([], [])
    assert (indexed(feeds), raw_content(feeds.raw)) == (known, before)


@pytest.mark.parametrize("place", ["write_parquet", "publish"])
def test_a_crash_while_writing_leaves_nothing(feeds: Feeds, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.deliver("_manifest.json", b"{}")

    real = getattr(landing_pass, place)

    def crash(*arguments: Any) -> None:
        if place == "write_parquet":
            real(*arguments)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(landing_pass, place, crash)
        with pytest.raises(OSError, match="No space"):
            feeds.land()
    assert [name for name in final_names(feeds.raw) if name.endswith(".parquet")] == []
    assert indexed(feeds)[0] == []
    assert [delivery.name for delivery in feeds.land().new] == ["a.ndjson"]
    assert len(indexed(feeds)[1]) == 1
    assert list((feeds.raw / ".scratch").iterdir()) == [feeds.raw / ".scratch/lock"]


def test_a_crash_before_the_index_loses_nothing(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    path = feeds.deliver("a.ndjson", A)
    with monkeypatch.context() as patch:
        patch.setattr("orchestration.feeds.landing._record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            feeds.land()
    assert len(final_names(feeds.raw)) == 1
    # Even where the source has lost it since.
    path.unlink()
    feeds.land()
    assert [delivery.name for delivery in indexed(feeds)[0]] == ["a.ndjson"]


def test_contents_are_on_disk_before_names_and_names_before_the_index(
    feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_kind(feeds)
    synced: set[int] = set()
    fsync, link, add = os.fsync, os.link, RawIndex.add

    def remember(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    def name(source: Path, target: Path) -> None:
        assert source.stat().st_ino in synced
        # A name that is given after its folder was brought to disk is not there yet.
        synced.discard(target.parent.stat().st_ino)
        link(source, target)

    def record(index: RawIndex, deliveries: list[Any], *others: Any) -> Any:
        folders = {(feeds.raw / delivery.raw_path).parent for delivery in deliveries}
        assert {folder.stat().st_ino for folder in folders} <= synced
        return add(index, deliveries, *others)

    monkeypatch.setattr(os, "fsync", remember)
    monkeypatch.setattr(os, "link", name)
    monkeypatch.setattr(RawIndex, "add", record)
    monkeypatch.setattr(landing, "_TOGETHER", 5)
    assert len(feeds.land().new) == 36


def test_one_unreadable_delivery_stops_no_other(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.ndjson", "b.ndjson", "c.ndjson"):
        feeds.deliver(name, A)
    real = FileSource.open

    def fails(source: FileSource, offer: Any) -> Any:
        if offer.name == "b.ndjson":
            raise OSError(5, "Input/output error")
        return real(source, offer)

    monkeypatch.setattr(FileSource, "open", fails)
    with pytest.raises(SourceError, match=r"b\.ndjson cannot be read: Input/output error"):
        feeds.land()
    assert [delivery.name for delivery in indexed(feeds)[0]] == ["a.ndjson", "c.ndjson"]


@pytest.mark.parametrize("change", ["grows", "goes"])
def test_what_changes_while_it_is_read_waits(feeds: Feeds, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    path = feeds.deliver("a.ndjson", A)
    real = landing_pass.write_parquet

    def meanwhile(*arguments: Any) -> int:
        path.write_bytes(A + B) if change == "grows" else path.unlink()
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(landing_pass, "write_parquet", meanwhile)
        report = feeds.land()
    assert (report.new, report.deferred) == ([], [f"file://{path}"])
    assert final_names(feeds.raw) == []
    assert [delivery.records for delivery in feeds.land().new] == ([2] if change == "grows" else [])


PASS = """
import sys
from pathlib import Path
from tests.unit.raw_lake import Feeds
print("ready", flush=True)
sys.stdin.readline()
Feeds(Path(sys.argv[1])).land()
"""


def start(feeds: Feeds) -> subprocess.Popen[str]:
    """A landing pass in a process of its own; it begins when a line is written to it."""
    return subprocess.Popen(
        [sys.executable, "-c", PASS, str(feeds.raw.parent)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


def undisturbed(home: Path) -> tuple[dict[str, Any], float]:
    """The raw lake of a pass in peace, and how long it took."""
    calm = Feeds(home)
    every_kind(calm)
    started = time.monotonic()
    calm.land()
    return raw_content(calm.raw), time.monotonic() - started


def test_killed_passes_leave_no_trace(feeds: Feeds, tmp_path: Path) -> None:
    expected, seconds = undisturbed(tmp_path / "calm")
    every_kind(feeds)
    moments = random.Random(7)
    killed = 0
    for _ in range(3):
        with start(feeds) as process:
            begin(process)
            time.sleep(moments.uniform(0.02, max(seconds, 0.1)))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
        # Whatever has a final name is whole.
        assert all(rows == expected[name] for name, rows in raw_content(feeds.raw).items())
    assert killed
    feeds.land()
    assert raw_content(feeds.raw) == expected
    assert len(indexed(feeds)[0]) == 36
    assert list((feeds.raw / ".scratch").iterdir()) == [feeds.raw / ".scratch/lock"]


def test_two_passes_at_once(feeds: Feeds, tmp_path: Path) -> None:
    expected, _ = undisturbed(tmp_path / "calm")
    every_kind(feeds)
    with start(feeds) as first, start(feeds) as second:
        begin(first)
        begin(second)
        for process in (first, second):
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
    assert raw_content(feeds.raw) == expected
    assert len(indexed(feeds)[0]) == 36


TRICKY = [
    "", " ", "{", "}", "null", "NaN", "-Infinity", '{"a":nan}', '{"a":1,}', '{"a":1}}', '{"a":1}{"b":2}', '"\\ud800"',
    '{"a":"\\ud800"}', '{"\\udfff":1}', '{"a":"\x00"}', '{"a":"\\u0000"}', "\x00", '{"a":"\\x"}', '{"a":"\t"}',
    "{'a':1}", '{"a":1e999}', '{"a":' + "9" * 400 + "}", '{"a":01}', "[" * 5000, '{"a":' * 3000 + "1" + "}" * 3000,
    '{"a":1,"a":2}', '{"":1}', "/* c */ {}", "{} // c", '\ufeff{"a":1}', '{"a":"\u2028\x85\U0001f389"}', "// c",
    '{"a":tru}',
]  # fmt: skip


@pytest.mark.parametrize("name", ["a.ndjson", "a.json", "a.csv", "a.parquet"])
def test_no_text_that_lands_makes_duckdb_raise(feeds: Feeds, name: str) -> None:
    surrogates = b'{"a":"\xed\xa0\x80"}\n'
    feeds.deliver(name, "\n".join(TRICKY).encode() + b"\n\xff\n" + surrogates)
    (delivery,) = feeds.land().new
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select record, problem, json_valid(record), "
            "if(json_valid(record), json_type(record), null), "
            "if(json_valid(record), json_extract_string(record, ['$.a', '/a']), null) from read_parquet(?)",
            [str(feeds.raw / delivery.raw_path)],
        ).fetchall()
    assert len(rows) == delivery.records > 0
    if name == "a.ndjson":
        shallow = [row for row in rows if len(row[0]) < 1000]
        assert [problem is None and valid and kind == "OBJECT" for _, problem, valid, kind, _ in shallow] == [
            strict_object(text) for text, *_ in shallow
        ]


def strict_object(text: str) -> bool:
    """Whether a text is one JSON object by the standard, all of it Unicode."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return False
    return isinstance(value, dict)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def test_a_remote_file_system(feeds: Feeds) -> None:
    memory = fsspec.filesystem("memory")
    root = f"memory://{feeds.raw.parent.name}"
    try:
        path = f"{root}/search/{HOUR:%Y-%m-%d/%H}/a b#?%.ndjson.zst"
        memory.pipe(path, zstandard.compress(A + B))
        memory.pipe(f"{root}/nope/x", b"")
        report = feeds.land(root)
        assert [(delivery.name, delivery.records) for delivery in report.new] == [("a b#?%.ndjson.zst", 2)]
        assert report.unknown == ["nope/"]
        assert feeds.land(root).new == []
        memory.pipe(path, zstandard.compress(A + C))
        assert len(feeds.land(root).new) == 1
        assert list((feeds.raw / ".scratch").iterdir()) == [feeds.raw / ".scratch/lock"]
    finally:
        memory.rm(root, recursive=True)


def test_a_folder_by_any_of_its_names(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds.deliver("a.ndjson", A)
    monkeypatch.chdir(feeds.landing.parent)
    assert len(feeds.land("landing").new) == 1
    for root in (str(feeds.landing), f"file://{feeds.landing}", f"local://{feeds.landing}", "./landing/"):
        assert changed_offers(open_index(feeds.raw), FileSource(root, FEEDS).list(FEEDS, None)) == []


def test_a_root_that_is_not_there_or_no_folder(feeds: Feeds) -> None:
    assert feeds.land(str(feeds.landing / "nope")).new == []
    with pytest.raises(SourceError, match="cannot be listed"):
        feeds.land(str(feeds.deliver("a.ndjson", A)))
    with pytest.raises(SourceError, match="AUDIT_FEED_URL"):
        feeds.land("nosuchscheme://x")


def test_a_record_limit_that_cannot_be(feeds: Feeds) -> None:
    with pytest.raises(SettingsError, match="AUDIT_MAX_RECORD_BYTES=0: must be at least 1"):
        load_settings(max_record_bytes=0)
    # The smallest one: every record is too large, and still there.
    feeds.deliver("a.ndjson", A + b"1\n" + B)
    (delivery,) = feeds.land(limit=1).new
    assert [(row[1], row[2]) for row in read(feeds.raw / delivery.raw_path)] == [
        (A.decode().strip(), "too_large"),
        ("1", None),
        (B.decode().strip(), "too_large"),
    ]
