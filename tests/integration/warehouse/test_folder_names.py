"""Homes, feeds and scratch space in folders whose names mean something to SQL, to globs, to URLs or to a shell."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR as ONE_HOUR
from activity_audit.evidence.verify.verify import verify
from activity_audit.pipeline.run import land_feeds, update_warehouse
from activity_audit.raw.files import preview
from activity_audit.raw.store import LocalStore
from activity_audit.report.queries import events
from activity_audit.settings.core import Settings, SettingsError, load_settings
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse import lake
from tests.integration.evidence_support import PERIOD, failed_checks, pack_of
from tests.integration.report.test_warehouse import DAYS
from tests.integration.report_rows import counted_warehouse
from tests.integration.report_support import browser, served
from tests.integration.support import HOUR, audit, deliver, dump, event, lines, one, run
from tests.integration.tampering import edit_column, fact_files, raw_file

HARD = "it's [a] {b} #1 50% ünï;x"
# Each with a name that it fits if it is taken for a pattern, and that comes first.
NAMES = [
    (HARD, HARD.replace("[a]", "a")),
    pytest.param('"a*b" & $(c) feed=x', '"a b" & $(c) feed=x', marks=pytest.mark.slow),
    pytest.param("record=[!b]", "record=a", marks=pytest.mark.slow),
]


def _copy(folder: Path, twin: Path) -> None:
    """The same names in the other folder, with Parquet files that nobody can read."""
    for path in folder.rglob("*.parquet"):
        other = twin / path.relative_to(folder)
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(b"of another home")


@pytest.mark.parametrize(("name", "like"), NAMES)
def test_a_home_reads_its_own_files_only(
    name: str, like: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, twin = tmp_path / name, tmp_path / like
    monkeypatch.setenv("AUDIT_HOME", str(base / "home"))
    home = load_settings()
    (base / "tmp").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(base / "tmp"))
    deliver(home, lines([event(f"e{n}", comments=f"comment {n}") for n in range(20)] + ["junk"]))
    feeds, window = catalogue.slugs(), (HOUR, HOUR + ONE_HOUR)
    land_feeds(home, feeds, window)
    _copy(base, twin)
    assert update_warehouse(home, str(uuid4()), feeds, window).totals["accepted"] == 20
    _copy(base, twin)
    before = dump(home, set())
    assert run(home).totals["received"] == 0
    assert dump(home, set()) == before
    assert "junk" in preview(
        LocalStore(home.raw_dir), raw_file(home, "search", 10).relative_to(home.raw_dir).as_posix(), 30
    )

    with counted_warehouse(home) as warehouse, warehouse.query() as asked:
        assert events.count(asked, DAYS) == 20
    pack_of(home, base / "pack")
    assert failed_checks(base / "pack") == {}
    assert verify(home).findings == []

    left = fact_files(home)[0].with_name("ducklake-ffffffff-ffff-4fff-8fff-ffffffffffff.parquet")
    left.write_bytes(b"of a killed run")
    os.utime(left, (time.time() - 86_400,) * 2)
    done = maintain(home)
    assert done.counts["leftover data files"] == 1
    assert not any("not belong to this warehouse" in warning for warning in done.warnings)

    # A reader that may not write to the home has its scratch space in the system's folder.
    shutil.rmtree(home.spill_dir)
    home.spill_dir.write_bytes(b"")
    edit_column(fact_files(home)[0], "comments", "comment 7", "comment X")
    found = verify(home).findings
    assert any(finding.layer == "fact" and finding.detail.endswith("e7") for finding in found), found


def test_a_catalog_and_data_in_folders_of_any_name(settings: Settings, tmp_path: Path) -> None:
    data = tmp_path / f"{HARD} ?*" / "data"
    moved = settings.model_copy(
        update={"data_path": str(data), "catalog": f"sqlite:{tmp_path / HARD / 'a?b=c&d%20 #;.sqlite'}"}
    )
    deliver(moved, lines([event(f"e{n}") for n in range(20)]))
    run(moved)
    # What the folder fits if only its last part is taken for a pattern, and if all of it is.
    _copy(data.parent, tmp_path / f"{HARD.replace('[a]', 'a')} xx")
    _copy(data.parent, tmp_path / f"{HARD} xx")
    done = maintain(moved)
    assert not any("not belong to this warehouse" in warning for warning in done.warnings)
    assert one(moved, "select count(*) from fact_activity_event") == 20
    assert verify(moved).findings == []
    assert (tmp_path / HARD / "a?b=c&d%20 #;.sqlite").exists()
    # A stranger's file makes the folder another's.
    stranger = settings.model_copy(update={"home": tmp_path / "new", "data_path": str(tmp_path / "[x]")})
    (tmp_path / "[x]").mkdir()
    (tmp_path / "[x]" / "thesis.txt").write_bytes(b"x")
    deliver(stranger, lines([event("e")]))
    with pytest.raises(lake.WarehouseError, match=r"it holds thesis\.txt"):
        run(stranger)


@pytest.mark.parametrize("value", ["s3://bucket/a*", "s3://bucket/a?", "gs://bucket/[x]/data", "/data/a\\b"])
def test_a_data_path_that_duckdb_cannot_take_as_it_is_is_refused(value: str, settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"AUDIT_DATA_PATH=.* which DuckDB takes for a"):
        load_settings(data_path=value)


def test_a_home_with_a_backslash_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"AUDIT_HOME=.* must not contain a backslash"):
        load_settings(home=tmp_path / "a\\b")


@pytest.mark.slow
@pytest.mark.parametrize("name", [HARD, '"quoted" & $(x) feed=x'])
def test_every_command_works_in_folders_of_any_name(name: str, settings: Settings, tmp_path: Path) -> None:
    base = tmp_path / name
    (base / "tmp").mkdir(parents=True)
    home = settings.model_copy(update={"home": base / "home"})
    environment = {"TMPDIR": str(base / "tmp")}
    hours = ("--from", PERIOD[1], "--to", PERIOD[3])
    for arguments in (
        ("simulate", "--hours", "2", "--until", PERIOD[3], "--events-per-hour", "200"),
        ("run", *hours),
        ("run", *hours),
        ("verify",),
        ("export", *hours, "--to-file", str(base / "events.csv")),
        ("export", *hours, "--to-file", str(base / "events.parquet")),
        ("evidence", *hours, "--out", str(base / "pack")),
        ("review", "--to-file", str(base / "review.html")),
        ("maintain",),
        ("replay",),
        ("sql", "select count(*) from fact_activity_event"),
    ):
        audit(home, *arguments, **environment)
    assert failed_checks(base / "pack") == {}
    with served(home, **environment) as report, browser(report.base, follow_redirects=True) as client:
        assert client.get(report.link).status_code == 200
