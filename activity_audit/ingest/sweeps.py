"""When each feed of a bucket was last listed whole, kept between processes in a small file.

If the file is lost, the next look lists everything: nothing depends on it but the number of requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from activity_audit.base.hours import iso, parse_time
from activity_audit.base.whole_files import rewrite


@dataclass(frozen=True)
class Sweep:
    """When a feed was last listed whole, and the oldest feed hour in which something was left to land."""

    swept_at: datetime
    open_from: datetime | None = None


class Sweeps:
    """The sweeps of the feeds below `url`, kept in the file `path`; several processes may use it at once."""

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._url = url

    def read(self) -> dict[str, Sweep]:
        """What is known, by feed; nothing where the file is lost, damaged, or about another URL."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            if kept["url"] != self._url:
                return {}
            return {feed: _sweep(*times) for feed, times in kept["feeds"].items()}
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def update(self, found: Mapping[str, Sweep]) -> None:
        """Keep what a look found about these feeds.

        Raises:
            OSError: if the file cannot be written.
        """
        if found.items() <= self.read().items():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(f".{self._path.name}.lock")):
            feeds = {feed: _times(sweep) for feed, sweep in sorted((self.read() | dict(found)).items())}
            rewrite(self._path, json.dumps({"url": self._url, "feeds": feeds}, indent=1))


def _sweep(swept_at: str, open_from: str | None) -> Sweep:
    return Sweep(parse_time(swept_at), None if open_from is None else parse_time(open_from))


def _times(sweep: Sweep) -> tuple[str, str | None]:
    return iso(sweep.swept_at), None if sweep.open_from is None else iso(sweep.open_from)
