"""Draws a Review as one HTML file that needs nothing else: no script, no other file, no network.

Every value is text that somebody else sent: Jinja escapes it, and characters that cannot be seen are shown.
"""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from activity_audit.base.catalogue import feed_title
from activity_audit.base.files import rewrite
from activity_audit.base.shown_text import visible
from activity_audit.publish import data_docs
from activity_audit.report import heat
from activity_audit.report.auditors import queries, verdicts
from activity_audit.report.auditors.collect import Review
from activity_audit.report.auditors.period import ticks
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from activity_audit.warehouse.run_lock import WarehouseBusyError, exclusive
from activity_audit.warehouse.verdicts import SIGNS, WORDS

_TEMPLATES = Path(__file__).with_name("templates")
# How many rows a table shows; the rest is a query away.
MOST = {"gaps": 200, "drift": 50, "runs": 40, "findings": 100, "samples": 100}
_LABELS, _WIDTH, _ROW, _BAR, _MOST_LABEL = 188, 930, 22, 13, 28
# Records in quarantine are underlined, and what is not due yet has no bar.
_SHAPES: dict[heat.State, heat.State] = {"quarantined": "balanced", "waiting": "none"}


def render(review: Review, docs_dir: Path, page: Path) -> str:
    """The page; its links to the data docs in `docs_dir` are relative to `page`, the file that it will be."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "n": _number, "utc": _utc, "minute": _minute, "share": verdicts.share, "duration": _duration,
        "breakable": _breakable, "feed": feed_title,
    }  # fmt: skip
    style = environment.get_template("review.css").render(period=Markup(review.scope.period.text))
    return environment.get_template("review.html").render(
        style=Markup(style),
        style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        review=review,
        period=review.scope.period,
        snapshot=review.snapshot,
        asked_for=review.asked_for,
        rows=review.rows,
        most=MOST,
        total=lambda column: verdicts.total(review, column),
        verdicts=verdicts.verdicts(review),
        signs=SIGNS,
        words=WORDS,
        heat=_heat(review),
        late=_late(review),
        lateness=[label for label, _ in queries.LATENESS],
        samples_per_reason=queries.SAMPLES_PER_REASON,
        sample_characters=queries.SAMPLE_CHARACTERS,
        sql={query.name: Markup(escape(query.sql.strip())) for query in review.queries},
        docs=os.path.relpath(docs_dir, page.parent).replace(os.sep, "/"),
        home=docs_dir.parent,
    )


def _shown(value: Any) -> Any:
    """What stands on the page for a value of a template."""
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _number(value: int) -> str:
    return f"{value:,}"


def _duration(value: Any) -> str:
    return verdicts.duration(value.total_seconds())


def _utc(value: datetime) -> str:
    """An aware time to the second, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _minute(value: datetime | None) -> str:
    """A time of the warehouse, plain and UTC, to the minute."""
    return f"{value:%Y-%m-%d %H:%M}" if value else ""


def _breakable(name: str) -> Markup:
    """A name of ours, which a narrow column may break behind an underscore."""
    return Markup("_<wbr>").join(map(escape, name.split("_")))


def _heat(review: Review) -> dict[str, Any]:
    """The heat map's geometry, in units of its viewBox."""
    period = review.scope.period
    slots = period.slots
    column = _WIDTH / len(slots)
    drawn = []
    in_order = [slot.replace(tzinfo=None) for slot in slots]
    cells = [heat.Cell(**cell) for cell in review.rows["cells"]]
    for index, row in enumerate(heat.rows(period.unit, in_order, cells, review.covered, review.feeds)):
        top = 24 + index * _ROW
        bars = [
            {
                "state": state,
                "x": _units(_LABELS + start * column),
                "width": _units((end - start) * column),
                "title": _title(row.feed, state, slots[start:end], period.unit),
            }
            for state, start, end in heat.merged(_SHAPES.get(mark.state, mark.state) for mark in row.marks)
            if state != "none"
        ]
        marks = " ".join(
            f"M{_units(_LABELS + start * column)} {top + _BAR + 3}h{_units((end - start) * column)}"
            for is_refused, start, end in heat.merged(mark.is_refused for mark in row.marks)
            if is_refused
        )
        drawn.append({"feed": _short(feed_title(row.feed)), "top": top, "bars": bars, "marks": marks})
    return {
        "width": _units(_LABELS + column * len(slots) + 2),
        "height": 24 + _ROW * len(drawn) + 4,
        "left": _LABELS,
        "right": _units(_LABELS + column * len(slots)),
        "bar": _BAR,
        "rows": drawn,
        "ticks": [{"x": _units(_LABELS + tick.column * column), "label": tick.label} for tick in ticks(period)],
    }


def _title(feed: str, state: heat.State, slots: list[datetime], unit: str) -> str:
    form = "%Y-%m-%d %H:%M" if unit == "hour" else "%Y-%m-%d"
    last = "" if len(slots) == 1 else f" to {slots[-1]:{form}}"
    return f"{feed_title(feed)}, {slots[0]:{form}}{last} ({verdicts.count(len(slots), unit)}): {state}"


def _short(title: str) -> str:
    """A feed's name where there is little room; its slug, behind the name, is left out first."""
    name = title.partition(" (")[0]
    return name if len(name) <= _MOST_LABEL else f"{name[: _MOST_LABEL - 1]}…"


def _units(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _late(review: Review) -> list[dict[str, Any]]:
    """A row for each feed with late events: how many in each bucket, in all, and the latest of them."""
    feeds: dict[str, dict[str, Any]] = {}
    for row in review.rows["late"]:
        feed = feeds.setdefault(row["feed"], {"feed": row["feed"], "buckets": {}, "latest": row["latest"]})
        feed["buckets"][row["bucket"]] = row["events"]
        feed["latest"] = max(feed["latest"], row["latest"])
    return list(feeds.values())


def write(review: Review, settings: Settings, target: Path) -> None:
    """Write the page of a review to `target`; the folder of the data docs is made, any other must be there.

    Raises:
        OSError: if it cannot be written.
    """
    page = render(review, settings.docs_dir, target)
    if target != settings.review_file:
        rewrite(target, page)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    rewrite(target, page)
    _link(settings)


def _link(settings: Settings) -> None:
    """Have the data docs lead to the page, and put up the runs that they lack; a run that is under way does it itself.

    What the docs lack is no fault of the page's, so that docs that cannot be written are left as they are.
    """
    with (
        suppress(WarehouseBusyError),
        exclusive(settings, patience=timedelta(0)),
        lake.reader(settings) as connection,
    ):
        data_docs.complete(connection, settings, lambda _: None)
