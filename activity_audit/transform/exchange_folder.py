"""A folder of this machine, or of a bucket, in which small files are whole from the moment that they are there."""

from __future__ import annotations

import shutil
from functools import cached_property
from typing import Any

from activity_audit.base.files import rewrite
from activity_audit.base.object_urls import open_url
from activity_audit.base.storage_paths import local_path


class ExchangeFolder:
    """The folder; it is made when something is written. It can be sent to another process."""

    def __init__(self, root: str) -> None:
        self.local = local_path(root)
        self.root = (str(self.local) if self.local else root).rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        return {"local": self.local, "root": self.root}

    @cached_property
    def _store(self) -> Any:
        return open_url(self.root, "AUDIT_EXCHANGE_PATH")[0]

    def write(self, name: str, text: str) -> None:
        """Write a small file, whole."""
        if self.local:
            self.local.mkdir(parents=True, exist_ok=True)
            rewrite(self.local / name, text)
        else:
            self._store.pipe_file(f"{self.root}/{name}", text.encode())

    def read(self, name: str) -> bytes:
        """The content of a small file.

        Raises:
            FileNotFoundError: if it is not there.
        """
        return (self.local / name).read_bytes() if self.local else self._store.cat_file(f"{self.root}/{name}")

    def names(self) -> list[str]:
        """The names of what is in it, sorted; nothing where it is not there."""
        return self._in(is_folder=False)

    def folders(self) -> list[str]:
        """The names of the folders in it, sorted."""
        return self._in(is_folder=True)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        if self.local:
            shutil.rmtree(self.local, ignore_errors=True)
        else:
            self._store.rm(self.root, recursive=True)

    def _in(self, *, is_folder: bool) -> list[str]:
        if self.local:
            found = self.local.iterdir() if self.local.is_dir() else ()
            return sorted(path.name for path in found if path.is_dir() == is_folder)
        try:
            # What other machines write has to be seen.
            self._store.invalidate_cache()
            entries = self._store.ls(self.root, detail=True)
        except FileNotFoundError:
            return []
        return sorted(
            entry["name"].rstrip("/").rsplit("/", 1)[-1]
            for entry in entries
            if (entry["type"] == "directory") == is_folder
        )
