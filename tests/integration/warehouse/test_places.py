"""Where the product writes, and who may read that: nothing of a home but by its owner, nothing into the sources."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from activity_audit.base.catalogue import DBT_PROJECT_DIR
from activity_audit.base.faults import FaultError
from activity_audit.base.hours import iso
from activity_audit.dbt_runner import project, target
from activity_audit.settings.core import Settings, SettingsError, load_settings
from activity_audit.settings.private_files import keep_private, open_doors
from activity_audit.warehouse import lake, lake_writer
from tests import warm_process
from tests.integration.support import AUDIT, HOUR, deliver, event, lines, one, process_environment

_OTHERS = 0o077
_PRODUCT = ("activity_audit", "orchestration", "expectations", "dbt_project", "workspace.yaml")
# They may read everything, as the interpreter of these tests may be in a folder of root's, and write what is theirs.
_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
           "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # fmt: skip
_RUN = ("run", "--from", iso(HOUR), "--to", "2026-05-01T11:00:00Z")


def _audit(settings: Settings, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of a user with the usual umask."""
    return warm_process.run(
        [AUDIT, *arguments],
        env=process_environment(settings, **environment),
        capture_output=True,
        text=True,
        umask=0o022,
    )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _open_to_others(home: Path) -> list[str]:
    return [str(path) for path in (home, *home.rglob("*")) if _mode(path) & _OTHERS]


@pytest.fixture
def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """A home that is not there yet, with a delivery beside it."""
    feeds = settings.model_copy(update={"feed_url": str(tmp_path / "feeds")})
    deliver(feeds, lines([event("a")]))
    return feeds


def test_a_home_is_its_owner_s_alone_and_files_for_people_are_not(elsewhere: Settings, tmp_path: Path) -> None:
    done = _audit(elsewhere, *_RUN)
    assert (done.returncode, done.stderr) == (0, "")
    assert _open_to_others(elsewhere.home) == []
    events = ("--from", "2026-05-01", "--to", "2026-05-02")
    for arguments in (
        ("export", *events, "--to-file", str(tmp_path / "a.csv")),
        ("evidence", *events, "--out", str(tmp_path / "pack")),
        ("review", "--no-verify", "--to-file", str(tmp_path / "a.html")),
        ("review", "--no-verify"),
    ):
        done = _audit(elsewhere, *arguments)
        assert done.returncode == 0, done.stderr
    assert _open_to_others(elsewhere.home) == []
    assert {_mode(tmp_path / name) for name in ("a.csv", "a.html", "pack/events.parquet")} == {0o644}
    assert _mode(tmp_path / "pack") == 0o755


@pytest.fixture
def umask() -> Iterator[None]:
    """The umask of the tests, whatever is done to it."""
    before = os.umask(0)
    os.umask(before)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("home", "setting", "expected"),
    [
        (None, None, 0o600),
        (0o700, None, 0o600),
        (0o755, None, 0o644),
        (0o2770, None, 0o660),
        (0o755, "077", 0o600),
        (None, "027", 0o640),
    ],
)
def test_what_is_written_is_for_those_whom_the_home_is_for(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: int | None, setting: str | None,
    expected: int,
) -> None:  # fmt: skip
    if home is not None:
        settings.home.mkdir()
        settings.home.chmod(home)
    if setting:
        monkeypatch.setenv("AUDIT_UMASK", setting)
    keep_private(load_settings())
    (tmp_path / "x").touch()
    assert _mode(tmp_path / "x") == expected


def test_a_home_that_is_open_is_warned_of(settings: Settings) -> None:
    settings.home.mkdir()
    settings.home.chmod(0o755)
    assert (
        f"warning: every user of this machine can read {settings.home} (mode 755); `chmod -R go= {settings.home}` "
        "closes it, and AUDIT_UMASK decides who can read it\n"
    ) in _audit(settings, "status").stderr
    assert "warning" not in _audit(settings, "status", AUDIT_UMASK="022").stderr
    settings.home.chmod(0o700)
    assert "warning" not in _audit(settings, "status").stderr


@pytest.mark.parametrize("wrong", ["7", "0777", "abc", "700", "-1"])
def test_a_umask_leaves_the_owner_their_rights(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("AUDIT_UMASK", wrong)
    if wrong == "7":
        assert load_settings().umask == 0o007
        return
    with pytest.raises(SettingsError, match=r"AUDIT_UMASK='.*': must be an octal number"):
        load_settings()


def test_secrets_that_others_may_read_are_warned_of(settings: Settings, tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    for path in (users, tmp_path / ".env"):
        path.write_text("")
        path.chmod(0o644)
    done = _audit(settings, "status", AUDIT_REPORT_USERS_FILE=str(users))
    for path in (users, tmp_path / ".env"):
        assert f"warning: every user of this machine can read {path}; `chmod go= {path}` closes it\n" in done.stderr
        path.chmod(0o600)
    assert "warning" not in _audit(settings, "status", AUDIT_REPORT_USERS_FILE=str(users)).stderr


@pytest.mark.parametrize("content", [b"AUDIT_HOME=\xff", None])
def test_a_dotenv_that_cannot_be_read_is_named(settings: Settings, tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / ".env").symlink_to(tmp_path / ".env")
    else:
        (tmp_path / ".env").write_bytes(content)
    done = _audit(settings, "status")
    if content is None:
        assert "Traceback" not in done.stderr
        return
    assert done.returncode == 2
    assert f"{tmp_path / '.env'} cannot be read: it is not UTF-8" in done.stderr


def test_each_version_of_the_project_has_a_manifest_of_its_own(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIT_CACHE")
    project = tmp_path / "project"
    shutil.copytree(DBT_PROJECT_DIR, project, ignore=shutil.ignore_patterns("target"))
    before = target.folder(project)
    assert before.parent == settings.home / "cache/dbt"
    shutil.copytree(project, tmp_path / "copy")
    assert target.folder(tmp_path / "copy") != before
    seed = project / "seeds/application.csv"
    times = seed.stat()
    seed.write_bytes(seed.read_bytes().replace(b"a", b"b", 1))
    # A copy may keep the times of what it is a copy of.
    os.utime(seed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert target.folder(project) != before
    monkeypatch.setenv("AUDIT_CACHE", str(tmp_path / "shared"))
    assert target.folder(project).parent == tmp_path / "shared/dbt"


def test_a_cache_that_others_can_change_is_warned_of(settings: Settings, tmp_path: Path) -> None:
    cache = tmp_path / "shared"
    cache.mkdir()
    for mode, warned in ((0o777, True), (0o770, True), (0o1777, False), (0o755, False)):
        cache.chmod(mode)
        found = open_doors(settings.model_copy(update={"cache": cache}))
        assert any(f"can change {cache} (mode {mode:o})" in sentence for sentence in found) == warned
    if os.geteuid() == 0:
        shutil.chown(cache, "nobody")
        assert f"{cache} belongs to another user, who can change what this command does" in open_doors(
            settings.model_copy(update={"cache": cache})
        )


@pytest.mark.usefixtures("umask")
def test_what_others_can_change_in_a_shared_cache_is_not_run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "shared"
    monkeypatch.setenv("AUDIT_CACHE", str(cache))
    folder = target.folder(DBT_PROJECT_DIR)
    # As a home for a group has it.
    os.umask(0o007)
    target.make(folder)
    assert (_mode(folder), _mode(folder.parent)) == (0o700, 0o700)
    target.make(folder)
    for path in (folder.parent, folder):
        for mode in (0o770, 0o702):
            path.chmod(mode)
            with pytest.raises(FaultError, match=rf"other users can write into {path} \(mode {mode:o}\).*rm -r {path}"):
                target.make(folder)
        path.chmod(0o755)
    target.make(folder)
    if os.geteuid() == 0:
        for path in (folder, folder.parent):
            shutil.chown(path, "nobody")
            with pytest.raises(FaultError, match=f"{path} belongs to another user.*Set AUDIT_CACHE"):
                target.make(folder)
    folder.parent.chmod(0o777)
    done = subprocess.run(
        [AUDIT, "dbt", "--version"],
        env=process_environment(settings, AUDIT_CACHE=str(cache)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (1, "", False)
    assert f"Error: {folder.parent} belongs to another user" in done.stderr or "other users can write" in done.stderr
    # The home decides who may change what is in it.
    monkeypatch.delenv("AUDIT_CACHE")
    target.make(target.folder(DBT_PROJECT_DIR))
    (settings.home / "cache").chmod(0o770)
    target.make(target.folder(DBT_PROJECT_DIR))
    assert _mode(target.folder(DBT_PROJECT_DIR)) == 0o770


@pytest.mark.parametrize("place", ["/proc/x", "file/cache"])
def test_a_cache_that_cannot_be_written_is_named(settings: Settings, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [AUDIT, "dbt", "--version"],
        env=process_environment(settings, AUDIT_CACHE=str(tmp_path / place)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: AUDIT_CACHE='{tmp_path / place}' cannot be written: ")
    assert "Set it to a folder" in done.stderr


def test_only_the_newest_versions_and_what_is_not_ours_stay_in_the_cache(tmp_path: Path) -> None:
    names = [f"{number:064x}" for number in range(6)]
    for age, name in enumerate([*names, "somebody's"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    target.drop_older(tmp_path / names[5])
    assert {path.name for path in tmp_path.iterdir()} == {*names[:3], names[5], "somebody's"}


def test_what_other_installations_use_stays_in_a_shared_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_CACHE", str(tmp_path))
    folders = [tmp_path / "dbt" / f"{number:064x}" for number in range(9)]
    long_ago = time.time() - 8 * 86_400
    for number, folder in enumerate(folders):
        target.make(folder)
        os.utime(folder, (long_ago + number, long_ago + number))
    # A process began with it long ago, and builds now.
    with monkeypatch.context() as other:
        other.setattr(project, "target_dir", lambda: folders[0])
        other.setattr(project, "_parsed", lambda *_: None)
        (folders[0] / "partial_parse.msgpack").touch()
        os.utime(folders[0], (long_ago, long_ago))
        project.parsed()
    for folder in folders[1:3]:
        target.make(folder)
    os.utime(folders[3], (time.time() - 6 * 86_400,) * 2)
    os.utime(folders[4], (time.time() - 5 * 86_400,) * 2)
    target.drop_older(folders[8])
    assert sorted((tmp_path / "dbt").iterdir()) == [*folders[:5], folders[8]]


@pytest.mark.slow
def test_dbt_by_hand_reads_the_project_and_writes_into_the_home(settings: Settings) -> None:
    before = {path: path.stat().st_mtime_ns for path in (DBT_PROJECT_DIR, *DBT_PROJECT_DIR.rglob("*"))}
    done = _audit(settings, "dbt", "show", "--quiet", "--output", "json", "--inline", "select 7 as n")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["show"] == [{"n": 7}]
    assert (settings.home / "dbt/dbt.log").exists()
    assert {path: path.stat().st_mtime_ns for path in (DBT_PROJECT_DIR, *DBT_PROJECT_DIR.rglob("*"))} == before
    assert _audit(settings, "dbt", "nonsense").returncode == 2
    done = _audit(settings, "dbt", "clean")
    assert done.returncode == 2
    assert f"will not clean the following directories outside the project: ['{settings.dbt_dir}']" in done.stdout


@pytest.fixture
def foreign() -> Iterator[Path]:
    """A place that every user may reach, which pytest's own folder is not."""
    folder = Path(tempfile.mkdtemp(prefix="audit-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root may act as another user")
def test_another_user_runs_a_checkout_that_is_not_theirs(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = DBT_PROJECT_DIR.parent
    checkout = foreign / "checkout"
    checkout.mkdir(mode=0o755)
    for name in _PRODUCT:
        if (root / name).is_dir():
            shutil.copytree(root / name, checkout / name, ignore=shutil.ignore_patterns("target", "__pycache__"))
        else:
            shutil.copy(root / name, checkout)
    subprocess.run(["chmod", "-R", "a+rX", str(checkout)], check=True)
    before = {path: path.stat().st_mtime_ns for path in (checkout, *checkout.rglob("*"))}
    own = foreign / "own"
    own.mkdir()
    shutil.chown(own, "nobody")
    monkeypatch.delenv("AUDIT_CACHE")
    settings = load_settings(home=own / "home", feed_url=str(own / "feeds"))
    deliver(settings, lines([event("a")]))
    subprocess.run(["chown", "-R", "nobody", str(own)], check=True)
    for arguments in (_RUN, ("verify",), ("review", "--no-verify")):
        done = subprocess.run(
            [*_NOBODY, sys.executable, "-P", "-c", "from activity_audit.cli import main; main()", *arguments],
            cwd=own,
            env={**process_environment(settings), "PYTHONPATH": str(checkout), "HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert one(settings, "select count(*) from fact_activity_event") == 1
    assert len(list(settings.home.glob("cache/dbt/*/column_lineage.json"))) == 1
    assert {path: path.stat().st_mtime_ns for path in (checkout, *checkout.rglob("*"))} == before
    assert {path.name for path in own.iterdir()} == {"home", "feeds"}


def test_the_folder_of_a_catalog_of_ones_own_is_made(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with duckdb.connect() as connection, pytest.raises(lake.WarehouseError, match="is in the way"):
        lake_writer.attach(connection, load_settings(catalog=str(tmp_path / "file" / "catalog.sqlite")))
    own = load_settings(catalog=str(tmp_path / "not" / "there" / "catalog.sqlite"))
    with duckdb.connect() as connection:
        lake_writer.attach(connection, own)
    assert (tmp_path / "not" / "there" / "catalog.sqlite").exists()
