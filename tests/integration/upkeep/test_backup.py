"""Backups are whole, share their files, and become homes again in which everything goes on."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from activity_audit.base.hours import now_utc
from activity_audit.evidence.verify.verify import NoLedgerError, verify
from activity_audit.pipeline.run import land_feeds
from activity_audit.report.access.permissions import user_of
from activity_audit.report.saved.book import SavedReports
from activity_audit.report.trail import Trail
from activity_audit.settings.core import Settings, load_settings
from activity_audit.upkeep.backup import dump as dumping
from activity_audit.upkeep.backup import make, place
from activity_audit.upkeep.backup import restore as restoring
from activity_audit.upkeep.backup.check import check, whole_backups
from activity_audit.upkeep.backup.make import backup
from activity_audit.upkeep.backup.place import BackupError
from activity_audit.upkeep.backup.restore import restore
from activity_audit.upkeep.catalogs import attached_lake, connected
from activity_audit.upkeep.retention import holds
from activity_audit.warehouse import home_record, home_version, lake
from activity_audit.warehouse.lake_location import location
from tests.integration.postgres_server import INITDB, PostgresServer
from tests.integration.support import (
    HOUR,
    audit,
    begin,
    deliver,
    dump,
    event,
    key_differences,
    lines,
    one,
    process_environment,
    query,
    run,
    said,
)
from tests.integration.tampering import warehouse
from tests.s3_server import Bucket
from tests.warm_process import AUDIT

on_postgres = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")
EVENTS = "select event_id from fact_activity_event order by all"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two hours, a hold, a saved report, and a trail of which a part is landed; the tests work on copies."""
    folder = tmp_path_factory.mktemp("backup")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search")
    deliver(settings, lines([event("a"), event("a"), event("b"), "junk"]))
    run(settings)
    deliver(settings, lines([event("c")]), hour=1)
    Trail(settings.own_feeds_dir, lambda: HOUR + timedelta(hours=1)).record("ada", "Report", "Run", "activity_audit")
    run(settings, 1)
    holds.place(settings, "search", HOUR, HOUR + timedelta(hours=1), "matter 7", "counsel")
    SavedReports(settings.report_dir / "saved.json").save("mine", "ada", "application=Search")
    Trail(settings.own_feeds_dir, lambda: HOUR + timedelta(hours=2)).record("bob", "Report", "Run", "activity_audit")
    return settings


@pytest.fixture
def published(original: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(original.home, tmp_path / "home")
    shutil.copytree(original.feed_root, tmp_path / "landing")
    places = {"home": tmp_path / "home", "feed_url": str(tmp_path / "landing"), "backup_to": str(tmp_path / "kept")}
    return original.model_copy(update=places)


def _new(settings: Settings, name: str = "new") -> Settings:
    return settings.model_copy(update={"home": settings.home.with_name(name)})


def _files(settings: Settings) -> dict[str, int]:
    kept = Path(str(settings.backup_to))
    return {path.relative_to(kept).as_posix(): path.stat().st_ino for path in kept.rglob("*") if path.is_file()}


def _goes_on(settings: Settings) -> None:
    """What a restored home has to do: find nothing new in the feeds it knows, and go on with what comes."""
    deliver(settings, lines([event("d"), event("a")]), hour=2)
    totals = run(settings, 0, 3).totals
    # Bob's part of the trail is the second that is accepted.
    assert (totals["received"], totals["accepted"], totals["duplicate"]) == (3, 2, 1)
    assert key_differences(settings) == []
    assert verify(settings).findings == []


def test_a_backup_becomes_a_home_in_which_everything_goes_on(published: Settings) -> None:
    before = dump(published, set())
    runs = [run_id for (run_id,) in query(published, "select run_id from quality.pipeline_run order by started_at_utc")]
    made = backup(published)
    assert (made.backup.run_id, made.removed, made.warnings) == (runs[-1], [], [])
    assert made.backup.copied_files == made.backup.files > 5
    assert check(published) == ([made.backup], [])
    new = _new(published)
    assert restore(new).backup == made.backup
    assert dump(new, set()) == before
    assert query(new, EVENTS, at=runs[0]) == [("a",), ("b",)]
    assert [report.name for report in SavedReports(new.saved_file).visible_to(user_of("ada", []))] == ["mine"]
    assert one(new, "select count(*) from quality.legal_hold") == 1
    assert verify(new, None, made.backup.ledger_head).findings == []
    _goes_on(new)


def test_files_are_shared_and_old_backups_go(published: Settings) -> None:
    keep = published.model_copy(update={"backup_keep": 2})
    first = backup(keep).backup
    held = _files(keep)
    deliver(keep, lines([event("d")]), hour=2)
    run(keep, 2)
    second = backup(keep).backup
    assert 0 < second.copied_files < second.files
    assert held.items() <= _files(keep).items()
    # What a killed backup leaves is taken up, and nothing of it passes for a backup.
    left = Path(str(keep.backup_to)) / "backups/20260501T000000Z-0000/catalog.sqlite.gz"
    left.parent.mkdir()
    left.write_bytes(b"x")
    third = backup(keep)
    assert (third.removed, third.backup.copied_files) == ([first.id], 0)
    assert whole_backups(keep) == [second, third.backup]
    assert not left.exists()
    assert check(keep)[1] == []
    assert query(_restored(keep, second.id), EVENTS) == query(keep, EVENTS)
    with pytest.raises(BackupError, match=f"no backup {first.id}"):
        restore(_new(keep, "gone"), first.id)


def _restored(settings: Settings, wanted: str | None = None) -> Settings:
    new = _new(settings, f"restored-{wanted}")
    restore(new, wanted)
    return new


def test_nothing_is_written_over_and_a_damaged_backup_is_named(published: Settings) -> None:
    backup(published)
    kept = Path(str(published.backup_to))
    before = dump(published, set())
    with pytest.raises(BackupError, match="is there already, and nothing is written over it"):
        restore(published)
    done = restore(published, move_aside=True)
    assert len(done.moved_aside) > 4
    assert dump(published, set()) == before
    # What the file system has changed in a backup.
    raw = min(kept.glob("raw/search/*/*/*.parquet"))
    content = bytearray(raw.read_bytes())
    content[-40] ^= 1
    raw.write_bytes(content)
    new = _new(published)
    for _ in range(2):
        with pytest.raises(BackupError, match=f"the backup is damaged.*{raw.name}"):
            restore(new)
    assert check(published)[1] == [str(raw)]
    assert "repeat the same `audit restore`" in said(new, "sql", "select 1", exit_code=1).stderr
    with pytest.raises(lake.WarehouseError, match="repeat the same `audit restore`"):
        land_feeds(new, ["search"], (HOUR, HOUR + timedelta(hours=3)))
    content[-40] ^= 1
    raw.write_bytes(content)
    restore(new)
    assert dump(new, set()) == before
    (kept / "backups" / whole_backups(published)[0].id / place.CATALOG).write_bytes(b"x")
    with pytest.raises(BackupError, match=f"{place.CATALOG} is not as it was written"):
        restore(_new(published, "another"))


@pytest.mark.parametrize("name", ["../evil", "data/../../evil", "/etc/evil", "backups/x", "raw\\..\\evil", "data/"])
def test_a_place_names_no_file_outside_of_what_is_restored(
    published: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    listed = tmp_path / place.FILES
    listed.write_bytes(gzip.compress(f"{'0' * 64}  {name}\n".encode()))
    monkeypatch.setattr(place.Place, "part", lambda *_: listed)
    with place.opened(published, for_writing=False) as there, pytest.raises(BackupError, match="damaged"):
        there.hashes(Mock(id="x"))


def test_what_an_upkeep_removes_meanwhile_is_not_missed(published: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path(published.data_root)
    copying = dumping.state
    removed: list[Path] = []

    def remove_meanwhile(where: place.Place, settings: Settings) -> dumping.State:
        state = copying(where, settings)
        if not removed:
            removed.append(data / state.files[0])
            content = removed[0].read_bytes()
            removed[0].unlink()
            monkeypatch.setattr(
                make, "_make_at_last", lambda *given: (removed[0].write_bytes(content), last(*given))[1]
            )
        return state

    last = make._make_at_last
    monkeypatch.setattr(dumping, "state", remove_meanwhile)
    assert backup(published).backup.files > 5
    assert removed
    assert check(published)[1] == []
    # One that is gone for good is named.
    monkeypatch.undo()
    shutil.rmtree(str(published.backup_to))
    removed[0].unlink()
    with pytest.raises(BackupError, match=f"{removed[0].name}.*`audit verify` names everything that is lost"):
        backup(published)
    assert whole_backups(published) == []


def test_what_was_changed_at_home_does_not_spoil_a_backup(published: Settings) -> None:
    backup(published)
    raw = min((published.home / "raw/search").glob("*/*/*.parquet"))
    content = raw.read_bytes()
    raw.write_bytes(content[:-10])
    (warning,) = backup(published).warnings
    assert raw.name in warning
    assert check(published)[1] == []
    # Torn in the backup, it is copied again.
    raw.write_bytes(content)
    kept = Path(str(published.backup_to)) / raw.relative_to(published.home)
    kept.write_bytes(content[:-20])
    assert backup(published).backup.copied_files == 1
    assert kept.read_bytes() == content


@pytest.mark.parametrize(
    "step",
    [
        "_restore_files",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("_restore_catalog", "home_record.write")),
    ],
)
def test_a_restore_that_was_interrupted_goes_on(
    published: Settings, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(published)
    before, new = dump(published, set()), _new(published)
    (new.home / "raw/.move-killed").mkdir(parents=True)
    with monkeypatch.context() as patch:
        target: Callable = restoring.home_record.write if "." in step else getattr(restoring, step)

        def killed(*given: object, **named: object) -> None:
            if step == "home_record.write" and named:
                return target(*given, **named)
            if step == "_restore_files":
                target(*given)
            raise KeyboardInterrupt

        patch.setattr(f"activity_audit.upkeep.backup.restore.{step}", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(new)
    if step != "home_record.write":
        with pytest.raises(lake.WarehouseError, match="repeat the same `audit restore`"):
            run(new, 2)
    restore(new)
    assert dump(new, set()) == before
    assert not list(new.home.rglob(".move-*"))
    assert verify(new).findings == []


def test_an_interrupted_restore_goes_on_in_its_own_places_alone(
    published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names other places when they repeat it loses nothing that is there."""
    backup(published)
    before, new = dump(published, set()), _new(published)
    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_restore_catalog", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            restore(new)
    others = [
        new.model_copy(update={"data_path": published.data_root}),
        new.model_copy(update={"raw_path": str(published.raw_dir)}),
        new.model_copy(update={"catalog": str(published.catalog_file)}),
    ]
    for other in others:
        with pytest.raises(BackupError, match="is there already, and nothing is written over it"):
            restore(other)
    assert dump(published, set()) == before
    assert verify(published).findings == []
    # What somebody else put in the place of the catalog meanwhile is not taken for what is restored.
    new.home.joinpath("warehouse").mkdir(exist_ok=True)
    with (
        connected(new, location(new)) as connection,
        attached_lake(connection, location(new)),
    ):
        pass
    with pytest.raises(BackupError, match="is there already, and nothing is written over it"):
        restore(new)
    new.home.joinpath("warehouse/catalog.sqlite").unlink()
    restore(new)
    assert dump(new, set()) == before


def test_what_is_beside_a_catalog_or_kept_by_a_home_is_not_written_over(published: Settings) -> None:
    backup(published)
    # SQLite would read a log that was left as a part of the catalog that is restored.
    for name in ("warehouse/catalog.sqlite-wal", "report/saved.json", "own_feeds/journal"):
        new = _new(published, name.replace("/", "-"))
        (new.home / name).parent.mkdir(parents=True)
        (new.home / name).write_text("[]")
        with pytest.raises(BackupError, match=f"{name.removesuffix('/journal')}\\) is there already"):
            restore(new)
    # Files of others whose names begin alike stay where they are.
    other = published.home / "warehouse/catalog.sqlite2"
    other.write_bytes(b"of another home")
    restore(published, move_aside=True)
    assert other.read_bytes() == b"of another home"


def test_the_last_backup_is_the_newest_after_the_clock_was_set_back(
    published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = published.model_copy(update={"backup_keep": 1})
    ids: list[str] = []
    now = now_utc()
    for back in (0, 0, 2):
        monkeypatch.setattr(make, "now_utc", Mock(return_value=now - timedelta(days=back)))
        made = backup(keep)
        assert made.removed == ids[-1:]
        ids.append(made.backup.id)
    assert [one.id for one in whole_backups(keep)] == ids[-1:]


def test_a_backup_has_the_version_of_what_it_was_made_of(published: Settings) -> None:
    """So that the release from before an upgrade takes a backup that the next one made before its first run."""
    with warehouse(published) as connection:
        home_version.record(connection, 1)
    home_record.set_version(published, 1)
    assert backup(published).backup.schema == 1


@pytest.mark.slow
def test_the_place_is_for_one_warehouse_and_nothing_else(published: Settings, settings: Settings) -> None:
    kept = Path(str(published.backup_to))
    kept.mkdir()
    (kept / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(BackupError, match=r"holds holiday.jpg, which is no backup"):
        backup(published)
    (kept / "holiday.jpg").unlink()
    backup(published)
    (kept / "note.txt").write_text("of the operator")
    other = settings.model_copy(update={"home": published.home.with_name("other"), "backup_to": str(kept)})
    begin(other)
    with pytest.raises(BackupError, match="holds the backups of the warehouse"):
        backup(other)
    backup(published)
    assert (kept / "note.txt").exists()
    for wrong in (published.home / "kept", published.home.parent):
        refused = said(published, "backup", "--to", str(wrong), exit_code=2)
        assert "must be a place of its own" in refused.stderr


def test_anybody_can_check_a_backup_and_the_commands_say_what_there_is(published: Settings) -> None:
    places: dict[str, Any] = {
        "AUDIT_BACKUP_TO": str(published.backup_to),
        "AUDIT_ALERT_TO": "json://ada:hunter2@127.0.0.1:1",
    }
    asked = audit(published, "backup", "--output", "json", **places)
    made = json.loads(asked.stdout)
    assert "hunter2" not in asked.stdout
    kept = Path(str(published.backup_to))
    hashes = gzip.decompress((kept / "backups" / made["id"] / place.FILES).read_bytes())
    done = subprocess.run(["sha256sum", "-c", "--quiet"], cwd=kept, input=hashes, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")
    assert made["settings"]["AUDIT_BACKUP_TO"] == str(kept)
    (listed,) = json.loads(said(published, "backup", "--list", "--to", str(kept), "--output", "json").stdout)
    assert listed.items() <= made.items()
    assert "Intact: 1 backups" in said(published, "backup", "--check", "--to", str(kept)).stdout
    new = _new(published)
    restored = json.loads(audit(new, "restore", "--from", str(kept), "--output", "json").stdout)
    assert (restored["backup"]["id"], restored["verified"]["intact"]) == (made["id"], True)
    assert "nothing is written over it" in said(new, "restore", "--from", str(kept), exit_code=1).stderr
    assert (
        "What had been there is in" in said(new, "restore", "--from", str(kept), "--move-aside", "--no-verify").stdout
    )


@on_postgres
@pytest.mark.slow
def test_a_shared_warehouse_goes_to_a_bucket_and_comes_back(
    published: Settings, postgres: PostgresServer, bucket: Bucket
) -> None:
    from activity_audit.upkeep.move import move

    places = {"catalog": postgres.new_database(), "data_path": f"{bucket.url}/lake", "raw_path": f"{bucket.url}/raw"}
    shared = published.model_copy(update=places | {"backup_to": f"{bucket.url}/kept"})
    move(published, shared)
    before = dump(shared, set())
    made = backup(shared).backup
    assert backup(shared).backup.copied_files == 0
    there = {"catalog": postgres.new_database(), "data_path": f"{bucket.url}/lake2", "raw_path": f"{bucket.url}/raw2"}
    new = _new(shared).model_copy(update=there)
    assert restore(new).backup.files == made.files
    assert dump(new, set()) == before
    assert verify(new, None, made.ledger_head).findings == []
    _goes_on(new)
    with pytest.raises(BackupError, match="is there already"):
        restore(_new(new, "third"))
    # To one machine, too.
    local = _new(published, "local").model_copy(update={"backup_to": shared.backup_to})
    restore(local, made.id)
    assert dump(local, set()) == before


@pytest.mark.slow
def test_a_plain_copy_of_a_home_opens_elsewhere(published: Settings) -> None:
    before, new = dump(published, set()), _new(published, "copy")
    subprocess.run(["cp", "-a", published.home, new.home], check=True)
    shutil.rmtree(published.home)
    assert dump(new, set()) == before
    assert verify(new).findings == []
    deliver(new, lines([event("d"), event("a")]), hour=2)
    totals = run(new, 2).totals
    assert (totals["accepted"], totals["duplicate"]) == (2, 1)


@pytest.mark.slow
def test_killed_at_any_moment_there_is_a_whole_backup_or_none(published: Settings) -> None:
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    kept, before = str(published.backup_to), dump(published, set())
    for _ in range(8):
        kill_after(moments.uniform(0.5, 4), published, "backup", "--to", kept)
        assert check(published)[1] == [] if (Path(kept) / "backups").exists() and whole_backups(published) else True
    made = backup(published).backup
    assert check(published) == (whole_backups(published), []), seed
    new = _new(published)
    for _ in range(8):
        kill_after(moments.uniform(0.5, 4), new, "restore", "--from", kept, "--backup", made.id)
        with suppress(lake.WarehouseError):
            assert dump(new, set()) == before, seed
    with suppress(BackupError):
        restore(new, made.id)
    assert dump(new, set()) == before, seed
    assert verify(new).findings == []


def kill_after(seconds: float, settings: Settings, *arguments: str) -> None:
    """Start the real command and kill it, unless it has ended by then."""
    process = subprocess.Popen(
        [AUDIT, *arguments], env=process_environment(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_a_restored_home_without_the_ledger_that_its_backup_names_is_an_error(
    published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading of the ledger is replaced: the hashes of a backup do not let it lose one."""
    made = backup(published).backup

    def none(*_: object) -> None:
        raise NoLedgerError

    monkeypatch.setattr("activity_audit.evidence.verify.verify.verify", none)
    complaint = said(_new(published), "restore", "--from", str(published.backup_to), exit_code=1).stderr
    assert f"the backup {made.id} was made of a warehouse with a ledger, whose head was {made.ledger_head}" in complaint
    assert "Restore another backup" in complaint
