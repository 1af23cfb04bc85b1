"""Many files are brought to disk by one call, where that is as safe; what fails is raised."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from activity_audit.base import disk
from activity_audit.base.disk import Disk, whole_sync


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced: `all` for the whole file system, `each` for a file."""
    calls: list[str] = []
    monkeypatch.setattr(disk, "whole_sync", lambda _: lambda _: calls.append("all"))
    monkeypatch.setattr(disk, "sync", lambda _: calls.append("each"))
    return calls


@pytest.mark.parametrize(("count", "expected"), [(0, []), (3, ["each"] * 3), (disk._MANY, ["all"])])
def test_only_many_files_are_brought_to_disk_together(
    tmp_path: Path, synced: list[str], count: int, expected: list[str]
) -> None:
    with Disk(tmp_path) as files:
        files.sync([tmp_path] * count, count)
    assert synced == expected


def test_where_there_is_no_such_call_each_of_many_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_LINUX", (1000, 0))
    synced: list[Path] = []
    monkeypatch.setattr(disk, "sync", synced.append)
    with Disk(tmp_path) as files:
        files.sync([tmp_path] * disk._MANY, disk._MANY)
    assert len(synced) == disk._MANY


def test_a_file_that_cannot_be_synced_is_an_error(tmp_path: Path) -> None:
    with Disk(tmp_path) as files, pytest.raises(FileNotFoundError):
        files.sync([tmp_path / "gone"], 1)


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux has such a call")
def test_a_file_system_that_cannot_be_synced_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_LINUX", (0, 0))
    monkeypatch.setattr(disk, "_is_sure", lambda *_: True)
    sync_all = whole_sync(tmp_path)
    assert sync_all
    descriptor = os.open(tmp_path, os.O_RDONLY)
    sync_all(descriptor)
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        sync_all(descriptor)


def test_a_file_system_of_which_little_is_known_has_each_file_synced() -> None:
    if platform.system() == "Linux":
        assert whole_sync(Path("/proc")) is None
