"""The API source through the whole pipeline: the same fact whatever the server does, and no secret anywhere."""

from __future__ import annotations

import json
import logging
import random
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR as ONE_HOUR
from activity_audit.base.hours import floor_hour, iso, now_utc
from activity_audit.evidence.verify.verify import verify
from activity_audit.pipeline.run import update_warehouse
from activity_audit.pipeline.stages import Outcome
from activity_audit.settings.core import Settings
from tests.integration.cxone_events import api_event, simulated
from tests.integration.cxone_server import KEY_ID, KEY_SECRET, Api, ApiEvent, environment, serving
from tests.integration.cxone_support import FIRST, SOON, Home
from tests.integration.support import HOUR, audit, events, one, query

HOURS = 48
END = HOUR + HOURS * ONE_HOUR
STEP = 6 * ONE_HOUR
FEEDS = ["search", "qm", "userhub", "recording"]


class Form(NamedTuple):
    """One of the forms that the API may have."""

    paging: str
    pretty: bool
    time_format: str
    time_pattern: str


FORMS = (
    Form("relative", False, "%Y-%m-%dT%H:%M:%SZ", r"[\d-]{10}T[\d:]{8}Z"),
    Form("ref", True, "%Y-%m-%dT%H:%M:%S.000", r"[\d-]{10}T[\d:]{8}\.000"),
)


def _publish(home: Home) -> Outcome:
    return update_warehouse(home.settings, str(uuid4()), catalogue.slugs(), (HOUR, END))


@pytest.mark.slow
def test_the_fact_is_the_same_whatever_the_server_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """48 hours, read whole at once; and every six hours from a server with every fault, in turns of both forms."""
    monkeypatch.setenv("AUDIT_APPLICATIONS", ",".join(FEEDS))
    known = simulated(HOUR, HOURS, per_feed=6, feeds=FEEDS)
    known.append(api_event("strange", HOUR, application="AWS CloudTrail"))
    with serving(Api(events=known)) as api:
        calm = Home(api, monkeypatch, AUDIT_HOME=str(tmp_path / "calm"), CXONE_PAGE_SIZE="1000")
        calm.land(END, (HOUR, END))
        _publish(calm)
    expected = events(calm.settings)
    assert len(expected) == len(known)

    # Each hour is read three times, six hours apart, so what goes or comes after seven hours is seen to do so.
    draw = random.Random(5)
    vanishing = {draw.randrange(len(known)) for _ in range(20)}
    late = {draw.randrange(len(known)) for _ in range(60)} - vanishing
    unsteady = [
        replace(event, until=event.at + 7 * ONE_HOUR)
        if number in vanishing
        else replace(event, since=event.at + 7 * ONE_HOUR)
        if number in late
        else event
        for number, event in enumerate(known)
    ]
    with serving(Api(events=unsteady, fault_rate=0.3, seed=7, shuffled=True)) as api:
        for step in range(1, HOURS // 6 + 4):
            form = FORMS[step % 2]
            api.paging, api.pretty, api.time_pattern = form.paging, form.pretty, form.time_pattern
            home = str(tmp_path / "faulty")
            faulty = Home(api, monkeypatch, AUDIT_HOME=home, AUDIT_SEAL_AFTER="12h", CXONE_PAGE_SIZE="5",
                          CXONE_TIME_FORMAT=form.time_format)  # fmt: skip
            now = HOUR + step * STEP + timedelta(minutes=10)
            faulty.land(now, (HOUR, min(now, END)))
    assert {401, 429, 403, 500, 503} <= set(api.statuses)
    _publish(faulty)
    assert events(faulty.settings) == expected
    gone = {row[0] for row in query(faulty.settings, "select event_id from quality.vanished_event")}
    assert gone == {_id(known[number]) for number in vanishing}
    for home_ in (calm, faulty):
        assert one(home_.settings, "select count(*) from quality.feed_reconciliation where status <> 'balanced'") == 0
        assert one(home_.settings, "select count(*) from quality.quarantined_event") == 0


def _id(event: ApiEvent) -> str:
    return json.loads(event.text)["eventId"]


@pytest.mark.slow
def test_a_vanished_event_is_reported_once_and_stays(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [SOON + number * ONE_HOUR for number in range(3)]
    there = [
        api_event("goes", HOUR, until=times[1]),
        api_event("blinks", HOUR, until=times[1]),
        api_event("blinks", HOUR, since=times[2]),
        api_event("stays", HOUR),
    ]
    with serving(Api(events=there)) as api:
        home = Home(api, monkeypatch)
        warnings = []
        for reads in (times[:2], times[2:]):
            for now in reads:
                home.land(now, FIRST)
            checks = _publish(home).checks
            (check,) = [check for check in checks if check.expectation == "no_event_vanished"]
            warnings.append((check.success, check.severity, check.unexpected_count, check.blocking))
    assert warnings == [(False, "warning", 2, False), (True, "warning", 0, False)]
    found = query(
        home.settings,
        "select event_id, vanished.feed, event_time_source, vanished_at_utc, reappeared_at_utc, landed_at_utc "
        "from quality.vanished_event as vanished join quality.feed_delivery as delivery "
        "on vanished.last_seen_delivery_id = delivery.delivery_id order by event_id",
    )
    seen, gone, back = (time.replace(tzinfo=None) for time in times)
    assert found == [
        ("blinks", "search", "2026-05-01T10:00:00Z", gone, back, seen),
        ("goes", "search", "2026-05-01T10:00:00Z", gone, None, seen),
    ]
    assert one(home.settings, "select count(*) from fact_activity_event") == 3
    assert verify(home.settings).findings == []


def _needles(api: Api) -> list[bytes]:
    secrets = [KEY_ID, KEY_SECRET, *api.tokens, *(f"refresh-{token}" for token in api.tokens)]
    return [
        form.encode() for secret in secrets for form in {secret, quote(secret, safe=""), secret.replace("/", r"\/")}
    ]


def _contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and what stands in it packed."""
    content = path.read_bytes()
    yield content
    if content.startswith(b"PAR1"):
        table = pq.read_table(path)
        yield repr(table.to_pylist()).encode()
        yield repr(table.schema.metadata).encode()
    elif content.startswith(b"SQLite format 3"):
        with sqlite3.connect(path) as connection:
            names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
            for name in names:
                for row in connection.execute(f'select * from "{name}"'):
                    for value in row:
                        yield str(value).encode()
                        if isinstance(value, bytes) and value.startswith(b"x"):
                            yield zlib.decompress(value)


@pytest.mark.slow
def test_no_secret_is_shown_or_kept(settings: Settings) -> None:
    """The real command, on a server that sends back whatever it was sent, well and badly."""
    hour = floor_hour(now_utc()) - ONE_HOUR
    api = Api(events=simulated(hour, 1, 2), now=now_utc(), echo=True, page_limit=10)
    said = []
    with serving(api):
        given = environment(api, CXONE_PAGE_SIZE="10", AUDIT_APPLICATIONS="search")
        api.script = ["expired", "500", "drop", "429", "truncated"]
        done = audit(settings, "run", **given)
        said += [done.stdout, done.stderr]
        assert "32 accepted" in done.stdout, done.stdout
        assert api.token_requests == 2
        # The path is wrong: the server names the token in its answer.
        range_ = ("--from", iso(hour - ONE_HOUR * 9), "--to", iso(hour - ONE_HOUR * 8))
        done = audit(settings, "run", *range_, check=False, **given, CXONE_AUDIT_PATH="/wrong")
        said += [done.stdout, done.stderr]
        assert done.returncode == 1
        assert "404 no such path" in done.stdout, done.stdout
    needles = _needles(api)
    assert len(api.tokens) == 4
    assert [text for text in said if any(needle in text.encode() for needle in needles)] == []
    files = [path for path in settings.home.rglob("*") if path.is_file()]
    assert {path.relative_to(settings.home).parts[0] for path in files} >= {"raw", "dagster", "data_docs", "warehouse"}
    found, looked_into = set(), set()
    for path in files:
        for number, content in enumerate(_contents(path)):
            if any(needle in content for needle in needles):
                found.add(path)
            # The look itself can find something: what is no secret is there, packed or not.
            if number and b"activity/audit" in content:
                looked_into.add(path.suffix)
    assert found == set()
    assert looked_into >= {".parquet", ".sqlite", ".db"}


def test_no_secret_is_logged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(Api(events=simulated(HOUR, 1, 8), script=["expired", "500", "drop"], echo=True)) as api:
        with caplog.at_level(logging.DEBUG):
            assert len(Home(api, monkeypatch).read()) == len(api.events)
        assert "send_request_headers" in caplog.text
        assert [needle for needle in _needles(api) if needle.decode() in caplog.text] == []
