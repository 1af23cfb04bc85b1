"""The rules of the API source that need no server: pages, answers, secrets, sealing, settings."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR
from activity_audit.base.masking import url_without_secrets
from activity_audit.ingest.cxone.answers import Verdict, message_of, retry_after_seconds, token_verdict, verdict
from activity_audit.ingest.cxone.pages import BrokenPageError, PageError, Trail, next_url, parse_page
from activity_audit.ingest.cxone.sealing import added, due_hours, token
from activity_audit.ingest.cxone.tokens import Secrets
from activity_audit.settings.core import SettingsError, load_settings
from activity_audit.settings.cxone import CxoneSettings

URL = "https://api.example/base/activity/audit?From=a&To=b&Top=2"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LAG = timedelta(minutes=10)
SEAL = timedelta(hours=3)


def hours(*numbers: int) -> list[datetime]:
    return [NOON + number * HOUR for number in numbers]


def span(start: int, end: int) -> tuple[datetime, datetime]:
    return NOON + start * HOUR, NOON + end * HOUR


def test_records_keep_their_own_text() -> None:
    texts = [
        '{"application": "Search", "n": 1.10, "big": 123456789012345678901234567890, "u": "\\u00e9\\/"}',
        '{"eventId":"x","application":" QM "}',
        '{"Application": "WFM"}',
        '{"application": 7}',
        '{"application": " "}',
        "null",
        '"text, ] }"',
        "[1, {}]",
        '{"deep": {"values": [1], "application": "no"}}',
        '{"huge": ' + "9" * 5000 + "}",
    ]
    page = parse_page(('{"links": {}, "values" : [ ' + " ,\r\n ".join(texts) + ' ] , "more": 1}\n').encode())
    assert [record.line.decode() for record in page.records] == texts
    assert [record.application for record in page.records] == ["Search", "QM", "WFM", "7", *[None] * 6]


def test_a_record_over_several_lines_becomes_one_line() -> None:
    (record,) = parse_page(b'\xef\xbb\xbf{"values": [{\r\n  "eventId": "a\\n",\n  "n": 1\n}]}').records
    assert record.line == b'{    "eventId": "a\\n",   "n": 1 }'
    assert json.loads(record.line) == {"eventId": "a\n", "n": 1}


def test_bytes_that_are_no_utf_8_stay_as_they_are() -> None:
    (record,) = parse_page(b'{"values": [{"a": "caf\xe9"}]}').records
    assert record.line == b'{"a": "caf\xe9"}'


@pytest.mark.parametrize("body", [b'{"values": []}', b'{"values": null}', b'{"links": {"next": null}, "values": []}'])
def test_a_page_may_be_empty(body: bytes) -> None:
    page = parse_page(body)
    assert (page.records, next_url(URL, page)) == ([], None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[1]",
        b'"values"',
        b'{"values": [{"a": 1}',
        b'{"values": [{"a": 1}]',
        b'{"values": [{"a": 1} {"b": 2}]}',
        b'{"values": [1,]}',
        b'{"values": []} {"values": []}',
        b'{1: 2, "values": []}',
    ],
)
def test_what_is_cut_is_no_page(body: bytes) -> None:
    with pytest.raises(BrokenPageError):
        parse_page(body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{}", "no list named values"),
        (b'{"Message": "no"}', "no list named values"),
        (b'{"values": {"a": 1}}', "no list named values"),
        (b'{"links": {"next": {"href": "/x"}}, "values": []}', "not a text"),
        (b'{"values": [' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_whole_and_no_page(body: bytes, why: str) -> None:
    with pytest.raises(PageError, match=why):
        parse_page(body)


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ('"links": {"next": "https://api.example/other?Ref=1#x"}', "https://api.example/other?Ref=1"),
        ('"links": {"next": "https://API.example:443/other"}', "https://API.example:443/other"),
        ('"links": {"next": "/activity/audit?Ref=1"}', "https://api.example/activity/audit?Ref=1"),
        ('"links": {"next": "?Ref=1"}', "https://api.example/base/activity/audit?Ref=1"),
        ('"links": {"next": "?Ref=1"}, "Ref": "2"', "https://api.example/base/activity/audit?Ref=1"),
        ('"Ref": "a b&c"', URL + "&Ref=a%20b%26c"),
        ('"links": {"ref": "2"}', URL + "&Ref=2"),
        ('"links": {"next": " "}, "Ref": ""', None),
    ],
)
def test_the_next_page(links: str, expected: str | None) -> None:
    assert next_url(URL, parse_page(f'{{{links}, "values": []}}'.encode())) == expected


def test_a_reference_takes_the_place_of_the_last_one() -> None:
    page = parse_page(b'{"Ref": "2", "values": []}')
    assert next_url(URL + "&Ref=1", page) == URL + "&Ref=2"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/x",
        "http://api.example/x",
        "https://api.example:8443/x",
        "//evil.example/x",
        "https://api.example@evil.example/x",
        "https://user:pw@api.example/x",
        "https://api.example:x/",
        "ftp://api.example/x",
    ],
)
def test_no_link_leads_to_another_host(link: str) -> None:
    page = parse_page(json.dumps({"links": {"next": link}, "values": []}).encode())
    with pytest.raises(PageError, match="another host") as error:
        next_url(URL, page)
    assert "pw" not in str(error.value)


@pytest.mark.parametrize(
    "names",
    [
        *({"links": {"next": link}} for link in ("http://[", "//[::1", "\ud800", "?a=\udfff", "http://a\u2100b/")),
        {"Ref": "\ud800"},
    ],
)
def test_what_is_no_address_ends_the_pages(names: dict[str, object]) -> None:
    page = parse_page(json.dumps({**names, "values": []}).encode())
    with pytest.raises(PageError, match="what names its next page is not an address"):
        next_url(URL, page)


def test_circles_and_repeated_pages_end() -> None:
    trail, page = Trail(), parse_page(b'{"values": [{"a": 1}]}')
    trail.add(URL, page)
    with pytest.raises(PageError, match="circle"):
        trail.add("https://api.example/base/activity/audit?To=b&From=%61&Top=2", parse_page(b'{"values": [2]}'))
    with pytest.raises(PageError, match="repeated"):
        trail.add(URL + "&Ref=1", page)
    empty = parse_page(b'{"values": []}')
    trail.add(URL + "&Ref=2", empty)
    trail.add(URL + "&Ref=3", empty)


def test_a_chain_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trail, "_MOST_PAGES", 2)
    trail, empty = Trail(), parse_page(b'{"values": []}')
    trail.add(URL, empty)
    trail.add(URL + "&Ref=1", empty)
    with pytest.raises(PageError, match="more than 2 pages"):
        trail.add(URL + "&Ref=2", empty)


def test_what_an_answer_means() -> None:
    again = [403, 408, 425, 429, 500, 502, 503, 504]
    assert [verdict(status) for status in (200, 401)] == [Verdict.FINE, Verdict.UNAUTHORISED]
    assert {verdict(status) for status in again} == {Verdict.AGAIN}
    assert {verdict(status) for status in (204, 302, 400, 404, 405, 410, 422)} == {Verdict.REFUSED}
    assert [token_verdict(status, None) for status in (200, 400, 401, 403, 404, 302)] == [
        Verdict.FINE,
        *[Verdict.UNAUTHORISED] * 3,
        *[Verdict.REFUSED] * 2,
    ]
    assert [token_verdict(403, 1.0), token_verdict(429, None), token_verdict(500, None)] == [Verdict.AGAIN] * 3


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("Fri, 01 May 2026 12:00:30 GMT", 30.0),
        ("Fri, 01 May 2026 12:00:30 -0000", 30.0),
        ("Fri, 01 May 2026 11:00:00 GMT", 0.0),
        (None, None),
        ("soon", None),
        ("-1", None),
        ("Fri, 99 May 2026 12:00:30 GMT", None),
        ("Fri, 01 May 99999999999999999999 12:00:30 GMT", None),
        ("Fri, 01 May 2026 99999999999999999999:00:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOON) == seconds


def test_what_a_body_says() -> None:
    assert message_of(400, '{"Message": " From is wrong "}') == "400 From is wrong"
    assert message_of(400, '{"error": "invalid_client", "error_description": "no such"}') == "400 no such"
    assert [message_of(500, body) for body in ("<html>", "[]", '{"Message": 3}', "")] == ["500"] * 4
    assert len(message_of(400, json.dumps({"Message": "x" * 9000}))) < 300


def test_urls_are_shown_without_secrets() -> None:
    shown = url_without_secrets("https://u:p@api.example:8443/a?From=2026-05-01T10:00:00Z&access_token=abc&sig=x&Ref=r")
    assert shown == "https://api.example:8443/a?From=2026-05-01T10:00:00Z&access_token=***&sig=***&Ref=r"


def test_secrets_are_hidden_in_every_form() -> None:
    settings = CxoneSettings.model_validate(
        {"access_key_id": "key-id-0123456789", "access_key_secret": 'a/b"c+d=e f ghi', "token_url": "https://x"}
    )
    secrets = Secrets(settings)
    secrets.add("token-0123456789")
    secrets.add("abc")
    text = 'a/b"c+d=e f ghi a%2Fb%22c%2Bd%3De%20f%20ghi a/b\\"c+d=e f ghi token-0123456789 key-id-0123456789 abc'
    assert secrets.hidden(text) == "*** *** *** *** *** abc"
    assert secrets.hidden_in_page(text.encode()) == b"*** *** *** *** key-id-0123456789 abc"


def test_every_name_of_an_application_leads_to_its_feed() -> None:
    names = ["Search", " search ", "Quality Management", "QM (Quality Management)", "user_hub", "Admin", "STORAGE"]
    assert [catalogue.slug_of(name) for name in names] == ["search", "search", "qm", "qm", "userhub", "userhub",
                                                           "storage"]  # fmt: skip
    assert catalogue.slug_of("AWS CloudTrail") is None


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(0, "early"), (9, "early"), (10, "0"), (69, "0"), (70, "1"), (189, "2"), (190, "sealed"), (99999, "sealed")],
)
def test_the_token_changes_with_the_hourly_run(minutes: int, expected: str) -> None:
    now = NOON + HOUR + timedelta(minutes=minutes)
    assert token(now, NOON, LAG, SEAL) == expected


@pytest.mark.parametrize("seal_after", [timedelta(0), timedelta(minutes=5), SEAL, timedelta(hours=30, minutes=11)])
@pytest.mark.parametrize("lag", [timedelta(0), LAG, timedelta(minutes=90)])
def test_no_hour_is_sealed_too_early_and_each_is_in_the_end(lag: timedelta, seal_after: timedelta) -> None:
    over = NOON + HOUR
    for minutes in range(0, 35 * 60, 5):
        now = over + timedelta(minutes=minutes)
        is_sealed = token(now, NOON, lag, seal_after) == "sealed"
        assert not is_sealed or now >= over + seal_after
        assert is_sealed or now < over + lag + math.ceil(seal_after / HOUR) * HOUR


def test_hours_join_to_ranges() -> None:
    spans: list[tuple[datetime, datetime]] = []
    for number in (5, 1, 3, 2, 2, 9, 4):
        spans = added(spans, NOON + number * HOUR)
    assert spans == [span(1, 6), span(9, 10)]


def test_what_is_due() -> None:
    now = NOON + 30 * timedelta(minutes=1)
    assert list(due_hours([], [], now, SEAL)) == hours(-3, -2, -1)
    assert list(due_hours([], [], now, timedelta(0))) == hours(-1)
    # Read and not sealed, and what came since.
    assert list(due_hours([span(-9, -3)], [span(-9, -5)], now, SEAL)) == hours(-5, -4, -3, -2, -1)
    # A gap in the past is caught up, unless it is so long that it is a new beginning.
    assert list(due_hours([span(-9, -8), span(-5, 0)], [span(-9, -8), span(-5, 0)], now, SEAL)) == hours(-8, -7, -6)
    assert list(due_hours([span(-9999, -9998), span(-2, 0)], [span(-9999, -9998), span(-2, -1)], now, SEAL)) == hours(
        -1
    )
    # However long nothing ran.
    assert len(list(due_hours([span(-9999, -9998)], [span(-9999, -9998)], now, SEAL))) == 9998
    # The clock was ahead once.
    assert list(due_hours([span(-1, 5)], [], now, SEAL)) == hours(-1)
    assert list(due_hours([span(2, 5)], [], now, SEAL)) == []


GOOD = {
    "AUDIT_SOURCE": "cxone",
    "CXONE_API_URL": "https://api.example/base/",
    "CXONE_TOKEN_URL": "https://auth.example/token",
    "CXONE_ACCESS_KEY_ID": "id-of-the-key\n",
    "CXONE_ACCESS_KEY_SECRET": "the-secret-itself",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"CXONE_TOKEN_URL": ""}, "CXONE_TOKEN_URL is not set: for AUDIT_SOURCE=cxone it must be the URL"),
        ({"CXONE_API_URL": ""}, "CXONE_API_URL is not set"),
        ({"CXONE_API_URL": "", "CXONE_TENANT_ID": "t"}, "CXONE_DISCOVERY_URL is not set"),
        ({"CXONE_API_URL": "", "CXONE_DISCOVERY_URL": "https://x"}, "CXONE_TENANT_ID is not set"),
        ({"CXONE_ACCESS_KEY_ID": ""}, "CXONE_ACCESS_KEY_ID is not set"),
        ({"CXONE_ACCESS_KEY_SECRET": ""}, "CXONE_ACCESS_KEY_SECRET is not set"),
        (
            {"CXONE_ACCESS_KEY_ID": "", "CXONE_ACCESS_KEY_SECRET": "", "CXONE_OAUTH_CLIENT_ID": "c"},
            "CXONE_OAUTH_CLIENT_SECRET is not set",
        ),
        ({"CXONE_API_URL": "api.example"}, "CXONE_API_URL='api.example': must be a URL"),
        ({"CXONE_API_URL": "http://api.example"}, "must begin with https://"),
        ({"CXONE_API_URL": "https://u:the-secret-itself@x"}, "CXONE_API_URL='…': must be without a user name"),
        ({"CXONE_TOKEN_URL": "https://x?secret=the-secret-itself"}, "CXONE_TOKEN_URL='…': must be without"),
        ({"CXONE_PAGE_SIZE": "0"}, "CXONE_PAGE_SIZE='0': must be at least 1"),
        ({"CXONE_PAGE_SIZE": "many"}, "CXONE_PAGE_SIZE='many': must be a whole number"),
        ({"CXONE_TIME_FORMAT": "%Y-%m-%d"}, "CXONE_TIME_FORMAT='%Y-%m-%d': must be a strftime format"),
        ({"CXONE_AUDIT_PATH": "audit"}, "CXONE_AUDIT_PATH='audit': must be a path"),
        ({"CXONE_TIMEOUT": "0s"}, "CXONE_TIMEOUT='0s': must be longer"),
        ({"CXONE_OAUTH_SECRET_IN": "url"}, "CXONE_OAUTH_SECRET_IN='url': must be 'header' or 'body'"),
        ({"AUDIT_SOURCE": "api"}, "AUDIT_SOURCE='api': must be 'files', 'cxone', or a class of your own"),
        ({"AUDIT_SEAL_AFTER": "later"}, "AUDIT_SEAL_AFTER='later': must be a duration"),
    ],
)
def test_wrong_settings_are_refused(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], message: str) -> None:
    for name, value in (GOOD | changes).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert message in str(error.value)
    assert "the-secret-itself" not in str(error.value)


def test_right_settings_hide_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.cxone.api_url == "https://api.example/base"
    assert settings.cxone.identifiers == ["id-of-the-key"]
    for text in (repr(settings), repr(settings.cxone), settings.cxone.model_dump_json()):
        assert "the-secret-itself" not in text
        assert "id-of-the-key" not in text


def test_files_need_no_settings_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXONE_PAGE_SIZE", "0")
    assert load_settings().source == "files"
