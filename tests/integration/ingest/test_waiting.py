"""The look for what is landed and not published goes over what changed, and forgets nothing."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import datetime, timedelta

import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR as ONE_HOUR
from activity_audit.ingest import waiting
from activity_audit.ingest.planning import plan
from activity_audit.pipeline.run import land_feeds
from activity_audit.raw.index import RawIndex
from activity_audit.settings.core import Settings
from tests.integration.support import HOUR, begin, deliver, event, lines, run

EVERY_TABLE = ("drop trigger delivery_waits", "drop table waiting", "drop table looked")


@pytest.fixture
def narrow(settings: Settings) -> Settings:
    return settings.model_copy(update={"applications": ["search"]})


def planned(settings: Settings) -> list[tuple[datetime, datetime]]:
    return plan(settings, catalogue.slugs()).ranges


def hours(first: int, end: int) -> tuple[datetime, datetime]:
    return HOUR + timedelta(hours=first), HOUR + timedelta(hours=end)


def index(settings: Settings) -> sqlite3.Connection:
    return sqlite3.connect(settings.raw_dir / "index.sqlite")


def test_a_look_goes_over_what_waits(narrow: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(narrow, lines([event("a")]))
    assert planned(narrow) == [hours(0, 1)]
    run(narrow)
    assert planned(narrow) == []
    deliver(narrow, lines([event("b")]), hour=1)
    land_feeds(narrow, ["search"], hours(1, 2))
    compared = []
    real = waiting._published

    def count(warehouse: object, part: dict[str, str]) -> set[str]:
        compared.append(len(part))
        return real(warehouse, part)  # type: ignore[arg-type]

    monkeypatch.setattr(waiting, "_published", count)
    monkeypatch.setattr(RawIndex, "deliveries", lambda *_: pytest.fail("it goes over all that is landed"))
    assert planned(narrow) == [hours(1, 2)]
    assert compared == [1]
    monkeypatch.undo()
    run(narrow, 1)
    monkeypatch.setattr(waiting, "_published", count)
    for _ in range(3):
        assert planned(narrow) == []
    # The first of these looks let it go.
    assert compared == [1, 1]


@pytest.mark.slow
def test_a_warehouse_that_was_restored_or_begun_anew_is_compared_with_everything(narrow: Settings) -> None:
    warehouse, copy = narrow.home / "warehouse", narrow.home / "copy"
    begin(narrow)
    shutil.copytree(warehouse, copy)
    deliver(narrow, lines([event("q", application="QM")]), feed="qm", hour=1)
    run(narrow, 1)
    assert planned(narrow) == []
    shutil.rmtree(warehouse)
    copy.rename(warehouse)
    # It gets more deliveries and ledger entries than it had, also of that hour, before anybody looks.
    for name in "xy":
        deliver(narrow, lines([event(name)]), f"{name}.ndjson", hour=1)
        run(narrow, 1, feeds=["search"])
    assert planned(narrow) == [hours(1, 2)]
    run(narrow, 1)
    assert planned(narrow) == []


@pytest.mark.parametrize("what", ["rows", "none"])
def test_a_home_of_an_earlier_release_is_compared_with_everything_once(narrow: Settings, what: str) -> None:
    begin(narrow)
    assert planned(narrow) == []
    with index(narrow) as connection:
        for statement in EVERY_TABLE if what == "none" else EVERY_TABLE[:1]:
            connection.execute(statement)
        if what == "rows":
            # Also where the newer release was there before, and the earlier one came back.
            connection.execute("delete from looked")
    deliver(narrow, lines([event("b")]), hour=1)
    land_feeds(narrow, ["search"], hours(1, 2))
    assert planned(narrow) == [hours(1, 2)]


def test_what_an_earlier_release_lands_waits_too(narrow: Settings) -> None:
    begin(narrow)
    assert planned(narrow) == []
    with index(narrow) as connection:
        connection.execute(
            "insert into delivery select 'other', feed, ?, name, source_uri, sha256, bytes, records, landed_at "
            "from delivery",
            [(HOUR + ONE_HOUR).isoformat().replace("+00:00", "Z")],
        )
    assert planned(narrow) == [hours(1, 2)]


def test_a_lost_index_is_compared_with_everything(narrow: Settings) -> None:
    begin(narrow)
    deliver(narrow, lines([event("b")]), hour=1)
    land_feeds(narrow, ["search"], hours(1, 2))
    assert planned(narrow) == [hours(1, 2)]
    for path in narrow.raw_dir.glob("index.sqlite*"):
        path.unlink()
    shutil.rmtree(narrow.feed_root)
    assert planned(narrow) == [hours(1, 2)]
