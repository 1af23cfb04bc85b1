"""The data docs' files: what a run adds, and what is removed when it is too old.

    index.html                  the runs that are kept, newest first, and the months
    expectations/<suite>.html   what the suite expects and why
    validations/<run>.html      the results of one run; of an older run, what leads to its line in the history
    validations/kept.json       the runs that have a page, as the front page shows them
    history/<YYYY-MM>.html      one line for each run of the month, with what was found
    history/<YYYY-MM>.ndjson    the same, to draw it from; lines are only added

A run costs what its month has and what is kept, not what the years before had. A link to a run's page leads
somewhere for ever. Every page is replaced in one step, and none links to a page that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from expectations.docs_index import Order, index_page, month_page, moved_page
from expectations.docs_runs import RunSummary, page_name

REVIEW = "review.html"


class DocsSite:
    """The site below `root`. One process at a time may write it; readers need no lock.

    `suites` are the titles of the suites by their names, in the order in which they are shown; `order` says whether the
    warehouse is in order.
    """

    def __init__(self, root: Path, suites: Mapping[str, str], order: Order | None = None) -> None:
        self._root = root
        self._suites = suites
        self._order = order
        self._validations = root / "validations"
        self._history = root / "history"

    @staticmethod
    def page_of(run_id: str, suite: str) -> str:
        """Where the results of a suite in a run are, relative to the site's root."""
        return f"validations/{page_name(run_id)}.html#{suite}"

    def write_suite_page(self, suite: str, page: str) -> None:
        """Put up the page that says what a suite expects."""
        _write(self._root / "expectations" / f"{suite}.html", page)

    def publish(self, run: RunSummary, page: str, keep_runs: int) -> None:
        """Put up a run's page and the front page; of the runs that have a page, the newest and this one keep it."""
        _write(self._root / run.page, page)
        self._record(run)
        # What says that all of it is there comes last.
        runs = [run, *(known for known in self._kept() if known.run_id != run.run_id)]
        newest = sorted(runs, key=lambda known: (known.run_time, known.run_id), reverse=True)
        kept = [known for place, known in enumerate(newest) if place < keep_runs or known == run]
        names = {known.name for known in kept}
        dropped = [known for known in newest if known.name not in names]
        for month in {run.month, *(known.month for known in dropped)}:
            _write(self._history / f"{month}.html", month_page(month, self._of(month), self._suites, names))
        for known in dropped:
            _write(self._root / known.page, moved_page(known))
        self._write_index(kept)
        _write(self._validations / "kept.json", json.dumps([known.as_dict() for known in kept]))

    def known(self) -> tuple[set[str], datetime]:
        """The ids of the runs that have a page, and when the newest of them started (aware)."""
        kept = self._kept()
        oldest = datetime.min.replace(tzinfo=UTC)
        return {run.run_id for run in kept}, max((datetime.fromisoformat(run.run_time) for run in kept), default=oldest)

    def unsaid(self) -> list[str]:
        """The runs that have a page and of which it is not said whether they published."""
        return [run.run_id for run in self._kept() if run.published is None]

    def settle(self, published: Collection[str]) -> None:
        """Say of those runs that these published, and that the others did not; the page of one that did not goes."""
        kept = self._kept()
        settled = [replace(run, published=run.run_id in published) for run in kept if run.published is None]
        gone = {run.run_id for run in settled if not run.published}
        for run in settled:
            self._record(run)
        left = [run for run in settled if run.published] + [run for run in kept if run.published is not None]
        newest = sorted(left, key=lambda run: (run.run_time, run.run_id), reverse=True)
        names = {run.name for run in newest}
        for month in {run.month for run in settled}:
            _write(self._history / f"{month}.html", month_page(month, self._of(month), self._suites, names))
        for run in settled:
            if run.run_id in gone:
                _write(self._root / run.page, moved_page(run))
        self._write_index(newest)
        _write(self._validations / "kept.json", json.dumps([run.as_dict() for run in newest]))

    def refresh(self) -> None:
        """Draw the front page anew, as after the auditor's page was put beside it; without any run there is none."""
        if kept := self._kept():
            self._write_index(kept)

    def _write_index(self, kept: list[RunSummary]) -> None:
        months = sorted((path.stem for path in self._history.glob("*.html")), reverse=True)
        review = REVIEW if (self._root / REVIEW).exists() else None
        _write(self._root / "index.html", index_page(kept, self._suites, months, review, self._order))

    def _kept(self) -> list[RunSummary]:
        path = self._validations / "kept.json"
        if not path.exists():
            return []
        try:
            return [RunSummary.from_dict(item) for item in json.loads(path.read_text(encoding="utf-8"))]
        except (KeyError, TypeError, ValueError):
            # Not in this version's form: its pages stay, and are not on the front page.
            return []

    def _record(self, run: RunSummary) -> None:
        self._history.mkdir(parents=True, exist_ok=True)
        path = self._history / f"{run.month}.ndjson"
        # A line that a crash cut off must not swallow this one; an empty line is none.
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(run.as_dict())}\n")

    def _of(self, month: str) -> list[RunSummary]:
        """The runs of a month, newest first; of a run that is there twice, what came last."""
        runs: dict[str, RunSummary] = {}
        for line in (self._history / f"{month}.ndjson").read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                run = RunSummary.from_dict(json.loads(line))
            except (KeyError, TypeError, ValueError):
                continue
            runs[run.run_id] = run
        return sorted(runs.values(), key=lambda run: (run.run_time, run.run_id), reverse=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
