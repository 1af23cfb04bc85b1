"""A disk that is full, or read-only, in one place of a home: a sentence says which, and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from activity_audit.settings.core import Settings
from tests.integration.mounts import mounted, needs_mounts, remount
from tests.integration.support import audit, deliver, event, lines, query
from tests.integration.tampering import copied
from tests.torture import damage
from tests.torture.figures import Figures
from tests.torture.state import require_well

pytestmark = needs_mounts
_FULL = "a disk that is full in one place"
_READ_ONLY = "a place that is read-only"
# The places of a home that fail a run, and those of which it warns, because what is there can be made again.
_FAILING = ("raw", "warehouse", "warehouse/data", "work", "known_ids", "dagster")
_WARNING = ("data_docs", "head", "copies")
_PLACES = [pytest.param(place, marks=pytest.mark.torture) for place in (*_FAILING, *_WARNING) if place != "warehouse"]


def _settings(home: Settings, tmp_path: Path) -> Settings:
    """A copy of a home that also keeps heads and a copy for others, each in a folder of its own."""
    settings = copied(home, tmp_path / "home")
    return settings.model_copy(update={"ledger_head_file": settings.home / "head/heads"})


def _run(settings: Settings) -> tuple[int, str]:
    given = {"AUDIT_LEDGER_HEAD_FILE": str(settings.ledger_head_file), "AUDIT_PUBLISH_TO": _copy_of(settings)}
    done = audit(settings, "run", check=False, **given)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert "a fault of the product" not in said, said
    return done.returncode, said


def _copy_of(settings: Settings) -> str:
    return str(settings.home / "copies/audit.duckdb")


def _new(settings: Settings, mark: str) -> list[str]:
    """Deliver events; their ids."""
    ids = [f"{mark}-{n}" for n in range(40)]
    records = [event(one, eventTime="2026-05-01T12:15:00Z", comments=one * 300) for one in ids]
    deliver(settings, lines(records), f"{mark}.ndjson", hour=2)
    return ids


@pytest.mark.parametrize("place", ["warehouse", *_PLACES])
def test_a_disk_that_is_full_in_one_place(retention_home: Settings, tmp_path: Path, place: str) -> None:
    settings, figures = _settings(retention_home, tmp_path), Figures(_FULL)
    ids = [row[0] for row in query(settings, "select event_id from fact_activity_event")]
    folder = settings.home / place
    content = tmp_path / "content"
    for name in ("head", "copies", place):
        (settings.home / name).mkdir(parents=True, exist_ok=True)
    shutil.move(folder, content)
    with mounted(folder, "size=100m"):
        shutil.copytree(content, folder, dirs_exist_ok=True)
        free = shutil.disk_usage(folder)
        # What is there fits, and hardly more; a head is a short line, so there is no room at all for it.
        remount(folder, f"size={free.used + (8 << 10)}")
        left = 0 if place == "head" else 8 << 10
        (folder / ".full").write_bytes(b"-" * max(shutil.disk_usage(folder).free - left, 0))
        ids += _new(settings, "full")
        code, said = _run(settings)
        figures.add(faults=1)
        if place in _FAILING:
            assert code == 1, said
            assert f"the disk is full: {folder}" in said or "the disk is full: something below" in said, said
            assert "Make room there" in said
        else:
            assert code == 0, said
            assert str(folder) in said
            assert "no space left" in said.lower() or "the disk is full" in said, said
        (folder / ".full").unlink()
        remount(folder, "size=100m")
        ids += _new(settings, "room")
        assert _run(settings)[0] == 0
        require_well(settings, ids, figures)


@pytest.mark.torture
@pytest.mark.parametrize("place", ["raw", "warehouse", "known_ids", "work", "dagster", "data_docs"])
def test_a_place_that_is_read_only(retention_home: Settings, tmp_path: Path, place: str) -> None:
    settings, figures = _settings(retention_home, tmp_path), Figures(_READ_ONLY)
    ids = [row[0] for row in query(settings, "select event_id from fact_activity_event")]
    calm = damage.answers(settings)
    folder, content = settings.home / place, tmp_path / "content"
    for name in ("head", "copies", place):
        (settings.home / name).mkdir(parents=True, exist_ok=True)
    shutil.move(folder, content)
    with mounted(folder, "size=100m"):
        shutil.copytree(content, folder, dirs_exist_ok=True)
        remount(folder, "ro")
        ids += _new(settings, "read-only")
        code, said = _run(settings)
        figures.add(faults=1)
        assert code == (place != "data_docs"), said
        assert str(folder) in said, said
        # Who only reads goes on, but for a SQLite catalog, beside which each reader has to write.
        found = damage.answers(settings, ("events", "counts", "refused", "head", "holds"))
        if place not in ("warehouse", "data_docs"):
            assert found == {name: calm[name] for name in found}
        remount(folder, "rw")
        assert _run(settings)[0] == 0
        require_well(settings, ids, figures)
