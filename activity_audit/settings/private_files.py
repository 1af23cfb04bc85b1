"""The permissions of what the product writes: for its owner alone, unless the home or AUDIT_UMASK says otherwise.

Events tell what people did. Files for people, which a command writes where its user says, are made as their umask says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activity_audit.settings import environment
from activity_audit.settings.core import SECRETS, Settings

_OWNER_ALONE = 0o077
_OTHERS = 0o007
_OTHERS_READ = 0o004
_OTHERS_WRITE = 0o002
# Of a folder: what lets the group, or everybody, change what is in it.
OTHERS_CHANGE = 0o022
_users_umask: int | None = None


def keep_private(settings: Settings) -> None:
    """Have this process, and all that it starts, make its files for the readers whom the home is for."""
    global _users_umask
    before = os.umask(_mask(settings))
    _users_umask = before if _users_umask is None else _users_umask


@contextmanager
def for_people() -> Iterator[None]:
    """Inside the block files are made as the umask says that the process was started with."""
    own = os.umask(0)
    os.umask(own if _users_umask is None else _users_umask)
    try:
        yield
    finally:
        os.umask(own)


def _mask(settings: Settings) -> int:
    """AUDIT_UMASK; without it, whoever may read the home's folder may read what is made in it."""
    if settings.umask is not None:
        return settings.umask
    home = _stat(settings.home)
    return _OWNER_ALONE if home is None else _OWNER_ALONE & ~home.st_mode


def open_doors(settings: Settings) -> list[str]:
    """What of the home, the cache, the files with secrets and `.env` other users of the machine may read or change.

    A sentence each.
    """
    found = []
    home = _stat(settings.home)
    if home and home.st_uid == os.geteuid() and home.st_mode & _OTHERS and settings.umask is None:
        found.append(
            f"every user of this machine can read {settings.home} (mode {stat.S_IMODE(home.st_mode):o}); "
            f"`chmod -R go= {settings.home}` closes it, and AUDIT_UMASK decides who can read it"
        )
    cache = _stat(settings.cache) if settings.cache else None
    # In a sticky folder, such as /tmp, nobody can replace what another user made.
    if cache and cache.st_mode & OTHERS_CHANGE and not cache.st_mode & stat.S_ISVTX:
        found.append(
            f"other users of this machine can change {settings.cache} (mode {stat.S_IMODE(cache.st_mode):o}), and so "
            f"the SQL that is run; `chmod -R go-w {settings.cache}` closes it"
        )
    if cache and cache.st_uid not in (0, os.geteuid()):
        found.append(_foreign(settings.cache))
    secrets = [Path(environment.FILE).absolute()]
    secrets += [settings.report.users_file] if settings.report.users_file else []
    secrets += environment.secret_files(SECRETS).values()
    for path in secrets:
        file = _stat(path)
        if file is None:
            continue
        if file.st_mode & (_OTHERS_READ | _OTHERS_WRITE):
            may = "change" if file.st_mode & _OTHERS_WRITE else "read"
            found.append(f"every user of this machine can {may} {path}; `chmod go= {path}` closes it")
        if file.st_uid not in (0, os.geteuid()):
            found.append(_foreign(path))
    return found


def _foreign(path: Path | None) -> str:
    return f"{path} belongs to another user, who can change what this command does"


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
