"""Whether the warehouse is in order: every door says the same of one home."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from activity_audit.base.hours import floor_hour, iso, now_utc
from activity_audit.pipeline import run as pipeline
from activity_audit.pipeline.replay import replay
from activity_audit.pipeline.run import ChecksFailedError
from activity_audit.pipeline.status import status
from activity_audit.raw.index import INDEX_NAME
from activity_audit.report.access.access import Access
from activity_audit.report.auditors.collect import collect
from activity_audit.report.auditors.verdicts import verdicts
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.report.web.app import build_app
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse.lake import NothingPublishedError
from activity_audit.warehouse.verdicts import WORDS, Level
from tests.integration.support import HOUR, audit, begin, deliver, event, lines, run

AREAS = ("Freshness", "Completeness", "Checks", "Quarantine", "Catalogue drift")
_ROW = re.compile(r'<th scope="row">([\w ]+)</th><td><span class="(?:badge|level) (\w+)">([\w ]+)</span>')


def _newest() -> int:
    """The feed hour that ended last, counted from HOUR."""
    return int((floor_hour(now_utc()) - HOUR) / timedelta(hours=1)) - 1


def _at(hour: int, **fields: str) -> dict:  # type: ignore[type-arg]
    return event(f"e{hour}", eventTime=iso(HOUR + timedelta(hours=hour, minutes=15)), **fields)


def _fresh(settings: Settings, **fields: str) -> None:
    hour = _newest()
    begin(settings, _at(hour, **fields), hour=hour)


def _stale(settings: Settings) -> None:
    begin(settings)


def _missing(settings: Settings) -> None:
    hour = _newest()
    deliver(settings, lines([_at(hour)]), hour=hour)
    run(settings, hour - 1, 2)


def _quarantine(settings: Settings) -> None:
    _fresh(settings, outcome="perhaps")


def _replayed(settings: Settings) -> None:
    """A replay judges what was in quarantine, and not what the sources sent."""
    hour = _newest()
    later = iso(now_utc() + timedelta(days=1))
    deliver(settings, lines([_at(hour), event("early", eventTime=later), "junk"]), hour=hour)
    run(settings, hour)
    assert replay(settings.model_copy(update={"future_tolerance": timedelta(days=2)}), str(uuid4())).accepted == 1


def _unknown(settings: Settings) -> None:
    _fresh(settings)
    _leave_a_gap(settings, _newest() - 3)


def _stale_and_unknown(settings: Settings) -> None:
    _stale(settings)
    _leave_a_gap(settings, -3)


def _leave_a_gap(settings: Settings, earlier: int) -> None:
    """No run looks at the hours between this one and what is published."""
    deliver(settings, lines([_at(earlier)]), hour=earlier)
    run(settings, earlier)


def _blocked(settings: Settings) -> None:
    _fresh(settings)
    hour = _newest()
    deliver(settings, lines([_at(hour) | {"eventId": "more"}]), name="b.ndjson", hour=hour)
    begin = HOUR + timedelta(hours=hour)
    pipeline.land_feeds(settings, ["search"], (begin, begin + timedelta(hours=1)))
    with sqlite3.connect(settings.raw_dir / INDEX_NAME) as index:
        index.execute("update delivery set records = records + 1 where name = 'b.ndjson'")
    with pytest.raises(ChecksFailedError):
        run(settings, hour)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(_fresh, ["good", "good", "good", "good", "good"], marks=pytest.mark.slow),
        pytest.param(_stale, ["bad", "good", "good", "good", "good"], marks=pytest.mark.slow),
        (_stale_and_unknown, ["bad", "unknown", "good", "good", "good"]),
        (_missing, ["good", "bad", "bad", "good", "good"]),
        pytest.param(_unknown, ["good", "unknown", "good", "good", "good"], marks=pytest.mark.slow),
        pytest.param(_quarantine, ["good", "good", "bad", "look", "good"], marks=pytest.mark.slow),
        pytest.param(_replayed, ["good", "good", "bad", "look", "good"], marks=pytest.mark.slow),
        (_blocked, ["good", "good", "bad", "good", "good"]),
    ],
)
def test_every_door_says_the_same(tmp_path, make: Callable[[Settings], None], said: list[Level]) -> None:  # type: ignore[no-untyped-def]
    settings = load_settings(home=tmp_path / "home", applications="search")
    make(settings)
    expected = dict(zip(AREAS, said, strict=True))

    report = status(settings)
    assert {one["area"]: one["level"] for one in report["verdicts"]} == expected
    assert report["level"] == max(said, key=list(WORDS).index)

    page = _quality_page(settings)
    assert _shown(page) == expected
    assert f'<p class="trust {report["level"]}" id="trust">' in page

    of_period = {one.area: one.level for one in verdicts(collect(settings, check_integrity=False))}
    assert {area: of_period[area] for area in AREAS} == expected

    assert _shown((settings.docs_dir / "index.html").read_text()) == expected


def _quality_page(settings: Settings) -> str:
    """The page as the report's application gives it to somebody who is signed in by its link."""
    access, warehouse = Access(settings.report, "http://127.0.0.1"), Warehouse(settings)
    app = build_app(settings, warehouse, access)

    async def get() -> str:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=access.base_url, follow_redirects=True) as reader:
            await reader.get("/open", params={"token": access.tokens.give()})
            return (await reader.get("/quality")).text

    try:
        return asyncio.run(get())
    finally:
        app.state.exports.close()
        warehouse.close()


def _shown(page: str) -> dict[str, str]:
    found = _ROW.findall(page)
    assert all(WORDS[level] == words for _, level, words in found)
    return {area: level for area, level, _ in found}


def test_every_door_says_that_nothing_is_published_yet(tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings = load_settings(home=tmp_path / "home")
    for ask in (status, collect):
        with pytest.raises(NothingPublishedError):
            ask(settings)
    assert "published" in _quality_page(settings)
    assert "published" in audit(settings, "status", check=False).stderr
    assert not (settings.docs_dir / "index.html").exists()
