"""What the API source offers and lands: readings of hours, again and again until they are sealed."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR as ONE_HOUR
from activity_audit.ingest.cxone.source import CxoneSource
from activity_audit.ingest.landing import open_index
from activity_audit.ingest.planning import run_ranges
from activity_audit.ingest.set_aside import SetAsides
from activity_audit.ingest.sources.source import SourceError
from activity_audit.raw.lake import local_lake, raw_lake
from activity_audit.settings.core import Settings
from tests.integration.cxone_events import api_event
from tests.integration.cxone_server import Api, ApiEvent, serving
from tests.integration.cxone_support import FIRST, SEALED, SOON, Home, ids, metadata
from tests.integration.postgres_server import INITDB, PostgresServer
from tests.integration.support import HOUR

WINDOW = (HOUR, HOUR + 3 * ONE_HOUR)


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(Api(events=[api_event("a", HOUR), api_event("b", HOUR)])) as running:
        yield running


@pytest.fixture
def home(api: Api, settings: object, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(api, monkeypatch, CXONE_PAGE_SIZE="2")


def test_every_record_goes_to_a_feed_as_it_came(api: Api, home: Home) -> None:
    odd = {
        '{"application": "Search", "eventId": "1", "n": 1.50, "u": "\\u00e9", "new field": [1, {"a": null}]}': "search",
        '{"application":"Quality Management","eventId":"2"}': "qm",
        '{"Application":"UserHub","eventId":"3"}': "userhub",
        '{"application":"AWS CloudTrail","eventId":"4"}': "unattributed",
        '{"application":"","eventId":"5"}': "unattributed",
        '{"eventId":"6"}': "unattributed",
        '"no object"': "unattributed",
        '{"application":"Snowflake Data Share","eventId":"7"}': "data_share",
    }
    api.events = [ApiEvent(HOUR + timedelta(minutes=number), text) for number, text in enumerate(odd)]
    home.land()
    for feed in catalogue.slugs():
        assert home.records(feed) == sorted(text for text, expected in odd.items() if expected == feed)


def test_an_expected_feed_delivers_even_nothing_and_another_only_something(api: Api, home: Home) -> None:
    home.land()
    assert {delivery.feed: delivery.records for delivery in home.deliveries()} == {
        slug: 2 * (slug == "search") for slug in catalogue.report_prompt_slugs()
    }


def test_a_feed_that_is_not_expected_is_told_that_it_is_empty_again(api: Api, home: Home) -> None:
    api.events = [api_event("x", HOUR, until=SOON + ONE_HOUR, application="Unheard Of")]
    home.land(SOON)
    home.land(SOON + ONE_HOUR)
    home.land(SEALED)
    assert [delivery.records for delivery in home.deliveries("unattributed")] == [1, 0]
    assert [delivery.records for delivery in home.deliveries("search")] == [0]


def test_where_a_record_came_from(api: Api, home: Home) -> None:
    home.land(SEALED)
    (delivery,) = home.deliveries("search")
    assert delivery.name == "reading/20260503T100000.000000Z.ndjson"
    window = "From=2026-05-01T10:00:00Z&To=2026-05-01T11:00:00Z"
    assert delivery.source_uri == f"{api.url}/activity/audit?{window}#search/{delivery.name}"


def test_pages_are_kept_as_they_came(api: Api, home: Home) -> None:
    api.events += [api_event("c", HOUR)]
    api.pretty = True
    api.script = ["503"]
    home.land(SEALED)
    (path,) = home.pages()
    assert path.relative_to(home.settings.raw_dir).as_posix() == (
        "pages/cxone/2026-05-01/10/20260503T100000.000000Z.parquet"
    )
    first, second = pq.read_table(path).to_pylist()
    assert [row["page"] for row in (first, second)] == [1, 2]
    assert [row["request_url"].removeprefix(api.url).replace("%3A", ":") for row in (first, second)] == [
        request.replace("%3A", ":") for request in (api.requests[1], api.requests[2])
    ]
    assert first["status"] == 200
    records = [record for row in (first, second) for record in json.loads(row["body"])["values"]]
    assert [record["eventId"] for record in records] == ["a", "b", "c"]
    assert first["body"].count(b",\n  {") == 1
    assert metadata(path) | {"digest": ""} == {
        "feed_hour": "2026-05-01T10:00:00Z", "digest": "", "records": 3, "pages": 2
    }  # fmt: skip
    with duckdb.connect() as connection:
        shown = connection.execute(f"select decode(body) from '{path}' order by page limit 1").fetchone()
    assert shown is not None
    assert shown[0].encode() == first["body"]


def test_a_reading_that_says_the_same_adds_nothing(api: Api, home: Home) -> None:
    api.events = [api_event(name, HOUR) for name in "abcdefgh"]
    home.land(SOON)
    before = home.deliveries()
    api.shuffled, api.pretty = True, True
    requests = len(api.requests)
    assert home.land(SOON + ONE_HOUR).new == []
    assert len(api.requests) == 2 * requests
    assert home.deliveries() == before
    assert len(home.pages()) == 1


def test_what_goes_and_comes_again_is_three_readings(api: Api, home: Home) -> None:
    away = (SOON + ONE_HOUR, SOON + 2 * ONE_HOUR)
    api.events = [
        api_event("stays", HOUR),
        api_event("goes", HOUR, until=away[0]),
        api_event("goes", HOUR, since=away[1]),
        api_event("late", HOUR, since=away[0]),
    ]
    for hours in range(4):
        home.land(SOON + hours * ONE_HOUR)
    assert [delivery.records for delivery in home.deliveries("search")] == [2, 2, 3]
    assert [delivery.records for delivery in home.deliveries("qm")] == [0]
    assert len(home.pages()) == 3
    assert ids(home.records("search")) == ["goes", "goes", "late", "late", "stays", "stays", "stays"]


def test_an_hour_is_read_when_it_is_over_hourly_and_when_it_is_sealed(api: Api, home: Home) -> None:
    read_at = []
    for minutes in range(30, 60 * 6, 5):
        before = len(api.requests)
        home.land(HOUR + timedelta(minutes=minutes), WINDOW)
        read_at += [minutes - 60] * any("From=2026-05-01T10:" in request for request in api.requests[before:])
    # As soon as somebody asks, then with each run of the schedule, and not before three hours for the last time.
    assert read_at == [0, 10, 70, 130, 190]


def test_a_sealed_hour_is_never_read_again(api: Api, home: Home) -> None:
    home.land(SEALED)
    requests = len(api.requests)
    assert (home.settings.raw_dir / "pages/cxone/2026-05-01/10/sealed.json").exists()
    home.land(SEALED + 99 * ONE_HOUR)
    assert len(api.requests) == requests
    assert home.due(SEALED)[0] == HOUR + ONE_HOUR


def test_listing_asks_nobody(api: Api, home: Home) -> None:
    home.due(SEALED)
    home.source(SEALED).list(catalogue.slugs(), WINDOW)
    assert (api.requests, api.token_requests) == ([], 0)


def test_a_plain_run_begins_with_the_last_hours_and_catches_up(api: Api, home: Home) -> None:
    now = HOUR + 3 * ONE_HOUR + timedelta(minutes=20)
    first = [HOUR, HOUR + ONE_HOUR, HOUR + 2 * ONE_HOUR]
    assert home.due(now) == first
    home.land(now, WINDOW)
    assert home.due(now) == []
    # Nothing ran for ten days: every hour since is due, with those that were not sealed.
    later = home.due(now + timedelta(days=10))
    assert later == [HOUR + number * ONE_HOUR for number in range(10 * 24 + 3)]
    # An hour that was passed over remains due.
    home.land(SEALED, (HOUR + 5 * ONE_HOUR, SEALED))
    assert home.due(SEALED) == [*first, HOUR + 3 * ONE_HOUR, HOUR + 4 * ONE_HOUR]


def test_a_pass_over_some_feeds_reads_the_hour_and_does_not_seal_it(api: Api, home: Home) -> None:
    home.land(SEALED, feeds=["qm"])
    assert [delivery.feed for delivery in home.deliveries()] == ["qm"]
    home.land(SEALED)
    assert ids(home.records("search")) == ["a", "b"]
    assert len(home.deliveries("qm")) == 1
    requests = len(api.requests)
    home.land(SEALED)
    assert len(api.requests) == requests


def test_a_killed_pass_is_finished_by_the_next(api: Api, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    # Everything is landed and on record, and the hour is not noted as sealed.
    with monkeypatch.context() as patch:
        patch.setattr(CxoneSource, "_note", lambda *_: None)
        home.land(SEALED)
    requests = len(api.requests)
    home.land(SEALED)
    assert len(api.requests) == requests
    assert (home.settings.raw_dir / "pages/cxone/2026-05-01/10/sealed.json").exists()

    # Pages are kept, and nothing is landed.
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    window = (HOUR + ONE_HOUR, HOUR + 2 * ONE_HOUR)
    with monkeypatch.context() as patch:
        patch.setattr("activity_audit.ingest.landing._record", killed)
        with pytest.raises(KeyboardInterrupt):
            home.land(SEALED, window)
    assert len(home.pages()) == 2
    home.land(SEALED, window)
    assert len(home.pages()) == 2
    assert len(home.deliveries("search")) == 2
    assert list((home.settings.raw_dir / ".scratch").iterdir()) == [home.settings.raw_dir / ".scratch/lock"]


def test_what_was_lost_is_made_again_from_the_pages(api: Api, home: Home) -> None:
    home.land(SEALED, WINDOW)
    home.land(HOUR + 5 * ONE_HOUR, (HOUR + 3 * ONE_HOUR, HOUR + 5 * ONE_HOUR))
    before, due, requests = home.deliveries(), home.due(HOUR + 5 * ONE_HOUR), len(api.requests)
    assert due == []
    (home.settings.raw_dir / "pages/cxone/hours.json").unlink()
    for path in home.settings.raw_dir.glob("index.sqlite*"):
        path.unlink()
    assert home.due(HOUR + 5 * ONE_HOUR) == [HOUR + 3 * ONE_HOUR, HOUR + 4 * ONE_HOUR]
    assert home.land(HOUR + 5 * ONE_HOUR, WINDOW).new == []
    assert len(api.requests) == requests
    assert home.deliveries() == before


@pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")
def test_another_machine_goes_on_with_a_shared_raw_lake(
    api: Api, settings: Settings, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which hours were read, failed and sealed is with the raw lake, and so are the pages."""
    memory = f"memory://{tmp_path.name}/raw"
    shared = {"CXONE_PAGE_SIZE": "2", "AUDIT_RAW_PATH": memory, "AUDIT_CATALOG": postgres.new_database()}
    now = SOON + ONE_HOUR
    first = Home(api, monkeypatch, AUDIT_HOME=str(tmp_path / "first"), **shared)
    first.land(now, (HOUR, HOUR + 2 * ONE_HOUR))
    assert first.due(now) == []
    before, requests = first.deliveries(), len(api.requests)
    assert (len(before), before[0].name[:8]) == (2 * len(catalogue.report_prompt_slugs()), "reading/")
    shutil.rmtree(tmp_path / "first")

    second = Home(api, monkeypatch, AUDIT_HOME=str(tmp_path / "second"), **shared)
    assert raw_lake(second.settings).notes.read("pages/cxone/hours.json") is not None
    assert (second.due(now), second.deliveries()) == ([], before)
    assert second.land(now, (HOUR, HOUR + 2 * ONE_HOUR)).new == []
    assert len(api.requests) == requests
    # A reading with the same records as before is kept once.
    second.land(SEALED, FIRST)
    store = raw_lake(second.settings).store
    assert len(store.matching("pages/cxone/2026-05-01/10/*.parquet")) == 1
    assert store.exists("pages/cxone/2026-05-01/10/sealed.json")
    assert len(api.requests) > requests
    # The note is made again from the pages.
    with raw_lake(second.settings).index.connect() as connection:
        connection.execute("delete from note where name = 'pages/cxone/hours.json'")
    assert HOUR not in second.due(SEALED)
    assert HOUR + ONE_HOUR in second.due(SEALED)


def test_the_raw_index_does_not_take_pages_for_deliveries(api: Api, home: Home) -> None:
    home.land(SEALED)
    before = home.deliveries()
    (home.settings.raw_dir / "index.sqlite").unlink()
    assert len(open_index(local_lake(home.settings.raw_dir)).deliveries(catalogue.slugs())) == len(before)


def test_a_reading_is_compared_with_the_newest_delivery_of_its_feed_hour(api: Api, home: Home) -> None:
    """Also where what is kept of the API's pages is gone: nothing known is landed again."""
    home.land(SOON)
    shutil.rmtree(home.settings.raw_dir / "pages")
    assert home.land(SOON + ONE_HOUR).new == []
    assert len(home.pages()) == 1


def test_one_reading_serves_all_feeds(api: Api, home: Home) -> None:
    home.land(SEALED, WINDOW)
    assert len(api.requests) == 3


def test_an_hour_that_fails_is_read_once_a_pass(api: Api, home: Home) -> None:
    api.script = ["400"]
    with pytest.raises(SourceError) as error:
        home.land(SEALED)
    assert str(error.value).count("could not be read") == 1
    assert len(api.requests) == 1


def test_an_hour_that_fails_holds_up_no_other(api: Api, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activity_audit.ingest.cxone.source._AT_ONCE", 1)
    api.script = ["400"]
    now = HOUR + 3 * ONE_HOUR
    aside = home.land(now, WINDOW).set_aside
    assert {one.feed_hour for one in aside} == {HOUR}
    assert "the activity audit of 2026-05-01T10:00Z could not be read" in aside[0].reason
    # It was the first hour ever asked for, and is due again, by itself.
    listing = home.source(now).list(catalogue.slugs(), None)
    assert listing.apart == [HOUR]
    assert home.due(now) == [HOUR]
    hours = [HOUR + number * ONE_HOUR for number in range(3)]
    assert run_ranges(hours, listing.apart) == [(HOUR + ONE_HOUR, HOUR + 3 * ONE_HOUR), FIRST]
    later = now + ONE_HOUR
    report = home.land(later, (HOUR, HOUR + 4 * ONE_HOUR))
    assert {delivery.feed_hour for delivery in report.new} == {HOUR + 3 * ONE_HOUR}
    (warning,) = report.warnings
    assert "audit run --from 2026-05-01T10:00:00Z --to 2026-05-01T11:00:00Z" in warning
    # What was not tried has not become better.
    assert SetAsides(local_lake(home.settings.raw_dir)).all(["search"])
    assert ids(home.records("search")) == []
    home.land(later, FIRST)
    assert ids(home.records("search")) == ["a", "b"]
    assert home.source(later).list(catalogue.slugs(), None).apart == []
    assert SetAsides(local_lake(home.settings.raw_dir)).all(["search"]) == []


def test_an_hour_can_be_given_up_by_hand(api: Api, home: Home) -> None:
    api.script = ["400"]
    now = HOUR + 3 * ONE_HOUR
    assert home.land(now, WINDOW).set_aside
    (due,) = home.due(now)
    pages = home.settings.raw_dir / "pages/cxone"
    (pages / f"{due:%Y-%m-%d/%H}").mkdir(parents=True)
    (pages / f"{due:%Y-%m-%d/%H}" / "sealed.json").touch()
    (pages / "hours.json").unlink()
    assert home.due(now) == []
    assert home.source(now).list(catalogue.slugs(), None).apart == []


def test_an_api_that_refuses_everything_sets_no_hour_apart(api: Api, home: Home) -> None:
    api.script = ["400"] * 3
    with pytest.raises(SourceError):
        home.land(HOUR + 3 * ONE_HOUR, WINDOW)
    assert home.source(HOUR + 3 * ONE_HOUR).list(catalogue.slugs(), None).apart == []


def test_readings_that_were_cancelled_hide_no_cause(api: Api, home: Home, tmp_path: Path) -> None:
    """Something else ended the pass while hours waited to be read, and what was landed is noted all the same."""
    source = home.source(HOUR + timedelta(hours=2, minutes=10))
    offers = source.list(catalogue.slugs(), (HOUR, HOUR + 2 * ONE_HOUR)).offers
    source.prepare(offers, tmp_path)
    busy = threading.Event()
    for _ in range(2):
        source._readers.submit(busy.wait)
    waiting = source._reading(HOUR)
    threading.Timer(0.2, busy.set).start()
    source.stop()
    assert waiting.cancelled()
    source.landed([offer for offer in offers if offer.feed_hour == HOUR])
