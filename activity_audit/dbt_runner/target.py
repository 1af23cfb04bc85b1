"""The place of dbt's manifest and of the column lineage: in the cache, never in the project.

Each version of the project has a folder of its own there. So a process goes on with what it began with while another,
of a newer release, parses its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from activity_audit.base.faults import FaultError
from activity_audit.settings.core import load_settings
from activity_audit.settings.private_files import OTHERS_CHANGE

_SOURCES = ("dbt_project.yml", "profiles.yml", "models/**/*", "macros/**/*", "seeds/**/*")
_RUN_BY = ("activity-audit", "dbt-core", "dbt-duckdb", "duckdb")
_NAME = re.compile("[0-9a-f]{64}")
# So many versions are kept, and each that was used in this time. A process uses its own at each build.
_KEPT = 4
_UNUSED_SECONDS = 7 * 86_400


def folder(project: Path) -> Path:
    """The folder for what is worked out of the project as it is now, by this release of dbt; it may be missing."""
    # dbt's manifest names the folder that the project is in, where it reads the seeds.
    digest = hashlib.sha256(f"{version('dbt-core')}\0{project}".encode())
    for content in _contents(project):
        digest.update(content)
    return load_settings().cache_dir / "dbt" / digest.hexdigest()


def fingerprint(project: Path) -> str:
    """What tells whether two machines judge alike: the project as it is, and the releases of what runs it."""
    digest = hashlib.sha256("".join(f"{name} {version(name)}\0" for name in _RUN_BY).encode())
    for content in _contents(project):
        digest.update(content)
    return digest.hexdigest()


def _contents(project: Path) -> Iterator[bytes]:
    for path in sorted(path for pattern in _SOURCES for path in project.glob(pattern) if path.is_file()):
        yield f"\0{path.relative_to(project)}\0{path.stat().st_size}\0".encode()
        yield path.read_bytes()


def make(folder: Path) -> None:
    """Make the folder, if it is missing, and let it count as used now.

    In AUDIT_CACHE, which may lie beside other users' files, it is private.

    Raises:
        FaultError: another user made it, or could change it: dbt's files in it have the SQL that is run.
    """
    if load_settings().cache is None:
        # Who may change the home may change the warehouse itself.
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        return
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, exist_ok=True)
        if {path.lstat().st_uid, path.stat().st_uid} != {os.geteuid()}:
            raise FaultError(
                f"{path} belongs to another user, who could change the SQL that is run. Set AUDIT_CACHE to a folder "
                "of this user"
            )
        if path.stat().st_mode & OTHERS_CHANGE:
            raise FaultError(
                f"other users can write into {path} (mode {stat.S_IMODE(path.stat().st_mode):o}), and so change the "
                f"SQL that is run. Remove it (`rm -r {path}`); the next command makes it again, for this user alone"
            )
    os.utime(folder)


@contextmanager
def named_where_unwritable() -> Iterator[None]:
    """Name AUDIT_CACHE where the block cannot write into it.

    Raises:
        FaultError: the folder that the setting names cannot be made, or not be written.
    """
    try:
        yield
    except OSError as error:
        if (cache := load_settings().cache) is None:
            raise
        reason = (error.strerror or str(error)).lower()
        raise FaultError(
            f"AUDIT_CACHE={str(cache)!r} cannot be written: {reason}. Set it to a folder that this user can create "
            "and write"
        ) from None


def drop_older(current: Path) -> None:
    """Remove the folders of versions that nobody used for a week, but for the newest."""
    others = (path for path in current.parent.iterdir() if _NAME.fullmatch(path.name) and path != current)
    used: dict[Path, float] = {}
    for path in others:
        # Another installation may remove it at the same time.
        with suppress(FileNotFoundError):
            used[path] = path.stat().st_mtime
    for path in sorted(used, key=lambda path: used[path], reverse=True)[_KEPT - 1 :]:
        if used[path] < time.time() - _UNUSED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
