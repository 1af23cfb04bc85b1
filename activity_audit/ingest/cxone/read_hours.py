"""Which hours were read, and which are sealed: a small file beside the pages, made again from them if it is lost."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from activity_audit.base.hours import HOUR, iso, parse_time
from activity_audit.base.whole_files import rewrite
from activity_audit.ingest.cxone.page_files import ROOT, PageFiles
from activity_audit.ingest.cxone.sealing import Span, added

_NAME = "hours.json"


@dataclass
class State:
    """Ranges of hours: those that were asked for in passes that landed something, those of them that are sealed, and
    those that failed when others did not (hour by hour).
    """

    asked: list[Span] = field(default_factory=list)
    sealed: list[Span] = field(default_factory=list)
    failed: list[Span] = field(default_factory=list)

    @property
    def failed_hours(self) -> list[datetime]:
        """The hours that failed."""
        return [start for start, _ in self.failed]


class ReadHours:
    """The file below `raw_dir`. Several processes may use it at once."""

    def __init__(self, raw_dir: Path) -> None:
        self._raw_dir = raw_dir
        self._path = raw_dir / ROOT / _NAME

    def load(self) -> State:
        """What is known; from the pages where the file is lost."""
        try:
            return _state(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return _found(PageFiles(self._raw_dir)) if self._path.parent.exists() else State()

    def mark(
        self,
        asked: Iterable[datetime],
        landed: Iterable[datetime],
        sealed: Iterable[datetime],
        failed: Iterable[datetime],
    ) -> None:
        """A pass asked for these hours, and this is what became of them; the sealed ones are landed for good."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(f".{_NAME}.lock")):
            state = self.load()
            for hour in asked:
                state.asked = added(state.asked, hour)
            for hour in sealed:
                state.sealed = added(state.sealed, hour)
            failures = (set(state.failed_hours) | set(failed)) - set(landed)
            state.failed = [(hour, hour + HOUR) for hour in sorted(failures)]
            spans = {name: [[iso(a), iso(b)] for a, b in found] for name, found in asdict(state).items()}
            rewrite(self._path, json.dumps(spans))


def _state(document: dict[str, list[list[str]]]) -> State:
    return State(
        **{name: [(parse_time(start), parse_time(end)) for start, end in spans] for name, spans in document.items()}
    )


def _found(pages: PageFiles) -> State:
    state = State()
    for hour, is_sealed in pages.hours():
        state.asked = added(state.asked, hour)
        if is_sealed:
            state.sealed = added(state.sealed, hour)
    return state
