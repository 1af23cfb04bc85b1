"""The files of the data docs: adds runs, and removes the pages of old ones.

    index.html                  the verdicts, the runs that have a page, newest first, and the months
    expectations/<suite>.html   what the suite expects and why
    validations/<run>.html      the results of one run; of an older run, what leads to its line in the history
    validations/kept.json       the runs that have a page, and when they started
    history/<YYYY-MM>.html      one line for each run of the month, with what was found

All of it is drawn from the warehouse, by `publish/data_docs.py`. A run costs what its month has and what is kept, not
what the years before had. A link to a run's page leads somewhere for ever. Every page is replaced in one step, and none
links to a page that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from activity_audit.base.files import rewrite
from expectations.docs_index import Order, RunSummary, index_page, month_page, moved_page, page_name

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
        self._kept = root / "validations" / "kept.json"
        self._history = root / "history"

    @staticmethod
    def page_of(run_id: str, suite: str) -> str:
        """Where the results of a suite in a run are, relative to the site's root."""
        return f"validations/{page_name(run_id)}.html#{suite}"

    def known(self) -> dict[str, datetime]:
        """The runs that have a page, each with when it started (aware); none if that cannot be read any more."""
        if not self._kept.exists():
            return {}
        try:
            runs = json.loads(self._kept.read_text(encoding="utf-8"))
            return {run["run_id"]: datetime.fromisoformat(run["run_time"]) for run in runs}
        except (KeyError, TypeError, ValueError):
            return {}

    def write_suite_page(self, suite: str, page: str) -> None:
        """Put up the page that says what a suite expects."""
        _write(self._root / "expectations" / f"{suite}.html", page)

    def write_run(self, run: RunSummary, page: str) -> None:
        """Put up the page of a run; the pages that lead to it are those of `put_up`."""
        _write(self._root / run.page, page)

    def put_up(
        self, kept: Sequence[RunSummary], dropped: Mapping[str, datetime], months: Mapping[str, Collection[RunSummary]]
    ) -> None:
        """Put up the front page and these months' history, each run newest first.

        `kept` have a page, `dropped` have one no longer; these are by id, each with when it started (aware).
        """
        if not kept and not dropped:
            return
        names = {run.name for run in kept}
        for month, runs in months.items():
            _write(self._history / f"{month}.html", month_page(month, runs, self._suites, names))
        for run_id, started in dropped.items():
            _write(self._root / "validations" / f"{page_name(run_id)}.html", moved_page(run_id, started))
        shown = sorted((path.stem for path in self._history.glob("*.html")), reverse=True)
        review = REVIEW if (self._root / REVIEW).exists() else None
        _write(self._root / "index.html", index_page(kept, self._suites, shown, review, self._order))
        # What says that all of it is there comes last.
        _write(self._kept, json.dumps([{"run_id": run.run_id, "run_time": run.run_time.isoformat()} for run in kept]))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rewrite(path, text)
