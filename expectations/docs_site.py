"""The data docs' files: one folder per run, the front page, and what is removed when it is too old.

    index.html                        the runs that are kept, newest first
    expectations/<suite>.html         what the suite expects and why
    validations/<run>/<suite>.html    one suite's results in one run; <suite>.json is its line on the front page

A run's folder is all there is to it, so a run costs the same however many are kept, up to reading their
summaries. Every file is replaced in one step, and the front page never links to a page that is not there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from expectations.docs_index import SuiteSummary, index_page


class DocsSite:
    """The site below `root`. One process at a time may write it; readers need no lock."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._validations = root / "validations"

    @staticmethod
    def page_of(run_id: str, suite: str) -> str:
        """The page of a suite's results in a run, relative to the site's root."""
        return f"validations/{_folder_name(run_id)}/{suite}.html"

    def write_suite_page(self, suite: str, page: str) -> None:
        """Put up the page that says what a suite expects."""
        _write(self._root / "expectations" / f"{suite}.html", page)

    def write_result_page(self, summary: SuiteSummary, page: str) -> None:
        """Put up the page of a suite's results in a run."""
        path = self._root / summary.page
        _write(path, page)
        _write(path.with_suffix(".json"), json.dumps(asdict(summary)))

    def publish(self, run_id: str, suites: Sequence[str], keep_runs: int) -> None:
        """Put up the front page with the newest `keep_runs` runs, and this one, and remove the others."""
        current = _folder_name(run_id)
        runs = {folder.name: _summaries(folder) for folder in self._validations.iterdir() if folder.is_dir()}
        complete = {name: summaries for name, summaries in runs.items() if summaries}
        newest = sorted(complete, key=lambda name: (complete[name][0].run_time, name), reverse=True)
        kept = [name for place, name in enumerate(newest) if place < keep_runs or name == current]
        _write(self._root / "index.html", index_page([complete[name] for name in kept], suites))
        for name in runs.keys() - set(kept):
            shutil.rmtree(self._validations / name)


def _folder_name(run_id: str) -> str:
    """A folder name for a run: its id where that can be one, else what is readable of it and a hash."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", run_id):
        return run_id
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", run_id).strip("-")[:60]
    return f"{readable}-{hashlib.sha256(run_id.encode()).hexdigest()[:12]}"


def _summaries(folder: Path) -> list[SuiteSummary]:
    try:
        return [SuiteSummary(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]
    except (TypeError, ValueError):
        # Not in this version's form: like a run that was cut off, it is removed with the old ones.
        return []


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
