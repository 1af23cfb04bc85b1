"""A reader with masked fields finds out nothing of them: not by reading, filtering, sorting, counting or exporting."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import httpx
import openpyxl
import pypdf
import pytest
from starlette.applications import Starlette

from activity_audit.report.access.access import Access
from activity_audit.report.access.permissions import user_of
from activity_audit.report.queries import charts, detail, events, groups, lists, quality
from activity_audit.report.queries.events import Order
from activity_audit.report.queries.files import FactFiles
from activity_audit.report.queries.warehouse import Query, Warehouse
from activity_audit.report.saved.reports import Details
from activity_audit.report.web.app import build_app
from activity_audit.settings.core import Settings
from activity_audit.settings.report import ReportSettings
from activity_audit.warehouse.events.filters import CHOICES, Filters
from activity_audit.warehouse.events.long_texts import Digest
from activity_audit.warehouse.events.masked import FIELDS, SAID, WORD
from tests.integration.report_rows import FILTERS, TITLES, WHOLE, kept_by
from tests.integration.report_support import csrf
from tests.integration.support import said, until

_ASKED = "period=from-to&from=2026-04-28&to=2026-05-01"
_PLACES = [TITLES.index(field) for field in FIELDS]
# Texts of the masked fields that nothing else of these events has.
_SECRETS = ("x.example", "REVIEWED", "_done_", "ÄRGER", "ärger", "drop table")
_READER = {"x-user": "mira", "x-roles": "masked-analyst"}
_ANALYST = {"x-user": "ann", "x-roles": "analyst"}


@pytest.fixture
def masked(varied_warehouse: Warehouse) -> Iterator[Query]:
    with varied_warehouse.query(masked=True) as asked:
        yield asked


@pytest.mark.parametrize("filters", FILTERS)
def test_a_masked_query_answers_as_if_every_event_had_the_word(
    masked: Query, rows: list[dict[str, Any]], filters: Filters
) -> None:
    alike = [row | dict.fromkeys(FIELDS, WORD) for row in rows]
    kept = kept_by(alike, filters)
    assert events.count(masked, filters) == len(kept)
    for order in (Order(), *(Order(field, descending) for field in FIELDS for descending in (True, False))):
        found = events.page(masked, filters, order, limit=500).rows
        by_time = sorted(kept, key=lambda row: row["event_id"])
        by_time.sort(key=lambda row: row["event_time_utc"], reverse=True)
        assert found == [tuple(row[field] for field in TITLES) for row in by_time], order
    for field in FIELDS:
        assert groups.groups(masked, filters, (field,)) == charts.top(masked, filters, field)
        assert [(one.value, one.count) for one in charts.top(masked, filters, field)] == [(WORD, len(kept))] * bool(
            kept
        )


def test_a_masked_query_finds_no_value(asked: Query, masked: Query, rows: list[dict[str, Any]]) -> None:
    # The answers of a reader who sees all are remembered, and are none for this one.
    for field, known in (("triggered_by", "zoë@x.example"), ("instance", "é"), ("comments", "Reviewed")):
        choosing = replace(WHOLE, **{CHOICES.get(field, "comments_are"): (known,)})
        by_hash = replace(WHOLE, **{CHOICES.get(field, "comments_are"): (Digest(sha256(known.encode()).hexdigest()),)})
        assert events.count(asked, choosing) > 0
        assert [events.count(masked, one) for one in (choosing, by_hash)] == [0, 0]
        assert events.count(masked, replace(WHOLE, excluded=((field, known),))) == len(rows)
        if field in lists.FIELDS:
            assert lists.values(asked, WHOLE, field, known[:2])
            assert lists.values(masked, WHOLE, field, known[:2]) == []
            assert lists.values(masked, WHOLE, field) == [lists.Value(WORD, len(rows))]
    one = detail.event(masked, rows[0]["event_id"])
    seen = detail.event(asked, rows[0]["event_id"])
    assert one is not None
    assert seen is not None
    assert {one.fields[field] for field in FIELDS} == {WORD}
    # By a hash of all fields, of the file or of the batch a guess could be tested.
    assert re.findall("[0-9a-f]{64}", repr(seen))
    assert re.findall("[0-9a-f]{64}", repr(one)) == []
    assert re.findall("[0-9a-f]{64}", repr(quality.deliveries(asked, one.feed, one.feed_hour_utc)))
    assert re.findall("[0-9a-f]{64}", repr(quality.deliveries(masked, one.feed, one.feed_hour_utc))) == []


def test_events_that_are_read_through_the_lake_are_masked_too(masked: Query) -> None:
    """So are those of which some are in no data file of their own."""
    through_lake = FactFiles([], masked.files._event_ids, are_all=False)
    fields = ", ".join(FIELDS)
    for files, expected in ((through_lake.masked(), 1), (through_lake, 20)):
        sql, values, _ = files.reading(WHOLE)
        found = masked.rows(f"select distinct {fields} {sql}", values)
        assert len(found) >= expected
        assert (found == [(WORD,) * 3]) == (files is not through_lake)


@pytest.mark.parametrize(
    ("roles", "is_masked"),
    [
        (["masked-viewer"], True),
        (["Masked-Analyst ", "export", "someone-elses"], True),
        (["masked-viewer", "auditor"], False),
        (["masked-viewer", "quarantine"], False),
        (["masked-viewer", "runs"], False),
        (["viewer"], False),
        ([], False),
    ],
)
def test_roles_add_up(roles: list[str], is_masked: bool) -> None:
    user = user_of("mira", roles)
    assert user.is_masked == is_masked
    assert not (user.is_masked and {"quarantine", "runs"} & user.permissions)


@pytest.fixture(scope="module")
def app(varied_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starlette]:
    """The report behind a proxy, which names the users and their roles; of a home of its own."""
    home = tmp_path_factory.mktemp("masking") / "home"
    shutil.copytree(varied_home.home, home)
    report = ReportSettings.model_validate(
        {"auth": "proxy", "proxy_header": "x-user", "proxy_roles_header": "x-roles", "proxy_from": "127.0.0.1"}
    )
    settings = varied_home.model_copy(update={"home": home, "report": report})
    warehouse = Warehouse(settings)
    app = build_app(settings, warehouse, Access(report, "http://127.0.0.1"))
    yield app
    app.state.exports.close()
    warehouse.close()


def _with(app: Starlette, headers: dict[str, str], work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as reader:
            return await work(reader)

    return asyncio.run(run())


def _pages(app: Starlette, headers: dict[str, str], paths: list[str]) -> list[httpx.Response]:
    async def get(reader: httpx.AsyncClient) -> list[httpx.Response]:
        return [await reader.get(path) for path in paths]

    return _with(app, headers, get)


def _trail(app: Starlette, name: str) -> list[dict[str, Any]]:
    folder = app.state.settings.own_feeds_dir
    found = [json.loads(line) for path in folder.rglob(".open.ndjson") for line in path.read_text().splitlines()]
    return [record for record in found if record["triggeredBy"] == name]


def test_no_page_shows_what_is_masked(app: Starlette, rows: list[dict[str, Any]]) -> None:
    paths = [
        f"/?{_ASKED}",
        f"/rows?{_ASKED}",
        f"/groups?{_ASKED}",
        f"/pictures?{_ASKED}",
        f"/export?{_ASKED}",
        f"/event?id={rows[0]['event_id']}",
        "/saved",
        "/quality",
        "/quality/drift",
    ]
    seen = _pages(app, _ANALYST, paths)
    assert any(secret in page.text for page in seen for secret in _SECRETS)
    for path, page in zip(paths, _pages(app, _READER, paths), strict=True):
        assert page.status_code == 200, path
        assert [secret for secret in _SECRETS if secret in page.text] == [], path
        assert not re.search(r'href="[^"]*(triggered_by|instance|comments)', page.text), path
    for path in ("/quality/quarantine", "/data-docs/index.html", "/dagster/"):
        assert _pages(app, _READER, [path])[0].status_code in (403, 404), path
    known = _trail(app, "mira")
    assert {record["entity"] for record in known} == {"Report", "Event"}
    assert all(record["comments"].startswith(SAID) for record in known)
    assert not any(SAID in record["comments"] for record in _trail(app, "ann"))


@pytest.mark.parametrize(
    "asked",
    [
        "triggered_by=ann%40x.example",
        "triggered_by=ann%40x.example&triggered_by=zo%C3%AB%40x.example",
        "instance=1",
        "comments=done",
        "not=comments:Reviewed",
        "not=triggered_by:ann%40x.example",
        "sort=triggered_by",
        "sort=-instance",
        "contains=comments:done",
        "empty=triggered_by",
        "not-empty=instance",
        "comments-are=Reviewed",
        "group=triggered_by",
        "group=entity&group=comments&path=User&path=Reviewed",
    ],
)
def test_no_address_asks_by_what_is_masked(app: Starlette, asked: str) -> None:
    paths = [f"{page}?{_ASKED}&{asked}" for page in ("/", "/rows", "/groups", "/pictures", "/export", "/saved")]
    for page in _pages(app, _READER, paths):
        assert page.status_code == 403
        assert "are masked, so events cannot be chosen, sorted or grouped by" in page.text
    for field in FIELDS:
        page = _pages(app, _READER, [f"/values?{_ASKED}&field={field}&search=ann"])[0]
        assert page.status_code == 400


def test_saved_reports_with_values_of_masked_fields_are_not_listed(app: Starlette) -> None:
    saved = app.state.saved
    saved.save("By somebody", "ann", f"{_ASKED}&triggered_by=ann%40x.example", Details(shared=True))
    saved.save("By outcome", "ann", f"{_ASKED}&outcome=FAILURE", Details(shared=True))
    for headers, listed in ((_ANALYST, True), (_READER, False)):
        (page,) = _pages(app, headers, ["/saved"])
        assert ("By outcome" in page.text, "By somebody" in page.text) == (True, listed)
        assert ("ann%40x" in page.text) == listed


_READ: dict[str, Callable[[Path], str]] = {
    "csv": lambda file: file.read_text(),
    "xlsx": lambda file: str([list(sheet.values) for sheet in openpyxl.load_workbook(file, read_only=True)]),
    "parquet": lambda file: str(duckdb.sql(f"from '{file}'").fetchall()),
    "pdf": lambda file: "".join(page.extract_text() for page in pypdf.PdfReader(file).pages),
}


@pytest.mark.parametrize("suffix", list(_READ))
def test_a_masked_reader_exports_the_word(app: Starlette, suffix: str, tmp_path: Path) -> None:
    async def export(reader: httpx.AsyncClient) -> bytes:
        token = csrf(await reader.get(f"/export?{_ASKED}"))
        reader.headers.update({"X-CSRF-Token": token, "Accept": "application/json"})
        started = await reader.post(f"/export?{_ASKED}", data={"format": suffix})
        assert started.status_code == 201, started.text
        address = started.headers["location"]
        while (await reader.get(address)).json()["state"] in ("waiting", "running"):
            await asyncio.sleep(0.05)
        told = (await reader.get(f"{address}/about")).json()
        assert told["masked"] == list(FIELDS)
        return (await reader.get(f"{address}/file")).content

    file = tmp_path / f"file.{suffix}"
    file.write_bytes(_with(app, _READER, export))
    text = _READ[suffix](file)
    assert text.count(WORD) >= 3 * 400
    assert not [secret for secret in _SECRETS if secret in text]
    created = [record for record in _trail(app, "mira") if record["entity"] == "Export"]
    assert {"Created", "Downloaded"} == {record["activity"] for record in created}
    assert all(record["comments"].startswith(SAID) for record in created)


def test_a_file_from_before_the_roles_were_changed_is_not_handed_out(app: Starlette) -> None:
    """A proxy's user of other roles has another session; of a file of users the session goes on."""
    user = user_of("pat", ["analyst"])
    state = app.state
    jobs, trail = state.exports, state.trail
    access: Access = state.access
    session = access.sessions.of("pat", ["masked-analyst"])
    job = jobs.start(session.key, user, trail, WHOLE, ".csv")
    until(lambda: job.is_over)
    headers = {"x-user": "pat", "x-roles": "masked-analyst"}
    assert [page.status_code for page in _pages(app, headers, [f"/export/{job.id}/file", f"/export/{job.id}"])] == [
        404
    ] * 2


def test_a_masked_review_has_no_raw_record(app: Starlette, tmp_path: Path) -> None:
    settings: Settings = app.state.settings
    told = said(settings, "review", "--no-verify", "--masked", "--to-file", str(tmp_path / "masked.html"))
    assert told.stdout.strip() == str(tmp_path / "masked.html")
    said(settings, "review", "--no-verify", "--to-file", str(tmp_path / "plain.html"))
    plain, masked = ((tmp_path / f"{name}.html").read_text() for name in ("plain", "masked"))
    assert "perhaps" in plain
    assert "perhaps" not in masked
    assert f'<code class="sent">{WORD}</code>' in masked


def test_a_masked_file_of_the_command_line(app: Starlette, tmp_path: Path) -> None:
    settings: Settings = app.state.settings
    period = ("--from", f"{WHOLE.start:%Y-%m-%d}", "--to", f"{WHOLE.end:%Y-%m-%d}")
    about = json.loads(
        said(
            settings, "export", *period, "--masked", "--to-file", str(tmp_path / "file.csv"), "--output", "json"
        ).stdout
    )
    assert (about["rows"], about["masked"]) == (400, list(FIELDS))
    text = (tmp_path / "file.csv").read_text()
    assert [secret for secret in _SECRETS if secret in text] == []


def test_a_search_looks_past_what_is_masked(app: Starlette) -> None:
    asked = [f"/rows?{_ASKED}&search={word}" for word in ("masked", "reviewed", "zo%C3%AB", "LOGIN")]
    form = f"/?{_ASKED}&form=1&column=comments&how=contains&what=done"
    *found, refused = _pages(app, _READER, [*asked, form])
    assert [bool(page.json()["rows"]) for page in found] == [False, False, False, True]
    assert refused.status_code == 403
    assert all(page.json()["rows"] for page in _pages(app, _ANALYST, asked[1:]))
