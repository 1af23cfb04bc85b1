"""Settings that would put two things into one place are refused when they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from activity_audit.base.storage_paths import place
from activity_audit.settings.core import Settings, SettingsError, load_settings


@pytest.mark.parametrize(
    ("data_path", "found"),
    [
        ("home", "AUDIT_HOME/raw"),
        (".", "AUDIT_HOME/raw"),
        ("home/raw", "AUDIT_HOME/raw"),
        ("home/raw/data", "AUDIT_HOME/raw"),
        ("home/other/../work/data", "AUDIT_HOME/work"),
        ("home/dagster", "AUDIT_HOME/dagster"),
        ("home/report/x", "AUDIT_HOME/report"),
        ("home/data_docs", "AUDIT_HOME/data_docs"),
        ("home/own_feeds", "AUDIT_HOME/own_feeds"),
        ("home/cache", "AUDIT_HOME/cache"),
        ("home/landing", "AUDIT_FEED_URL"),
        ("link/raw", "AUDIT_HOME/raw"),
    ],
)
def test_a_data_path_that_is_not_its_own(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_path: str, found: str
) -> None:
    monkeypatch.delenv("AUDIT_CACHE", raising=False)
    settings.home.mkdir()
    (tmp_path / "link").symlink_to(settings.home)
    for given in (data_path, str(tmp_path / data_path), f"file://{tmp_path}/{data_path}"):
        with pytest.raises(SettingsError, match=f"AUDIT_DATA_PATH='.*': must be a folder, .* it overlaps {found}"):
            load_settings(data_path=given)


def test_data_in_the_cache(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SettingsError, match=r"AUDIT_DATA_PATH='.*it overlaps AUDIT_CACHE"):
        load_settings(data_path=str(tmp_path / "cache" / "lake"))


@pytest.mark.parametrize(
    ("cache", "found"),
    [
        ("home", "AUDIT_HOME"),
        (".", "AUDIT_HOME"),
        ("home/raw", "AUDIT_HOME/raw"),
        ("home/raw/x", "AUDIT_HOME/raw"),
        ("home/work", "AUDIT_HOME/work"),
        ("home/data_docs", "AUDIT_HOME/data_docs"),
        ("home/report", "AUDIT_HOME/report"),
        ("home/dbt", "AUDIT_HOME/dbt"),
        ("home/dagster/storage", "AUDIT_HOME/dagster"),
        ("home/own_feeds", "AUDIT_HOME/own_feeds"),
        ("home/warehouse", "AUDIT_HOME/warehouse"),
        ("home/warehouse/data/x", "AUDIT_HOME/warehouse"),
        ("home/landing", "AUDIT_HOME/landing"),
    ],
)
def test_a_cache_that_is_not_its_own(settings: Settings, cache: str, found: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(cache=cache)
    path = settings.home.parent / cache
    assert str(caught.value) == f"AUDIT_CACHE='{path}': must be a folder of its own; it overlaps {found}"


def test_a_cache_beside_feeds(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"^AUDIT_CACHE='.*it overlaps AUDIT_FEED_URL$"):
        load_settings(cache="feeds/cache", feed_url="feeds")
    assert load_settings(cache="home/cache").cache_dir == settings.home / "cache"
    assert load_settings(cache="home/cache", feed_url="home").cache_dir == settings.home / "cache"


@pytest.mark.parametrize("name", ["home", "cache", "ledger_head_file"])
def test_a_path_that_is_a_url(settings: Settings, name: str) -> None:
    with pytest.raises(SettingsError, match=f"AUDIT_{name.upper()}='s3://bucket/x': must be a path of this machine"):
        load_settings(**{name: "s3://bucket/x"})
    assert not (settings.home.parent / "s3:").exists()


@pytest.mark.parametrize("form", ["file:{}", "file://localhost{}", "FILE://{}", "local://{}", "file://{}%20"])
def test_a_folder_of_this_machine_in_other_words(settings: Settings, form: str) -> None:
    with pytest.raises(SettingsError, match=r"AUDIT_DATA_PATH='.*write it as a path"):
        load_settings(data_path=form.format(settings.raw_dir))


@pytest.mark.parametrize(
    ("feeds", "data"),
    [
        ("s3://bucket", "s3://bucket/lake"),
        ("s3://bucket/feeds", "s3://bucket"),
        ("s3://bucket/x", "s3a://bucket//x/"),
        ("s3://bucket/feeds/../lake", "s3://bucket/lake/data"),
        ("/srv/audit/feeds", "/srv/audit"),
        ("file:///srv/audit", "/srv/audit/data"),
    ],
)
def test_feeds_and_data_in_one_place(settings: Settings, feeds: str, data: str) -> None:
    with pytest.raises(SettingsError, match=r"AUDIT_DATA_PATH='.*it overlaps AUDIT_FEED_URL"):
        load_settings(feed_url=feeds, data_path=data)


def test_files_and_feeds_in_folders_that_are_not_theirs(settings: Settings) -> None:
    home = settings.home
    for name, values in (
        ("AUDIT_CATALOG", {"catalog": str(home / "warehouse/data/c.sqlite")}),
        ("AUDIT_CATALOG", {"catalog": f"sqlite:{home}/work/c.sqlite"}),
        ("AUDIT_CATALOG", {"data_path": str(home / "warehouse")}),
        ("AUDIT_LEDGER_HEAD_FILE", {"ledger_head_file": home / "work/heads"}),
        ("AUDIT_LEDGER_HEAD_FILE", {"ledger_head_file": home / "landing/heads"}),
        ("AUDIT_LEDGER_HEAD_FILE", {"ledger_head_file": home / "warehouse/catalog.sqlite"}),
        ("AUDIT_FEED_URL", {"feed_url": str(home / "work")}),
        ("AUDIT_FEED_URL", {"feed_url": str(home / "raw/search")}),
        ("AUDIT_FEED_URL", {"feed_url": str(home / "warehouse")}),
    ):
        with pytest.raises(SettingsError, match=f"(?m)^{name}="):
            load_settings(**values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"data_path": "home/data", "feed_url": "home/feeds", "catalog": "home/c.sqlite", "ledger_head_file": "heads"},
        {"data_path": "s3://bucket/lake", "feed_url": "s3://bucket/lakes"},
        {"data_path": "s3://bucket/x", "feed_url": "s3://other/x"},
        {"data_path": "data", "catalog": "postgres:dbname=audit host=db"},
        # Feeds beside the home's own folders, in the home: nothing of theirs is deleted.
        {"feed_url": "home"},
    ],
)
def test_places_that_are_apart_are_taken(settings: Settings, values: dict[str, str]) -> None:
    assert load_settings(**values).home == settings.home


def test_what_a_place_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place("x") == place(f"{tmp_path}/y/../x/") == place(f"file://{tmp_path}/x")
    assert place("s3://bucket").names == ()
    assert place("/x/data2").is_in(place("/x/data")) is False
    assert place("/x").overlaps(place("/x/data"))
    assert place("s3://bucket/x").overlaps(place("/x")) is False


def test_an_overlap_is_named_beside_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDIT_HOME", str(tmp_path))
    monkeypatch.setenv("AUDIT_CACHE", str(tmp_path))
    monkeypatch.setenv("AUDIT_SOURCE", "cxone")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "CXONE_TOKEN_URL is not set" in str(caught.value)
    assert "AUDIT_CACHE=" in str(caught.value)


@pytest.mark.parametrize(
    ("exchange", "found"),
    [("home/warehouse/data/x", "AUDIT_HOME/warehouse"), (".", "AUDIT_HOME"), ("home/raw", "AUDIT_HOME/raw")],
)
def test_an_exchange_that_is_not_its_own(settings: Settings, exchange: str, found: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"AUDIT_EXCHANGE_PATH=.*: must be a folder of its own; it overlaps {found}$"
    ):
        load_settings(exchange_path=str(settings.home.parent / exchange))


def test_data_in_the_exchange(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="it overlaps AUDIT_EXCHANGE_PATH"):
        load_settings(exchange_path=str(tmp_path / "exchange"), data_path=str(tmp_path / "exchange" / "lake"))
    with pytest.raises(SettingsError, match="it overlaps AUDIT_HOME/exchange"):
        load_settings(data_path=str(settings.home / "exchange"))
