"""The raw lake below an fsspec URL: in a bucket, or in any other store that fsspec can open.

A file is put under its name only if no other one has it. S3 decides that itself (`If-None-Match`), and so do Google's
and Azure's stores; another store is asked first, and then two passes at the same moment may both put theirs.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fnmatch import translate
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from activity_audit.base.faults import FaultError
from activity_audit.base.masking import without_secrets
from activity_audit.base.object_urls import ObjectUrlError, open_url, reason, schemes
from activity_audit.raw.store import Unnamed
from activity_audit.warehouse import extensions
from activity_audit.warehouse.object_storage import open_storage

if TYPE_CHECKING:
    import duckdb

# What one request reads ahead: few requests for a large file, and little memory for each that is open.
_READ_AHEAD = 4 << 20
# What is sent at a time of a larger file to S3, and in how many requests: fsspec would hold half a gigabyte.
_PARTS = {"chunksize": 8 << 20, "max_concurrency": 4}
_PATTERN = re.compile(r"[*?\[]")


class RawStoreError(FaultError, OSError):
    """The store does not do what it is asked; the message says what, where, and what it says itself."""


class ObjectStore:
    """The objects below one URL, that of `setting`. See RawStore.

    Raises:
        RawStoreError: if nothing that is installed can open such a URL, or the store fails; by all methods.
    """

    at_once = 16

    def __init__(self, url: str, setting: str = "AUDIT_RAW_PATH") -> None:
        self._url = url.rstrip("/")
        self._setting = setting

    def shown(self, name: str) -> str:
        """See RawStore."""
        return f"{self._base}/{name}"

    def is_there(self) -> bool:
        """See RawStore."""
        return True

    def exists(self, name: str) -> bool:
        """See RawStore."""
        return bool(self._asking(name, lambda: self._exists(self._at(name))))

    def missing(self, names: Collection[str]) -> list[str]:
        """See RawStore."""
        with ThreadPoolExecutor(self.at_once) as pool:
            return [name for name, is_there in zip(names, pool.map(self.exists, names), strict=True) if not is_there]

    def size(self, name: str) -> int:
        """See RawStore."""
        return int(self._asking(name, lambda: self._fresh.info(self._at(name))["size"]))

    def open(self, name: str) -> BinaryIO:
        """See RawStore."""
        file = self._asking(name, lambda: self._fresh.open(self._at(name), "rb", block_size=_READ_AHEAD))
        return cast("BinaryIO", _Stream(file, lambda question: self._asking(name, question)))

    def matching(self, pattern: str) -> list[str]:
        """See RawStore."""
        parts = pattern.split("/")
        folder = "/".join(itertools.takewhile(lambda part: not _PATTERN.search(part), parts[:-1]))
        fits = [re.compile(translate(part)) for part in parts]
        return [name for name in self._find(folder) if _fit(fits, name.split("/"))]

    def files(self, is_beside: Callable[[str], bool], days: Collection[str] | None) -> Iterator[str]:
        """See RawStore."""
        folders = [""] if days is None else [f"{feed}/{day}" for feed in self.folders() for day in sorted(days)]
        for folder in folders:
            for name in self._find(folder):
                parts = name.split("/")
                if not is_beside(parts[0]) and not any(part.startswith(".") for part in parts):
                    yield name

    def sizes(self) -> dict[str, int]:
        """See RawStore."""
        found = self._found("")
        return {name: size for name, size in found.items() if not any(part.startswith(".") for part in name.split("/"))}

    def folders(self, name: str = "") -> list[str]:
        """See RawStore."""
        return [own for own, is_folder in self._children(name) if is_folder]

    def names_in(self, folder: str) -> list[str]:
        """See RawStore."""
        return [f"{folder}/{own}" for own, is_folder in self._children(folder) if not is_folder]

    def copy(self, name: str, target: Path) -> None:
        """See RawStore."""
        self._asking(name, lambda: self._files.get_file(self._at(name), str(target)))

    @contextmanager
    def writing(self) -> Iterator[ObjectStore]:
        """See RawStore."""
        yield self

    def publish(self, files: Sequence[Unnamed]) -> list[bool]:
        """See Writer. What a store says it has, it keeps."""
        with ThreadPoolExecutor(self.at_once) as pool:
            return list(pool.map(lambda file: self._put(*file), files))

    def settle(self, names: Collection[str]) -> None:
        """See Writer. A name is as safe as the content."""

    def delete(self, names: Collection[str]) -> None:
        """See RawStore."""
        with ThreadPoolExecutor(self.at_once) as pool:
            list(pool.map(self._delete, names))

    def remove_empty_folders(self, names: Collection[str]) -> None:
        """See RawStore. There are none without a file."""

    def let_read(self, connection: duckdb.DuckDBPyConnection) -> None:
        """See RawStore."""
        if self._is_s3:
            extensions.load(connection, ("httpfs",))
            open_storage(connection, self.shown(""))
        elif not set(schemes(self._files)).intersection(connection.list_filesystems()):
            connection.register_filesystem(self._files)

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            return open_url(self._url, self._setting)
        except ObjectUrlError as error:
            raise RawStoreError(str(error)) from None

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _fresh(self) -> Any:
        """The file system without what it remembers of listings."""
        self._files.invalidate_cache()
        return self._files

    @cached_property
    def _base(self) -> str:
        files, root = self._opened
        return str(files.unstrip_protocol(root))

    @property
    def _is_s3(self) -> bool:
        return "s3" in schemes(self._files)

    def _at(self, name: str) -> str:
        return f"{self._opened[1]}/{name}"

    def _exists(self, path: str) -> bool:
        if not self._is_s3:
            return bool(self._fresh.exists(path))
        bucket, key, _ = self._files.split_path(path)
        # Of a name that is not there, fsspec would also list what is below it.
        try:
            self._files.call_s3("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            return False
        return True

    def _require_bucket(self) -> None:
        """A prefix under which there is nothing yet is fine; a bucket that does not exist is a mistake."""
        bucket, _, _ = self._files.split_path(self._opened[1])
        try:
            self._asking("", lambda: self._files.call_s3("head_bucket", Bucket=bucket))
        except FileNotFoundError:
            raise RawStoreError(f"there is no bucket {bucket}; check {self._setting}={self._url!r}") from None

    def _find(self, folder: str) -> list[str]:
        """Every file below a folder, by name, sorted; none if it is not there."""
        return sorted(self._found(folder))

    def _found(self, folder: str) -> dict[str, int]:
        """Every file below a folder with its bytes; none if it is not there."""
        root = self._at("")
        try:
            found = self._asking(folder, lambda: self._fresh.find(self._at(folder).rstrip("/"), detail=True))
        except FileNotFoundError:
            found = {}
        if not (found or folder) and self._is_s3:
            self._require_bucket()
        return {path.removeprefix(root): info["size"] for path, info in found.items() if not path.endswith("/")}

    def _children(self, folder: str) -> list[tuple[str, bool]]:
        """The names in a folder, sorted, and whether each is a folder itself; none if it is not there."""
        at = self._at(folder).rstrip("/")
        try:
            found = self._asking(folder, lambda: self._fresh.ls(at, detail=True))
        except FileNotFoundError:
            found = []
        if not (found or folder) and self._is_s3:
            self._require_bucket()
        names = ((item["name"].rstrip("/"), item["type"] == "directory") for item in found)
        return sorted((path.removeprefix(f"{at}/"), is_folder) for path, is_folder in names if path != at)

    def _put(self, temporary: Path, name: str) -> bool:
        def put() -> bool:
            target = self._at(name)
            try:
                self._files.put_file(str(temporary), target, mode="create", **(_PARTS if self._is_s3 else {}))
            except FileExistsError:
                return False
            except (NotImplementedError, ValueError):
                # A store that cannot decide it is asked first.
                if self._fresh.exists(target):
                    return False
                self._files.put_file(str(temporary), target)
            return True

        try:
            is_new = bool(self._asking(name, put))
        except FileNotFoundError as error:
            # There is no such bucket.
            raise self._failed(name, error) from None
        temporary.unlink()
        return is_new

    def _delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._asking(name, lambda: self._files.rm_file(self._at(name)))

    def _asking(self, name: str, question: Callable[[], Any]) -> Any:
        """The answer of the store; what went wrong is one kind of error for every store."""
        try:
            return question()
        except (FileNotFoundError, RawStoreError):
            raise
        # Which errors a store raises is its own affair.
        except Exception as error:
            raise self._failed(name, error) from None

    def _failed(self, name: str, error: Exception) -> RawStoreError:
        return RawStoreError(
            f"{without_secrets(self.shown(name))} cannot be read or written: {reason(error)}; check {self._setting}, "
            "the store, and the credentials of the store's own environment (for S3: AWS_ACCESS_KEY_ID and the like)"
        )


class _Stream(io.RawIOBase):
    """An open object, whose errors are those of its store."""

    def __init__(self, file: Any, asking: Callable[[Callable[[], Any]], Any]) -> None:
        super().__init__()
        self._file = file
        self._asking = asking

    def readable(self) -> bool:
        """See io.IOBase."""
        return True

    def seekable(self) -> bool:
        """See io.IOBase."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """See io.IOBase."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """See io.IOBase."""
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase."""
        data = self._asking(lambda: self._file.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """See io.IOBase."""
        self._file.close()
        super().close()


def _fit(patterns: Sequence[re.Pattern[str]], parts: Sequence[str]) -> bool:
    fits = zip(patterns, parts, strict=False)
    return len(patterns) == len(parts) and all(pattern.match(part) for pattern, part in fits)
