"""The report against who means it harm, and who only has a damaged link: nothing fails, nothing runs, nothing leaks."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from activity_audit.report.queries.orders import FIELDS
from activity_audit.report.texts import encode
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse.events.filters import CHOICES
from tests.integration.report_support import PERIOD, browser, served
from tests.integration.support import deliver, event, lines, query, run

# What a page would run, or be broken by, if it did not take it for text.
_TAG = '"><img src=x onerror=alert(1)>'
HOSTILE = (
    _TAG, "'><script>alert(1)</script>", "</script><script>alert(1)</script>", "javascript:alert(1)", "{{ 7 * 7 }}",
    "%3Cb%3E", "a' or '1' = '1", "'; drop table x --", "~null", "~", "../../../etc/passwd", "\u202etxt.exe", "a\x00b",
)  # fmt: skip
_NAMES = ("application", "entity", "activity", "triggeredBy", "instance", "comments", "eventId")


def _place(*parts: Any) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _events() -> Iterator[dict[str, Any]]:
    for number, text in enumerate(HOSTILE):
        for name in _NAMES:
            yield event(f"e-{number}-{name}") | {name: f"{text}{number}" if name == "eventId" else text}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Events with each of the texts in each of the fields, and such a record in quarantine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_HOME", str(tmp_path_factory.mktemp("hostile") / "home"))
        settings = load_settings()
    deliver(settings, lines([*_events(), event("refused", outcome=_TAG), f"{{{_TAG}"]), name="a'\"><img src=x>.ndjson")
    run(settings)
    # A run finds again what an earlier one accepted, whatever its id is.
    deliver(settings, lines([event("a\x00b12")]), name="again.ndjson")
    run(settings)
    return settings


@pytest.fixture(scope="module")
def client(home: Settings) -> Iterator[httpx.Client]:
    """A browser of somebody who may do everything."""
    with served(home) as server, browser(server.base) as opened:
        assert opened.get(server.link).status_code == 303
        yield opened


_MOMENT = {"t": "2026-05-01T10:00:00"}
DAMAGED = (
    *(f"/?{PERIOD}&after={place}" for place in (
        _place("x", "y"), _place(None, "e"), _place(_MOMENT, 1), _place(_MOMENT, "\ud800"), _place(_MOMENT, True),
        _place({"t": "9999-12-31T23:59:59.999999"}, "e"), _place({"t": "2026-05-01T10:00:00+01:00"}, "e"), _place(),
        _place(10**30, "e"), _place({"t": 5}, "e"), "W1tb" * 5_000, "%00", "ZZZ",
    )),
    f"/rows?{PERIOD}&sort=entity&after={_place(5, _MOMENT, 'e')}",
    f"/groups?{PERIOD}&group=entity&after={_place('x', 10**40, 1, 1)}",
    f"/groups?{PERIOD}&group=entity&after={_place(chr(0xD800), 1, 1, 1)}",
    f"/quality/quarantine?after={_place('x', 'search', 'u', 1, 'd')}",
    f"/quality/quarantine?after={_place(_MOMENT, 'search', 'u', 10**30, 'd')}",
    f"/event?{PERIOD}&id=e&at=9999-12-31T23:59:59.999999",
    f"/event?{PERIOD}&id=e&at=noon",
    "/?period=last-30-days&now=0001-01-01T00:00:00Z",
    "/?period=last-hour&now=0001-01-01T02:00:00Z",
    "/?period=last-hour&now=9999-12-31T05:00:00Z",
    "/?period=from-to&from=9999-01-01&to=9999-12-30",
    "/pictures?period=from-to&from=9999-01-01&to=9999-12-31",
    "/?period=from-to&from=9998-12-31&to=9998-12-31&hour=9999-12-31T23",
    "/quality?day=0001-01-01",
    f"/?{PERIOD}&comments=a&comments=b",
    f"/?{PERIOD}&path=Chat",
    f"/?{PERIOD}&snapshot=-1",
    f"/rows?{PERIOD}&index=1e9",
    f"/values?{PERIOD}&field=comments",
)  # fmt: skip


@pytest.mark.parametrize("link", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_link_is_told_from_a_failure(client: httpx.Client, link: str) -> None:
    answer = client.get(link)
    assert answer.status_code == 400, answer.text
    assert "The link cannot be read" in answer.text or 'id="wrong-period"' in answer.text


def test_the_ends_of_the_calendar_can_be_asked_for(client: httpx.Client) -> None:
    for days in ("from=0001-01-01&to=0001-01-01", "from=0001-01-01&to=9998-12-31", "from=9998-01-01&to=9998-12-31"):
        for page in ("/", "/groups", "/pictures", "/export"):
            answer = client.get(f"{page}?period=from-to&{days}")
            assert answer.status_code == 200, (page, days)
    for page in ("/", "/pictures"):
        assert client.get(f"{page}?period=from-to&from=0001-01-01&to=0001-01-01&hour=0001-01-01T01").status_code == 200


def test_what_an_event_holds_is_text_on_every_page(client: httpx.Client) -> None:
    pages = [
        f"/?{PERIOD}", f"/rows?{PERIOD}", f"/pictures?{PERIOD}", f"/saved?{PERIOD}", "/quality", "/quality/drift",
        "/quality/quarantine", "/quality/checks",
        *(f"/groups?{PERIOD}&group={field}" for field in ("application", "entity", "triggered_by", "comments")),
        *(f"/values?{PERIOD}&field={field}" for field in ("entity", "activity", "triggered_by", "instance")),
    ]  # fmt: skip
    shown = 0
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        shown += "onerror" in answer.text
        if answer.headers["content-type"].startswith("text/html"):
            assert "<img" not in answer.text, page
            assert "<script>" not in answer.text, page
    assert shown > 10, "the pages do have it"


@pytest.mark.parametrize("field", [field for field in CHOICES if field != "outcome"])
def test_a_filter_is_a_value_and_nothing_else(client: httpx.Client, home: Settings, field: str) -> None:
    kept = Counter(value for (value,) in query(home, f"select {field} from fact_activity_event"))
    place = FIELDS.index(field)
    assert len(kept) >= len(HOSTILE)
    for value, number in kept.items():
        if number > 20 or value.startswith("e-"):
            continue
        rows = client.get(f"/rows?{PERIOD}&{urlencode({field: encode(value)})}").json()["rows"]
        assert [row[place] for row in rows] == [value] * number
        page = client.get(f"/?{PERIOD}&{urlencode({'not': f'{field}:{encode(value)}'})}")
        assert f"<strong>{kept.total() - number}</strong> events" in page.text
        assert "<img" not in page.text


def test_a_name_that_no_file_can_have_is_of_no_page(client: httpx.Client) -> None:
    for path in ("/data-docs/", "/data-docs/a/", "/static/x/", "/export/"):
        for name in ("n" * 300 + ".html", "é" * 200 + ".html", f"{'d/' * 3000}x.html"):
            assert client.get(path + name).status_code == 404, (path, len(name))


def test_no_path_leads_out(client: httpx.Client, home: Settings) -> None:
    (home.home / "secret.html").write_text("secret")
    up = ("..%2f..%2f..%2f..%2f", "....//", "%2e%2e/%2e%2e/%2e%2e/", "/etc/", "%00", "..\\..\\")
    for prefix in ("/data-docs/", "/static/x/", "/export/"):
        for path in up:
            for name in ("secret.html", "passwd", "etc/passwd", "%00.html"):
                answer = client.get(f"{prefix}{path}{name}")
                assert answer.status_code in (404, 405), (prefix, path, name)
                assert "secret" not in answer.text or "secret.html" in f"{prefix}{path}{name}"
