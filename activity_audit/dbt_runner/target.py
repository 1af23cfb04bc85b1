"""Where dbt's manifest is kept, and the column lineage with it: beside the project for its owner, else in the home.

The owner of a checkout has it where dbt itself, used by hand, has it, and all their homes share it. Anybody else writes
nothing into the checkout, which may be read-only or someone else's: theirs is in `$AUDIT_HOME/cache/dbt`.
"""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

from activity_audit.base.whole_files import rewrite
from activity_audit.settings.core import load_settings

MANIFEST = "manifest.json"
_KEY = "project.key"
_SOURCES = ("dbt_project.yml", "profiles.yml", "models/**/*", "macros/**/*", "seeds/**/*")


def folder(project: Path) -> Path:
    """The folder for what is worked out of the project; it may be missing."""
    if project.stat().st_uid == os.geteuid() and os.access(project, os.W_OK):
        return project / "target"
    return load_settings().cache_dir / "dbt"


def is_current(target: Path, project: Path) -> bool:
    """Whether the manifest in the folder was made of the project as it is now, by the dbt of now."""
    marked = target / _KEY
    return (target / MANIFEST).exists() and marked.exists() and marked.read_text("utf-8") == _key(project)


def mark(target: Path, project: Path) -> None:
    """Keep what the manifest in the folder was made of."""
    rewrite(target / _KEY, _key(project))


def _key(project: Path) -> str:
    """A hash of files, times and dbt's version: a copy may keep the times of what it is a copy of."""
    digest = hashlib.sha256(version("dbt-core").encode())
    for path in sorted(path for pattern in _SOURCES for path in project.glob(pattern) if path.is_file()):
        digest.update(f"\0{path.relative_to(project)}\0{path.stat().st_mtime_ns}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
