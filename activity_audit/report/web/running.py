"""The reports that run on a home, so that another process of their user can lead to them.

Each has a file in `$AUDIT_HOME/report/running` that its owner alone can read, and holds a lock while it lives.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from activity_audit.report.access.access import Access
from activity_audit.report.access.tokens import new_token
from activity_audit.settings.core import Settings


@contextmanager
def announced(settings: Settings, access: Access) -> Iterator[None]:
    """Have the report be found while the block lasts, also by its end if the process is killed."""
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / f"{os.getpid()}.json"
    with FileLock(record.with_suffix(".lock")):
        said = {"base_url": access.base_url, "key": access.tokens.key if access.mode == "token" else None}
        record.unlink(missing_ok=True)
        # The folder may be open to a group that may read the warehouse, and not act as its owner.
        descriptor = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(said, file)
        try:
            yield
        finally:
            _forget(record)


def links(settings: Settings) -> list[str]:
    """A link to each report that runs on this home, the newest first: it signs in once, where links do.

    Records of reports that were killed are removed.

    Raises:
        PermissionError: if another user runs the report.
    """
    found = []
    for record in _folder(settings).glob("*.json"):
        if not _is_alive(record):
            _forget(record)
            continue
        # One may begin or end at this moment: its record is not whole yet, or gone.
        with suppress(FileNotFoundError, ValueError):
            began = record.stat().st_mtime
            said = json.loads(record.read_text(encoding="utf-8"))
            base, key = said["base_url"], said["key"]
            found.append((began, f"{base}/open?token={new_token(key)}" if key else base))
    return [link for _, link in sorted(found, reverse=True)]


def _is_alive(record: Path) -> bool:
    try:
        with FileLock(record.with_suffix(".lock"), timeout=0):
            return False
    except Timeout:
        return True


def _forget(record: Path) -> None:
    record.unlink(missing_ok=True)
    record.with_suffix(".lock").unlink(missing_ok=True)


def _folder(settings: Settings) -> Path:
    return settings.report_dir / "running"
