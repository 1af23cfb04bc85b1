"""The API source against a real server that fails in every way: what is read again, and what ends it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from activity_audit.base.delivery_limits import DeliveryError
from activity_audit.base.hours import HOUR as ONE_HOUR
from activity_audit.ingest.cxone.answers import TransientError
from activity_audit.ingest.cxone.client import Client
from activity_audit.ingest.sources.source import SourceError, SourceRefusedError
from tests.integration.cxone_events import api_event, simulated
from tests.integration.cxone_server import CLIENT_ID, CLIENT_SECRET, KEY_SECRET, PASSING, Api, serving
from tests.integration.cxone_support import FIRST, SEALED, Home, texts
from tests.integration.support import HOUR

# Three pages of 50, 50 and 28.
PER_FEED = 8
PAGES = 3


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(Api(events=simulated(HOUR, 1, PER_FEED))) as running:
        yield running


@pytest.fixture
def patch(settings: object, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An empty home without settings of its own."""
    return monkeypatch


@pytest.mark.parametrize("fault", [*PASSING, "slow"])
@pytest.mark.parametrize("page", [0, PAGES - 1])
def test_what_fails_for_the_moment_is_asked_for_again(
    api: Api, patch: pytest.MonkeyPatch, fault: str, page: int
) -> None:
    home = Home(api, patch, CXONE_TIMEOUT="0.2s" if fault == "slow" else "5s")
    api.script = [""] * page + [fault]
    assert home.read() == texts(api)
    assert len(api.requests) == PAGES + 1
    assert len(set(api.requests)) == PAGES


@pytest.mark.parametrize("fault", ["429", "500", "drop", "reset", "truncated", "nested"])
def test_a_token_is_asked_for_again_too(api: Api, patch: pytest.MonkeyPatch, fault: str) -> None:
    api.token_script = [fault, fault]
    home = Home(api, patch)
    assert home.read() == texts(api)
    assert api.token_requests == 3


def test_a_token_is_used_until_it_nearly_expires(api: Api, patch: pytest.MonkeyPatch) -> None:
    Home(api, patch).read()
    assert api.token_requests == 1


def test_a_token_is_renewed_before_it_expires(api: Api, patch: pytest.MonkeyPatch) -> None:
    api.token_life = 0
    Home(api, patch).read()
    assert api.token_requests == PAGES
    assert 401 not in api.statuses


@pytest.mark.parametrize("place", ["header", "body"])
def test_an_oauth_client(api: Api, patch: pytest.MonkeyPatch, place: str) -> None:
    home = Home(
        api,
        patch,
        CXONE_TOKEN_URL=f"{api.url}/oauth/{place}",
        CXONE_ACCESS_KEY_ID="",
        CXONE_ACCESS_KEY_SECRET="",
        CXONE_OAUTH_CLIENT_ID=CLIENT_ID,
        CXONE_OAUTH_CLIENT_SECRET=CLIENT_SECRET,
        CXONE_OAUTH_SECRET_IN=place,
        CXONE_OAUTH_SCOPE="audit",
    )
    assert home.read() == texts(api)


def test_the_api_is_looked_up(api: Api, patch: pytest.MonkeyPatch) -> None:
    api.base_path = "/v1"
    lookup = {"CXONE_API_URL": "", "CXONE_DISCOVERY_URL": f"{api.url}/.well-known/cxone-configuration"}
    home = Home(api, patch, **lookup, CXONE_TENANT_ID="tenant-1")
    assert home.read() == texts(api)
    (offer,) = home.source(SEALED).list(["search"], FIRST).offers
    assert offer.uri == "cxone://tenant-1/activity/audit?From=2026-05-01T10:00:00Z&To=2026-05-01T11:00:00Z#search"
    with pytest.raises(SourceRefusedError, match=r"names no API.*check CXONE_TENANT_ID"):
        Home(api, patch, **lookup, CXONE_TENANT_ID="no one").read()


@pytest.mark.parametrize("paging", ["absolute", "relative", "query", "ref"])
@pytest.mark.parametrize("form", ["plain", "pretty", "base path", "path"])
def test_every_form_of_paging(api: Api, patch: pytest.MonkeyPatch, paging: str, form: str) -> None:
    api.paging, api.pretty = paging, form == "pretty"
    api.base_path = "/gateway/v2" if form == "base path" else ""
    api.audit_path = "/reporting/audit" if form == "path" else "/activity/audit"
    home = Home(api, patch, CXONE_AUDIT_PATH=api.audit_path)
    assert home.read() == texts(api)
    assert len(api.requests) == PAGES


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        ("%Y-%m-%dT%H:%M:%SZ", r"[\d-]{10}T[\d:]{8}Z"),
        ("%Y-%m-%dT%H:%M:%S.000Z", r"[\d-]{10}T[\d:]{8}\.000Z"),
        ("%Y-%m-%dT%H:%M:%S", r"[\d-]{10}T[\d:]{8}"),
        ("%Y-%m-%dT%H:%M:%S.000", r"[\d-]{10}T[\d:]{8}\.000"),
        ("%Y-%m-%dT%H:%M:%S+00:00", r"[\d-]{10}T[\d:]{8}\+00:00"),
    ],
)
def test_every_form_of_time(api: Api, patch: pytest.MonkeyPatch, written: str, pattern: str) -> None:
    api.time_pattern = pattern
    home = Home(api, patch, CXONE_TIME_FORMAT=written)
    assert home.read() == texts(api)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"CXONE_TIME_FORMAT": "%d.%m.%Y %H:%M"}, r"400 From and To must be .*check CXONE_TIME_FORMAT and CXONE_PAGE"),
        ({"CXONE_PAGE_SIZE": "1001"}, r"400 Top must be at most 1000; check CXONE_TIME_FORMAT and CXONE_PAGE_SIZE"),
        ({"CXONE_AUDIT_PATH": "/audit"}, r"404 no such path; check CXONE_API_URL and CXONE_AUDIT_PATH"),
    ],
)
def test_a_refused_request_ends_at_once(
    api: Api, patch: pytest.MonkeyPatch, changes: dict[str, str], message: str
) -> None:
    home = Home(api, patch, **changes)
    with pytest.raises(SourceRefusedError, match=message) as error:
        home.land()
    assert "the activity audit of 2026-05-01T10:00Z could not be read" in str(error.value)
    assert len(api.requests) == 1
    assert home.is_empty()


def test_refused_credentials_are_sent_once(api: Api, patch: pytest.MonkeyPatch) -> None:
    home = Home(api, patch, CXONE_ACCESS_KEY_SECRET="not the secret")
    with pytest.raises(SourceRefusedError, match=r"401 wrong .*check CXONE_ACCESS_KEY_ID and CXONE_ACCESS_KEY_SECRET"):
        home.land(window=(HOUR, HOUR + 4 * ONE_HOUR))
    assert (api.token_requests, api.requests) == (1, [])
    assert home.is_empty()


def test_a_token_url_that_gives_no_tokens(api: Api, patch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceRefusedError, match="404 no such path; check CXONE_TOKEN_URL"):
        Home(api, patch, CXONE_TOKEN_URL=f"{api.url}/nowhere").land()


def test_a_token_that_the_api_does_not_take(api: Api, patch: pytest.MonkeyPatch) -> None:
    api.script = ["expired"] * 20
    with pytest.raises(SourceRefusedError, match=r"refuses the token .*check the rights of the access key"):
        Home(api, patch).read()
    assert len(api.requests) == 3


@pytest.mark.parametrize("fault", ["503", "403", "429", "drop", "no json"])
def test_an_hour_that_cannot_be_read_lands_nothing_and_stops_no_other(
    api: Api, patch: pytest.MonkeyPatch, fault: str
) -> None:
    later = HOUR + ONE_HOUR
    api.events = [*api.events, api_event("later", later)]
    home = Home(api, patch, CXONE_MAX_ATTEMPTS="3")
    # The first hour fails on its second page; which request is whose is known if one hour is read after the other.
    patch.setattr("activity_audit.ingest.cxone.source._AT_ONCE", 1)
    api.script = [""] + [fault] * 3
    aside = home.land(window=(HOUR, HOUR + 2 * ONE_HOUR)).set_aside
    assert {one.feed_hour for one in aside} == {HOUR}
    for one in aside:
        assert re.search(r"audit of 2026-05-01T10:00Z could not be read: .*after 3 attempts", one.reason)
        assert "Ref=" in one.reason
    assert {delivery.feed_hour for delivery in home.deliveries()} == {later}
    assert len(home.pages()) == 1
    # It is read when it can be.
    assert home.land(window=(HOUR, HOUR + 2 * ONE_HOUR)).set_aside == []
    assert sorted(home.records()) == texts(api)


@pytest.mark.parametrize(
    ("trap", "paging", "message"),
    [
        ("repeat", "absolute", "the page is repeated"),
        ("repeat", "ref", "the page is repeated"),
        ("loop", "relative", "lead in a circle"),
        ("foreign", "absolute", "is on another host: http://127.0.0.2"),
    ],
)
def test_pages_that_lead_nowhere_end_it(
    api: Api, patch: pytest.MonkeyPatch, trap: str, paging: str, message: str
) -> None:
    api.trap, api.paging = trap, paging
    home = Home(api, patch)
    with pytest.raises(SourceRefusedError, match=message):
        home.land()
    assert len(api.requests) <= PAGES
    assert home.is_empty()


@pytest.mark.parametrize("fault", ["429", "429 date"])
def test_it_waits_as_long_as_the_server_asks(api: Api, patch: pytest.MonkeyPatch, fault: str) -> None:
    # An HTTP date knows whole seconds only, so up to one of them is lost.
    api.script, api.retry_after = [fault], "1" if fault == "429" else "2"
    home = Home(api, patch, CXONE_MAX_WAIT="9s")
    started = time.monotonic()
    assert home.read() == texts(api)
    assert 0.9 < time.monotonic() - started < 6


def test_it_waits_no_longer_than_the_setting(api: Api, patch: pytest.MonkeyPatch) -> None:
    api.script, api.retry_after = ["429", "429"], "3600"
    started = time.monotonic()
    Home(api, patch).read()
    assert time.monotonic() - started < 5


def test_an_api_that_is_not_there(api: Api, patch: pytest.MonkeyPatch) -> None:
    home = Home(api, patch, CXONE_API_URL="http://127.0.0.1:1", CXONE_MAX_ATTEMPTS="2")
    with pytest.raises(SourceError, match=r"the API cannot be reached .*after 2 attempts"):
        home.land()


def test_what_a_server_sends_back_is_not_shown(api: Api, patch: pytest.MonkeyPatch) -> None:
    api.echo = True
    with pytest.raises(SourceRefusedError) as error:
        Home(api, patch, CXONE_AUDIT_PATH="/audit").land()
    assert "404 no such path" in str(error.value)
    assert api.tokens[0][:9] not in str(error.value)
    wrong = KEY_SECRET + "-old"
    with pytest.raises(SourceRefusedError) as error:
        Home(api, patch, CXONE_ACCESS_KEY_SECRET=wrong).land()
    assert "wrong credentials: " in str(error.value)
    assert KEY_SECRET not in str(error.value)


def test_an_error_shows_no_secret_that_came_into_it(api: Api, patch: pytest.MonkeyPatch) -> None:
    home = Home(api, patch, CXONE_MAX_ATTEMPTS="1")

    def fails(*_: object) -> None:
        raise TransientError(f"connection to {KEY_SECRET} and {quote(KEY_SECRET, safe='')} lost")

    patch.setattr(Client, "_send", fails)
    with pytest.raises(SourceError, match=r"connection to \*\*\* and \*\*\* lost"):
        home.read()


def test_no_token_is_sent_to_another_host(api: Api, patch: pytest.MonkeyPatch) -> None:
    client = Client(Home(api, patch).settings.cxone, threading.Event())
    with pytest.raises(SourceRefusedError, match="is on another host than"):
        client.get(api.url.replace("127.0.0.1", "localhost") + "/activity/audit")
    assert (api.requests, api.token_requests) == ([], 0)


def test_an_interrupted_pass_ends_soon(api: Api, patch: pytest.MonkeyPatch) -> None:
    home = Home(api, patch, CXONE_RETRY_WAIT="60s", CXONE_MAX_WAIT="60s")
    api.script = ["503"]
    source = home.source(FIRST[1] + ONE_HOUR)
    listing = source.list(["search"], FIRST)
    scratch = home.settings.home
    scratch.mkdir()
    source.prepare(listing.offers, scratch)
    reading = source._reading(HOUR)
    while not api.requests:
        time.sleep(0.01)
    started = time.monotonic()
    source.stop()
    assert time.monotonic() - started < 5
    assert isinstance(reading.exception(), SourceError)


@pytest.mark.parametrize("fault", ["bomb", "large"])
def test_an_answer_that_would_fill_the_memory_is_refused(api: Api, patch: pytest.MonkeyPatch, fault: str) -> None:
    """While it is read, and as it is decompressed; the other hours are landed."""
    home = Home(api, patch, AUDIT_MAX_DELIVERY_MEMORY=str(16 << 20))
    api.events += [api_event("later", HOUR + ONE_HOUR)]
    patch.setattr("activity_audit.ingest.cxone.source._AT_ONCE", 1)
    api.script = [fault]
    aside = home.land(window=(HOUR, HOUR + 2 * ONE_HOUR)).set_aside
    assert {one.feed_hour for one in aside} == {HOUR}
    assert all("AUDIT_MAX_DELIVERY_MEMORY" in one.sentence for one in aside)
    assert len(home.records()) == 1


def test_an_hour_of_more_records_than_fit_is_refused(api: Api, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("activity_audit.ingest.cxone.reading._FACTOR", 100)
    with pytest.raises(DeliveryError, match=r"the records of an hour.*AUDIT_MAX_DELIVERY_MEMORY"):
        Home(api, patch, AUDIT_MAX_DELIVERY_MEMORY=str(1 << 20)).read()


@pytest.mark.parametrize("fault", ["brotli", "wrong gzip"])
def test_an_answer_that_is_compressed_wrongly_is_asked_for_again(
    api: Api, patch: pytest.MonkeyPatch, fault: str
) -> None:
    api.script = [fault]
    assert Home(api, patch).read() == texts(api)


def test_an_answer_that_trickles_in_is_given_up(api: Api, patch: pytest.MonkeyPatch) -> None:
    """It is never silent for long, and would never end."""
    patch.setattr("activity_audit.ingest.cxone.bounded._PATIENCE", 2)
    api.script = ["trickle"]
    assert Home(api, patch, CXONE_TIMEOUT="0.3s").read() == texts(api)
    assert len(api.requests) == PAGES + 1


def test_half_a_character_in_an_answer_stops_no_other_hour(api: Api, patch: pytest.MonkeyPatch) -> None:
    home = Home(api, patch)
    api.events += [api_event("later", HOUR + ONE_HOUR)]
    patch.setattr("activity_audit.ingest.cxone.source._AT_ONCE", 1)
    api.script = ["half a character"]
    aside = home.land(window=(HOUR, HOUR + 2 * ONE_HOUR)).set_aside
    assert "400 \\ud800" in aside[0].sentence
    assert len(home.records()) == 1
