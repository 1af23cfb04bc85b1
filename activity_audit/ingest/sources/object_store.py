"""The objects of a bucket, or of any fsspec URL, that feeds come from.

Everything that depends on the kind of store is here: how it is opened, how a range of its names is listed, and what
tells one version of an object from another.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from activity_audit.base.masking import without_secrets
from activity_audit.base.object_urls import ObjectUrlError, open_url, reason, schemes
from activity_audit.ingest.sources.object_stream import ObjectStream, token_of
from activity_audit.ingest.sources.source import SourceError

# What one request reads ahead: few requests for a large object, and little memory for each that is open.
_READ_AHEAD = 16 << 20


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it: where it is, and its version.

    `path` is relative to the folder that was listed; `token` differs between any two contents; `size` is in bytes,
    -1 where the store does not say.
    """

    path: str
    location: str
    uri: str
    token: str
    size: int


class ObjectStore:
    """The objects below one URL. Its methods may be called from several threads.

    Raises:
        SourceError: if nothing that is installed can open such a URL; the message says what to install.
    """

    def __init__(self, url: str) -> None:
        try:
            self._files, self.root = open_url(url, "AUDIT_FEED_URL")
        except ObjectUrlError as error:
            raise SourceError(str(error)) from None
        self.url = url
        self._is_s3 = "s3" in schemes(self._files)

    def refresh(self) -> None:
        """Forget what was listed before; fsspec keeps listings for the life of the process, which is long."""
        self._files.invalidate_cache()

    def children(self, folder: str) -> list[tuple[str, bool]]:
        """The names directly in a folder, sorted, and whether each is a folder itself.

        Raises:
            SourceError: if the folder cannot be listed, or there is no such bucket.
        """
        try:
            found = self._files.ls(folder, detail=True)
        except FileNotFoundError:
            self._check_bucket()
            return []
        # Which errors a store raises is its own affair.
        except Exception as error:
            raise self._cannot_list(error) from None
        names: dict[str, bool] = {}
        for item in found:
            if not _is_marker(item, folder):
                name = item["name"].rstrip("/").rsplit("/", 1)[-1]
                # A bucket may have an object of the same name as a folder.
                names[name] = names.get(name, False) or item["type"] == "directory"
        return sorted(names.items())

    def objects(self, folder: str, first: str, end: str) -> Iterator[StoredObject]:
        """The objects below a folder whose paths in it sort in [`first`, `end`), in that order or folder by folder.

        It costs one request for each thousand objects where the store lists them by name, as S3 does, and else
        one for each folder.

        Raises:
            SourceError: if they cannot be listed.
        """
        try:
            for item in self._s3_items(folder, first, end) if self._is_s3 else self._items(folder, first, end):
                path = item["name"][len(folder) + 1 :]
                if item["type"] == "file" and first <= path < end and not path.endswith("/"):
                    yield self._object(path, item)
        except SourceError:
            raise
        except FileNotFoundError:
            self._check_bucket()
        except Exception as error:
            raise self._cannot_list(error) from None

    def open(self, location: str, token: str) -> BinaryIO:
        """The bytes of an object in the version that was listed under `token`.

        Raises:
            FileNotFoundError: if it is gone, or is another version by now; likewise while it is read.
            OSError: if it cannot be read, and likewise while it is read.
        """

        def current_token() -> str:
            self.refresh()
            return token_of(self._files.info(location))

        stream = ObjectStream(lambda: self._files.open(location, "rb", block_size=_READ_AHEAD), current_token, token)
        return cast("BinaryIO", stream)

    def _s3_items(self, folder: str, first: str, end: str) -> Iterator[dict[str, Any]]:
        """A page of S3's own listing at a time: it can begin at any name, which fsspec has no word for."""
        bucket, key, _ = self._files.split_path(folder)
        base = f"{key}/" if key else ""
        request = {"Prefix": base + _common_beginning(first, end), "StartAfter": base + _just_before(first)}
        while True:
            page = self._files.call_s3("list_objects_v2", Bucket=bucket, **request)
            for item in page.get("Contents", []):
                if item["Key"] >= base + end:
                    return
                yield item | {"name": f"{bucket}/{item['Key']}", "type": "file", "size": item["Size"]}
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def _items(self, folder: str, first: str, end: str) -> Iterator[dict[str, Any]]:
        for name, is_folder in self.children(folder):
            # The folder's own name is the beginning of the names in it.
            if is_folder and first[: len(name)] <= name < end:
                yield from self._files.find(f"{folder}/{name}", detail=True).values()

    def _object(self, path: str, item: dict[str, Any]) -> StoredObject:
        size = item.get("size")
        location = item["name"]
        uri = self._files.unstrip_protocol(location)
        return StoredObject(path, location, uri, token_of(item), -1 if size is None else int(size))

    def _check_bucket(self) -> None:
        """A prefix under which there is nothing yet is fine; a bucket that does not exist is a mistake."""
        bucket = self.root.strip("/").partition("/")[0]
        try:
            self._files.ls(bucket, detail=False)
        except FileNotFoundError:
            raise SourceError(
                f"there is no bucket {bucket}, or nothing in it; check AUDIT_FEED_URL={_shown(self.url)}"
            ) from None
        except PermissionError:
            # Who may list the prefix need not be allowed to list the whole bucket.
            return
        except Exception as error:
            raise self._cannot_list(error) from None

    def _cannot_list(self, error: Exception) -> SourceError:
        return SourceError(
            f"the feeds below {_shown(self.url)} cannot be listed: {reason(error)}; check the URL, the store, "
            "and the credentials of the store's own environment (for S3: AWS_ACCESS_KEY_ID and the like)"
        )


def _just_before(path: str) -> str:
    """A path that sorts before this one with nothing of ours between, and is no folder's.

    Where a listing is to start after a folder's own name, as 2026-05-01/10, SeaweedFS leaves out what is in the folder.
    """
    return f"{path[:-1]}{chr(ord(path[-1]) - 1)}~" if path else ""


def _common_beginning(first: str, second: str) -> str:
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return "".join(character for character, _ in same)


def _is_marker(item: dict[str, Any], folder: str) -> bool:
    """Whether it is the folder itself, or an object whose name ends in a slash and stands for a folder."""
    return item["name"].strip("/") == folder.strip("/") or (item["type"] == "file" and item["name"].endswith("/"))


def _shown(url: str) -> str:
    return repr(without_secrets(url))
