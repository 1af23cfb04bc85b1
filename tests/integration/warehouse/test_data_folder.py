"""The data folder is the warehouse's own: it is marked, holds nothing else, and nothing of another's goes there."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from activity_audit.base.files import OwnFolder
from activity_audit.base.hours import now_utc
from activity_audit.settings.core import Settings
from activity_audit.upkeep.maintenance import Allowed, maintain
from activity_audit.warehouse import home_record, lake, leftovers
from activity_audit.warehouse.data_folder import MARKER
from activity_audit.warehouse.run_lock import exclusive
from tests.integration.support import audit, begin, deliver, event, lines, one, query, run, said
from tests.integration.tampering import warehouse
from tests.s3_server import Bucket

COUNT = "select count(*) from fact_activity_event"
OLD = time.time() - 40 * 86400


def _published(settings: Settings) -> Path:
    """The data folder of a home that has published an hour."""
    begin(settings, *(event(f"e{n}") for n in range(20)))
    return Path(settings.data_root)


def _put(path: Path, content: bytes = b"a stranger's") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))
    return path


def _as_earlier_release(settings: Settings) -> None:
    (Path(settings.data_root) / MARKER).unlink()
    home_record.path(settings).unlink()


def test_a_folder_that_holds_anything_does_not_become_the_data_folder(settings: Settings, tmp_path: Path) -> None:
    stranger = _put(tmp_path / "shared/deep/stranger.parquet")
    shared = settings.model_copy(update={"data_path": str(tmp_path / "shared")})
    deliver(shared, lines([event("a")]))
    with pytest.raises(lake.WarehouseError, match=r"holds deep/stranger.parquet.*another folder in AUDIT_DATA_PATH"):
        run(shared)
    done = audit(shared, "run", check=False, AUDIT_DATA_PATH=str(tmp_path / "shared"))
    assert (done.returncode, "holds deep/stranger.parquet" in done.stderr) == (1, True)
    assert stranger.exists()
    assert not (settings.home / "warehouse/catalog.sqlite").exists()
    # What a disk has in its root is nobody's, and folders without files are nothing.
    stranger.unlink()
    (tmp_path / "shared/lost+found").mkdir()
    run(shared)
    assert (tmp_path / "shared" / MARKER).read_text().strip() == json.loads(
        (settings.home / "warehouse.json").read_text()
    )["warehouse_id"]


def test_an_upkeep_deletes_no_file_that_the_catalog_never_knew(settings: Settings) -> None:
    data = _published(settings)
    name = f"ducklake-{uuid4()}.parquet"
    foreign = [_put(data / "x.parquet"), _put(data / "main/x.parquet"), _put(data / "other/fact_activity_event" / name)]
    foreign += [_put(data / "main/fact_activity_event/event.parquet"), _put(data / "notes.txt")]
    killed = [
        _put(data / "main/fact_activity_event/day=2026-05-01" / name),
        _put(data / "quality/feed_delivery" / name),
    ]
    done = maintain(settings)
    assert all(path.exists() for path in foreign + killed)
    assert done.counts["leftover data files"] == 2
    assert any("2 data files belong to no snapshot" in warning for warning in done.warnings)
    assert any("4 files in" in warning and "stay there" in warning for warning in done.warnings)
    # Where a person asks for it, what bears our name in a table's folder goes, and nothing else.
    fresh = data / "main/fact_activity_event" / f"ducklake-{uuid4()}.parquet"
    fresh.write_bytes(b"of a run that is under way")
    assert maintain(settings, Allowed(remove_leftovers=True)).counts["leftover data files"] == 2
    assert all(path.exists() for path in [*foreign, fresh])
    assert not any(path.exists() for path in killed)
    assert one(settings, COUNT) == 20


def test_an_upkeep_deletes_nothing_that_a_changed_catalog_names(settings: Settings) -> None:
    data = _published(settings)
    for path, is_relative in ((str(settings.home / "raw/index.sqlite"), 0), ("../catalog.sqlite", 1), ("x.parquet", 1)):
        _put(data / "x.parquet")
        with closing(sqlite3.connect(settings.home / "warehouse/catalog.sqlite")) as connection, connection as catalog:
            catalog.execute("delete from ducklake_files_scheduled_for_deletion")
            catalog.execute(
                "insert into ducklake_files_scheduled_for_deletion values (99, ?, ?, '1970-01-01 00:00:00+00')",
                (path, is_relative),
            )
        assert any("somebody changed the catalog" in warning for warning in maintain(settings).warnings)
        assert (data / path).exists()


def _is_marked_by_the_next_run(settings: Settings, data: Path) -> None:
    """The data folder of an earlier release."""
    deliver(settings, lines([event("b")]), hour=1)
    run(settings, 1)
    assert (data / MARKER).exists()
    assert home_record.read(settings) is not None
    assert one(settings, COUNT) == 21
    # One that holds anything else is not, and says what to do.
    _as_earlier_release(settings)
    stranger = _put(data / "backup/old.parquet")
    for changes in (lambda: run(settings, 2), lambda: maintain(settings)):
        with pytest.raises(
            lake.WarehouseError, match=r"holds backup/old.parquet, which is not a data file.*move it away"
        ):
            changes()
    assert stranger.exists()
    assert one(settings, COUNT) == 21
    stranger.unlink()
    maintain(settings)
    assert (data / MARKER).exists()


def test_a_data_folder_that_is_away_or_another_warehouses(settings: Settings, tmp_path: Path) -> None:
    data = _published(settings)
    _as_earlier_release(settings)
    data.rename(tmp_path / "away")
    with pytest.raises(lake.WarehouseError, match="none of the files that the catalog knows: is it mounted"):
        run(settings, 1)
    (tmp_path / "away").rename(data)
    other = settings.model_copy(update={"home": tmp_path / "other", "data_path": str(data)})
    _is_marked_by_the_next_run(settings, data)
    with pytest.raises(lake.WarehouseError, match="whose catalog is missing"):
        run(other)
    apart = settings.model_copy(update={"home": tmp_path / "apart"})
    run(apart)
    both = apart.model_copy(update={"data_path": str(data)})
    with pytest.raises(lake.WarehouseError, match=r"belongs to the warehouse .* but the catalog belongs to"):
        maintain(both)


def test_a_lost_catalog_is_not_made_again(settings: Settings, tmp_path: Path) -> None:
    _published(settings)
    catalog = settings.home / "warehouse/catalog.sqlite"
    catalog.rename(tmp_path / "kept.sqlite")
    window = ("--from", "2026-05-01T10:00", "--to", "2026-05-01T11:00")
    for arguments in (("run",), ("run", *window), ("status",), ("maintain",), ("replay",), ("sql", "select 1")):
        done = audit(settings, *arguments, check=False)
        assert done.returncode == 1
        assert "restore the catalog from a backup" in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
        assert not catalog.exists()
    # Nor is one that is empty.
    catalog.touch()
    with pytest.raises(lake.LostCatalogueError):
        run(settings)
    # Restored, it goes on.
    (tmp_path / "kept.sqlite").rename(catalog)
    assert query(settings, COUNT) == [(20,)]


@pytest.mark.slow
def test_a_lost_catalog_is_known_by_all_that_it_left(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"ledger_head_file": tmp_path / "heads"})
    deliver(settings, lines([event(f"e{n}") for n in range(20)]))
    run(settings)
    data = Path(settings.data_root)
    catalog = settings.home / "warehouse/catalog.sqlite"
    catalog.rename(tmp_path / "kept.sqlite")
    # Another warehouse's catalog does not stand in for it.
    other = settings.model_copy(update={"home": tmp_path / "other", "ledger_head_file": None})
    _published(other)
    shutil.copy(other.home / "warehouse/catalog.sqlite", catalog)
    with pytest.raises(lake.LostCatalogueError, match="check AUDIT_CATALOG"):
        run(settings)
    catalog.unlink()
    # Of an earlier release, the data tells, or the file of the ledger's heads.
    record, away = home_record.path(settings), tmp_path / "data"
    record.rename(tmp_path / "record")
    without = settings.model_copy(update={"ledger_head_file": None})
    with pytest.raises(lake.WarehouseError, match="whose catalog is missing"):
        run(without)
    data.rename(away)
    with pytest.raises(lake.LostCatalogueError, match="a ledger of 1 entries was published"):
        run(settings)
    # Restored, it goes on; and once all that the old one left is moved aside, it begins anew.
    away.rename(data)
    (tmp_path / "kept.sqlite").rename(catalog)
    assert query(settings, COUNT) == [(20,)]
    run(settings)
    assert record.exists()
    shutil.rmtree(settings.home / "warehouse")
    record.unlink()
    (tmp_path / "heads").unlink()
    run(settings)
    assert query(settings, COUNT) == [(20,)]


def test_a_run_killed_between_landing_and_its_first_publication_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    deliver(settings, lines([event("a")]))
    for place in (
        "warehouse.data_folder.mark",
        "warehouse.tables.create_tables",
        "publish.publish.publish",
        "warehouse.lake_writer.remember",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"activity_audit.{place}", killed)
            with pytest.raises(KeyboardInterrupt):
                run(settings)
    run(settings)
    assert one(settings, COUNT) == 1
    assert home_record.read(settings) is not None


def test_the_prefix_of_a_bucket_is_marked_as_a_folder_is(settings: Settings, bucket: Bucket) -> None:
    far = settings.model_copy(update={"data_path": f"{bucket.url}/lake"})
    bucket.put("lake/stranger.parquet", b"x")
    bucket.put("lakes/other.parquet", b"x")
    deliver(far, lines([event(f"e{n}") for n in range(20)]))
    with pytest.raises(lake.WarehouseError, match=r"holds stranger.parquet"):
        run(far)
    bucket.delete("lake/stranger.parquet")
    run(far)
    assert f"lake/{MARKER}" in bucket.keys("lake/")
    name = f"main/fact_activity_event/ducklake-{uuid4()}.parquet"
    bucket.put(f"lake/{name}", b"x")
    with warehouse(far) as connection:
        found = leftovers.find(connection, f"{bucket.url}/lake/", now_utc() + timedelta(hours=1))
        assert (found.own, found.foreign) == ([name], [])
        leftovers.give_up(connection, found.own)
        connection.execute("call ducklake_cleanup_old_files('audit', older_than => now() - interval 1 day)")
    assert f"lake/{name}" not in bucket.keys("lake/")
    bucket.put(f"lake/{name}", b"x")
    bucket.delete(f"lake/{MARKER}")
    maintain(far)
    assert f"lake/{MARKER}" in bucket.keys("lake/")
    assert {f"lake/{name}", "lakes/other.parquet"} <= set(bucket.keys())
    home_record.path(far).unlink()
    (far.home / "warehouse/catalog.sqlite").unlink()
    with pytest.raises(lake.WarehouseError, match="whose catalog is missing"):
        run(far)


def test_the_command_removes_leftovers_only_where_it_is_asked_to(settings: Settings) -> None:
    data = _published(settings)
    left = _put(data / "main/fact_activity_event" / f"ducklake-{uuid4()}.parquet")
    done = said(settings, "maintain")
    assert "`audit maintain --remove-leftovers` removes them" in done.stderr
    assert left.exists()
    audit(settings, "maintain", "--remove-leftovers")
    assert not left.exists()


def test_scratch_space_that_was_somebodys_folder_loses_nothing_of_theirs(settings: Settings) -> None:
    theirs = [settings.work_dir / name for name in ("thesis.txt", "my.duckdb", "src/main.py", "spill/oil/report.txt")]
    theirs += [settings.home / "activity_audit/report/exports/2025/mine.csv"]
    for path in theirs:
        _put(path)
    left = [settings.work_dir / f"{uuid4()}.duckdb", settings.work_dir / f"{uuid4()}-3.dbt/manifest.json"]
    left += [settings.work_dir / f"{uuid4()}-rest.duckdb.int_parsed_record.parquet"]
    left += [settings.work_dir / "maintain.duckdb.wal", settings.spill_dir / "1-abcdefgh/x.tmp"]
    for path in left:
        _put(path)
    with exclusive(settings):
        assert not any(path.exists() for path in left)
    OwnFolder(settings.home / "activity_audit/report/exports").remove()
    assert all(path.exists() for path in theirs)
