"""The hashes of raw files: what `raw_sha256` of a delivery is, and how files are hashed in parallel."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

# What stands for the hash of a file that was gone already when its batch was adopted.
ABSENT = "absent"
_THREADS = 2
# Of all threads together.
_FILES_AT_A_TIME = 64


# What opens a file by its path, or by its name in a store.
Open = Callable[[Any], Any]


def _opened(path: Path) -> BufferedReader:
    return path.open("rb")


def file_sha256(path: Any, opened: Open = _opened) -> str | None:
    """The SHA-256 of a file's bytes, as `sha256sum` gives it; None where there is no such file.

    Raises:
        OSError: if it is there and cannot be read.
    """
    try:
        with opened(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def each_sha256(paths: Iterable[Any], opened: Open = _opened, at_once: int = _THREADS) -> Iterator[str | None]:
    """The hash of each of these files, in their order, several read at a time.

    Raises:
        OSError: if one is there and cannot be read.
    """
    for found in each_sha256_or_error(paths, opened, at_once):
        if isinstance(found, OSError):
            raise found
        yield found


def each_sha256_or_error(
    paths: Iterable[Any], opened: Open = _opened, at_once: int = _THREADS
) -> Iterator[str | OSError | None]:
    """The same, but for a file that cannot be read why it cannot."""
    begun: deque[Future[list[str | OSError | None]]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        for batch in _batches(paths, at_once):
            begun.append(pool.submit(lambda batch: [_sha256_or_error(path, opened) for path in batch], batch))
            # `pool.map` would take all paths at once, however many there are.
            if len(begun) > 2 * at_once:
                yield from begun.popleft().result()
        for done in begun:
            yield from done.result()


def _batches(paths: Iterable[Any], at_once: int) -> Iterator[list[Any]]:
    """A few files for each turn of a thread: to take turns for each takes as long as to hash a small one."""
    left = iter(paths)
    while batch := list(islice(left, _FILES_AT_A_TIME // at_once)):
        yield batch


def _sha256_or_error(path: Any, opened: Open) -> str | OSError | None:
    try:
        return file_sha256(path, opened)
    except OSError as error:
        return error
