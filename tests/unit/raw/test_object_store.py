"""The raw lake below an fsspec URL: the same files and the same index as in a folder, and each file once for ever."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

from activity_audit.base.faults import DamagedError
from activity_audit.base.hours import now_utc
from activity_audit.ingest import landing
from activity_audit.ingest.landing import LandingReport, land, open_index
from activity_audit.ingest.scratch import in_use
from activity_audit.ingest.sources.bucket import source_at
from activity_audit.raw.database import SqliteDatabase
from activity_audit.raw.files import delivery_in, found_deliveries, found_manifests, preview
from activity_audit.raw.index import RawIndex
from activity_audit.raw.lake import RawLake, local_lake, raw_lake
from activity_audit.raw.notes import IndexNotes
from activity_audit.raw.object_store import ObjectStore, RawStoreError
from activity_audit.raw.store import LocalStore, RawStore
from activity_audit.settings.core import Settings, SettingsError, load_settings
from tests.unit.raw_lake import FEEDS, LANDED_AT, LIMIT, A, Feeds


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A URL of a file system in this process's memory."""
    url = f"memory://{tmp_path.name}/raw"
    yield url
    memory = fsspec.filesystem("memory")
    if memory.exists(f"/{tmp_path.name}"):
        memory.rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def raw(url: str, tmp_path: Path) -> RawLake:
    """A shared raw lake below the URL."""
    return _lake(url, tmp_path)


def _lake(url: str, folder: Path) -> RawLake:
    database = SqliteDatabase(folder / "shared.sqlite")
    return RawLake(ObjectStore(url), RawIndex(database), IndexNotes(database), folder / "space", is_shared=True)


def _land(feeds: Feeds, raw: RawLake, at: Any = LANDED_AT) -> LandingReport:
    source = source_at(str(feeds.landing), FEEDS)
    return land(source, raw, feeds=FEEDS, window=None, landed_at=at, max_record_bytes=LIMIT)


def _fill(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A + b"junk\n")
    feeds.deliver("b.csv", b"eventId,n\nb,1\n")
    feeds.deliver("_manifest.json", b'{"files":[{"name":"a.ndjson","records":2}]}')


def test_it_is_what_a_folder_is(feeds: Feeds, raw: RawLake) -> None:
    _fill(feeds)
    there, here = _land(feeds, raw), feeds.land()
    local = local_lake(feeds.raw)
    assert there.new == here.new
    for pattern in ("[!.]*/*/*/[!.]*.parquet", "[!.]*/*/*/[!.]*.json"):
        assert raw.store.matching(pattern) == local.store.matching(pattern) != []
    names = raw.store.matching("search/*/*/*")
    assert [raw.store.open(name).read() for name in names] == [local.store.open(name).read() for name in names]
    assert [raw.store.size(name) for name in names] == [local.store.size(name) for name in names]
    assert (found_deliveries(raw.store), found_manifests(raw.store)) == (
        found_deliveries(local.store), found_manifests(local.store)
    )  # fmt: skip
    assert raw.index.deliveries(FEEDS) == local.index.deliveries(FEEDS)
    assert raw.index.manifests(FEEDS) == local.index.manifests(FEEDS)
    parquet = next(name for name in names if name.endswith(".parquet"))
    assert preview(raw.store, parquet) == preview(local.store, parquet)
    assert raw.store.shown(parquet).startswith("memory://")
    # What was landed is not landed again, nor read.
    again = _land(feeds, raw, LANDED_AT + timedelta(hours=1))
    assert (again.new, again.new_manifests) == ([], [])


@pytest.mark.parametrize("where", ["folder", "url"])
def test_what_a_store_lists(where: str, url: str, tmp_path: Path) -> None:
    root = tmp_path / "raw"
    store: RawStore = LocalStore(root) if where == "folder" else ObjectStore(url)
    assert (store.matching("*/*"), store.folders(), store.names_in("a/1/2")) == ([], [], [])
    names = ["a/1/2/x.parquet", "a/1/3/y.json", "a/2/1/z.parquet", "b/1/1/x", "pages/b/1/1/p.parquet", "top.txt"]
    _put(store, tmp_path, [*names, "a/1/2/.hidden", ".own/1/2/x"])
    assert sorted(store.files(lambda name: name == "pages", None)) == sorted(set(names) - {"pages/b/1/1/p.parquet"})
    assert sorted(store.files(lambda name: name == "pages", {"1"})) == ["a/1/2/x.parquet", "a/1/3/y.json", "b/1/1/x"]
    assert store.matching("[!.]*/*/*/[!.]*.parquet") == ["a/1/2/x.parquet", "a/2/1/z.parquet"]
    assert store.matching("pages/[!.]*/*/*/[!.]*.parquet") == ["pages/b/1/1/p.parquet"]
    assert (store.folders("a"), store.names_in("a/1/3")) == (["1", "2"], ["a/1/3/y.json"])
    assert set(store.folders()) >= {"a", "b", "pages"}
    assert store.missing(["b/1/1/x", "b/1/1/y"]) == ["b/1/1/y"]
    store.copy("a/1/2/x.parquet", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"a/1/2/x.parquet"
    store.delete(["a/2/1/z.parquet", "never/was"])
    store.remove_empty_folders(["a/2/1/z.parquet"])
    assert store.matching("a/2/*/*") == []
    assert where == "url" or store.folders("a") == ["1"]
    with pytest.raises(FileNotFoundError):
        store.open("a/2/1/z.parquet")


@pytest.mark.parametrize("where", ["folder", "url"])
def test_a_name_is_given_once(where: str, url: str, tmp_path: Path) -> None:
    store: RawStore = LocalStore(tmp_path / "raw") if where == "folder" else ObjectStore(url)
    assert _put(store, tmp_path, ["a/1/2/x"]) == [True]
    assert _put(store, tmp_path, ["a/1/2/x", "a/1/2/y"], b"other") == [False, True]
    assert store.open("a/1/2/x").read() == b"a/1/2/x"


def test_a_store_that_cannot_decide_it_is_asked_first(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = type(fsspec.filesystem("memory"))
    real = memory.put_file

    def plain(self: Any, here: str, there: str, **options: Any) -> None:
        if options:
            raise NotImplementedError
        real(self, here, there)

    monkeypatch.setattr(memory, "put_file", plain)
    store = ObjectStore(url)
    assert _put(store, tmp_path, ["a/1/2/x"]) == [True]
    assert _put(store, tmp_path, ["a/1/2/x"], b"other") == [False]
    assert store.open("a/1/2/x").read() == b"a/1/2/x"


def _put(store: RawStore, folder: Path, names: list[str], content: bytes | None = None) -> list[bool]:
    (folder / "raw").mkdir(exist_ok=True)
    files = []
    for number, name in enumerate(names):
        temporary = folder / f"temporary-{number}"
        temporary.write_bytes(content or name.encode())
        files.append((temporary, name))
    with store.writing() as writer:
        is_new = writer.publish(files)
        writer.settle(names)
    assert [temporary for temporary, _ in files if temporary.exists()] == []
    return is_new


@pytest.mark.parametrize("source", ["there", "gone"])
def test_another_machine_takes_up_what_a_killed_pass_put_there(
    feeds: Feeds, raw: RawLake, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    _fill(feeds)
    with monkeypatch.context() as patch:
        patch.setattr(landing, "_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            _land(feeds, raw)
    assert in_use(raw)
    assert (len(raw.store.matching("search/*/*/*")), raw.index.deliveries(FEEDS)) == (3, [])
    shutil.rmtree(tmp_path / "space")
    if source == "gone":
        shutil.rmtree(feeds.landing)
        feeds.landing.mkdir()
    other = _lake(url, tmp_path)
    _land(feeds, other, LANDED_AT + timedelta(hours=1))
    assert [delivery.name for delivery in other.index.deliveries(FEEDS)] == ["a.ndjson", "b.csv"]
    assert [len(found_deliveries(other.store)), len(other.index.manifests(FEEDS))] == [2, 1]
    assert not in_use(other)


@pytest.mark.parametrize(("hours", "left"), [(23, ["search/2026-05-01/10/x.parquet"]), (25, [])])
def test_what_was_expected_and_never_came_is_let_go_of(feeds: Feeds, raw: RawLake, hours: int, left: list[str]) -> None:
    raw.index.expect(["search/2026-05-01/10/x.parquet"], now_utc() - timedelta(hours=hours))
    _fill(feeds)
    _land(feeds, raw)
    assert raw.index.expected() == left


@pytest.mark.parametrize("at", ["one after the other", "the same moment"])
def test_two_machines_that_land_the_same(
    feeds: Feeds, raw: RawLake, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """The second one's file is the first one's, and the index has each delivery once."""
    _fill(feeds)
    first = _land(feeds, raw).new
    other = RawLake(ObjectStore(url), raw.index, raw.notes, tmp_path / "other", is_shared=True)
    with raw.index.connect() as connection:
        connection.execute("delete from seen")
    if at == "the same moment":
        monkeypatch.setattr(ObjectStore, "exists", lambda *_: False)
    assert _land(feeds, other, LANDED_AT + timedelta(hours=1)).new == []
    assert other.index.deliveries(FEEDS) == first == found_deliveries(other.store)


def test_a_lost_index_is_made_again_from_the_files(feeds: Feeds, raw: RawLake, tmp_path: Path) -> None:
    _fill(feeds)
    _land(feeds, raw)
    before = raw.index.deliveries(FEEDS), raw.index.manifests(FEEDS)
    (tmp_path / "shared.sqlite").unlink()
    index = open_index(raw)
    assert (index.deliveries(FEEDS), index.manifests(FEEDS)) == before


def test_a_file_that_is_none_of_ours_is_named_by_its_url(raw: RawLake, tmp_path: Path) -> None:
    _put(raw.store, tmp_path, ["search/2026-05-01/10/x.parquet"])
    with pytest.raises(DamagedError, match=r"memory://.*/x\.parquet is not a file of the raw lake"):
        delivery_in(raw.store, "search/2026-05-01/10/x.parquet")


def test_a_store_that_fails_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("password=hunter2 is wrong")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "exists", fails)
    with pytest.raises(RawStoreError) as raised:
        ObjectStore(url).exists("a")
    assert f"{url.replace('memory://', 'memory:///')}/a cannot be read or written: password=*** is wrong" in str(
        raised.value
    )
    with pytest.raises(RawStoreError, match="AUDIT_RAW_PATH='nosuchscheme://x' cannot be opened"):
        ObjectStore("nosuchscheme://x").exists("a")


def test_where_the_raw_lake_is(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def named(**variables: str) -> RawLake:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            return raw_lake(load_settings())

    home, elsewhere = settings.home, tmp_path / "elsewhere"
    assert (named().space, named().is_shared) == (home / "raw", False)
    own = named(AUDIT_RAW_PATH=str(elsewhere))
    assert (own.space, own.index.database.name, own.is_shared) == (elsewhere, f"{elsewhere}/index.sqlite", False)
    far = named(AUDIT_RAW_PATH="s3://bucket/raw/")
    beside = home / "warehouse/catalog.sqlite.raw-index"
    assert (far.space, far.index.database.name, far.is_shared) == (home / "work/raw", str(beside), True)
    # Without AUDIT_RAW_PATH each home has its own, with any catalog.
    assert not named(AUDIT_CATALOG="postgres:dbname=audit").is_shared
    both = named(AUDIT_RAW_PATH=str(elsewhere), AUDIT_CATALOG="postgres:dbname=audit")
    assert (both.space, both.is_shared) == (elsewhere, True)
    assert both.index.database.name == "the schema activity_audit_raw of the catalog's database"


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("s3://me:secret@bucket/raw", "must have no password or key"),
        ("s3://bucket/r[a]w", "must have no"),
        ("file:/x", "is a folder of this machine; write it as a path"),
        ("{home}", "it overlaps AUDIT_HOME"),
        ("{home}/work/x", "it overlaps AUDIT_HOME/work"),
        ("{home}/warehouse", "it overlaps AUDIT_HOME/warehouse"),
        ("{home}/landing/raw", "it overlaps AUDIT_HOME/landing"),
        ("{feeds}/raw", "it overlaps AUDIT_FEED_URL"),
        ("{home}/lake", "AUDIT_DATA_PATH='{home}/lake/data': .*; it overlaps AUDIT_RAW_PATH"),
    ],
)
def test_a_wrong_place_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch, path: str, wrong: str) -> None:
    feeds = settings.home.parent
    if "{feeds}" in path:
        monkeypatch.setenv("AUDIT_FEED_URL", str(feeds))
    monkeypatch.setenv("AUDIT_RAW_PATH", path.format(home=settings.home, feeds=feeds))
    monkeypatch.setenv("AUDIT_DATA_PATH", f"{settings.home}/lake/data")
    with pytest.raises(SettingsError, match=wrong.format(home=settings.home).replace("[", r"\[")) as raised:
        load_settings()
    assert "AUDIT_RAW_PATH" in str(raised.value)
    assert "secret" not in str(raised.value)
