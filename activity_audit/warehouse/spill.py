"""The folder of this process into which its DuckDBs spill what does not fit into memory.

It is below `$AUDIT_HOME/work`, because there is room where the warehouse is. A process that may not write there, such
as a reader of another user's home, has it in the system's folder for temporary files.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from activity_audit.base.files import OwnFolder
from activity_audit.settings.core import Settings

_folders: dict[Path, Path] = {}
_making = threading.Lock()
_numbers = count(1)


def folder(settings: Settings) -> Path:
    """The folder of this process; it is removed when the process ends.

    Raises:
        OSError: if it can be made neither in the home nor in the system's folder.
    """
    root = settings.spill_dir
    with _making:
        if root not in _folders or not _folders[root].is_dir():
            _folders[root] = _make(root)
        return _folders[root]


def folder_of_one(settings: Settings) -> Path:
    """A name below the folder of this process for one DuckDB, which makes it when it spills and then removes it.

    DuckDBs number their files alike, so two with one folder would overwrite each other's.

    Raises:
        OSError: as `folder` does.
    """
    return folder(settings) / f"duckdb-{next(_numbers)}"


@contextmanager
def scratch(settings: Settings) -> Iterator[Path]:
    """A new folder for a block's own files, beside what DuckDB spills; it is removed when the block ends."""
    with tempfile.TemporaryDirectory(dir=folder(settings)) as path:
        yield Path(path)


def _make(root: Path) -> Path:
    try:
        own = OwnFolder(root)
    except OSError:
        # Read-only, another user's, or full; the system's folder says so itself if it is no better.
        path = tempfile.mkdtemp(prefix="audit-spill-")
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        return Path(path)
    atexit.register(own.remove)
    return own.path
