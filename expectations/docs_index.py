"""The data docs' own pages: the front page, and the history of each month.

No Great Expectations in here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template

from expectations.docs_runs import RunSummary, month_of, page_name, started_text

TEMPLATES_DIR = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Order:
    """Whether the warehouse was in order when it was looked at (UTC): the level, words and answer of each area."""

    looked_at: datetime
    verdicts: Sequence[tuple[str, str, str, str]]


def index_page(
    runs: Sequence[RunSummary],
    suites: Mapping[str, str],
    months: Sequence[str],
    review: str | None,
    order: Order | None,
) -> str:
    """The front page.

    Args:
        runs: those that have a page, newest first.
        suites: the title of each suite, by its name.
        months: those that have a history, as `YYYY-MM`, newest first.
        review: the auditor's page, relative to the site's root, if there is one.
        order: whether the warehouse is in order, if that is known.
    """
    return _template("audit_index.html").render(runs=runs, suites=suites, months=months, review=review, order=order)


def month_page(month: str, runs: Collection[RunSummary], suites: Mapping[str, str], kept: Collection[str]) -> str:
    """The history of a month, one row for each run, newest first; `kept` are the names of those that have a page."""
    return _template("audit_month.html").render(month=month, runs=runs, suites=suites, kept=kept)


def moved_page(run_id: str, started: datetime) -> str:
    """What stands in the place of a page that is not kept any more, and leads to the run's line in the history."""
    target = f"../history/{month_of(started)}.html#{page_name(run_id)}"
    return _template("audit_moved.html").render(started=started_text(started), target=target)


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES_DIR), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)
