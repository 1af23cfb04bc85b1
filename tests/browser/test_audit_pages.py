"""What an auditor opens, in a real browser: the review page and the data docs, of a home with hostile records."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from io import BytesIO
from pathlib import Path

import duckdb
import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from playwright.sync_api import Page
from pypdf import PdfReader

from activity_audit.base.catalogue import feed_title
from activity_audit.cli.main import cli
from activity_audit.report.auditors.collect import collect
from activity_audit.report.auditors.page import write
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake, lake_writer
from tests.browser.conftest import Opener
from tests.integration.support import deliver, event, lines, run, said

PWNED = "document.title='pwned'"
HOSTILE = (
    f"</style></title><script>{PWNED}</script>",
    b'{"eventId": "nul-\x00-and-\xff", "entity": "x"}',
    event("h-1", outcome=..., comments=f'"><img src=x onerror="{PWNED}"> \u202edetrevni\u2066'),
)
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass(frozen=True)
class Home:
    """A home after one run over four feed hours, and one that was stopped by its checks."""

    settings: Settings
    run_id: str
    page: Path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("auditor")
        patch.chdir(folder)
        settings = load_settings(home=folder / "home", applications=["search", "qm", "userhub"])
        late = event("late", eventTime="2026-04-01T00:00:00Z")
        drift = event("drift", entity="<b>Fax</b>", activity=f"<script>{PWNED}</script>")
        deliver(settings, lines([event("e-1"), event("e-1"), late, drift, *HOSTILE]))
        deliver(settings, b"", hour=1)
        deliver(settings, lines([event("q-1")]), feed="qm")
        manifest = {"files": [{"name": f"<img src=x onerror={PWNED}>", "records": 1}]}
        deliver(settings, json.dumps(manifest).encode(), "_manifest.json", "qm")
        for hour in range(4):
            time = f"2026-05-01T1{hour}:10:00Z"
            deliver(settings, lines([event(f"u-{hour}", eventTime=time)]), feed="userhub", hour=hour)
        deliver(settings, lines([event("e-2", eventTime="2026-05-01T13:10:00Z")]), hour=3)
        run_id = run(settings, hours=4).run_id
        _stop_a_run(settings)
        write(collect(settings), settings, settings.review_file)
        yield Home(settings, run_id, settings.review_file)


def _stop_a_run(settings: Settings) -> None:
    """What a run leaves whose blocking check failed."""
    with duckdb.connect() as connection:
        lake_writer.attach(connection, settings)
        connection.execute(
            "insert into audit.quality.validation_result select * replace ('stopped' as run_id, false as success) "
            "from audit.quality.validation_result where expectation = 'every_landed_record_is_judged' limit 1"
        )


def test_the_page_opens_alone_and_runs_nothing(home: Home, visit: Opener) -> None:
    seen = visit(home.page)
    assert seen.requests == [home.page.as_uri()]
    assert seen.complaints == []
    assert seen.page.title() == "Activity audit review, 2026-05-01 10:00 to 2026-05-01 14:00 UTC"
    assert seen.page.locator("script, img, iframe, link, [onerror], [style]").count() == 0


def test_what_a_source_sent_is_shown_as_text(home: Home, visit: Opener) -> None:
    text = visit(home.page).page.locator("main").inner_text()
    for sent in (
        f"</style></title><script>{PWNED}</script>",
        "nul-⟨U+0000⟩-and-\\xff",
        "\\u202edetrevni\\u2066",
        f"<img src=x onerror={PWNED}> is in the manifest and was not delivered",
        "<b>Fax</b>",
    ):
        assert sent in text, sent
    assert not set(text) & set("\x00\u202e\u2066")


def test_the_heat_map_has_what_the_table_has(home: Home, visit: Opener) -> None:
    titles = visit(home.page).page.locator("svg.map rect title").all_text_contents()
    drawn: Counter[tuple[str, str]] = Counter()
    for title in titles:
        feed, hours, state = re.fullmatch(r"(.+?), \d.* \((\d+) hours?\): (\w+)", title).groups()  # type: ignore[union-attr]
        drawn[feed, state] += int(hours)
    # What no run has looked at has no row.
    drawn = Counter({place: hours for place, hours in drawn.items() if place[1] != "unknown"})
    with lake.reader(home.settings) as connection:
        rows = connection.execute(
            "select feed, status, count(*) from quality.feed_reconciliation group by all"
        ).fetchall()
    assert drawn == {(feed_title(feed), status): hours for feed, status, hours in rows}
    assert drawn["Search", "balanced"] == 3
    assert drawn["Search", "missing"] == 1
    assert drawn["Quality Management (qm)", "incomplete"] == 1


def test_the_sentences_are_those_of_the_record(home: Home, visit: Opener) -> None:
    page = visit(home.page).page
    answers = dict(zip(*(page.locator(f".verdicts tbody {cell}").all_inner_texts() for cell in ("th", "td:last-child")),
                       strict=True))  # fmt: skip
    assert "Of 12 feed hours, 4 are missing and 1 is not what the manifest says." in answers["Completeness"]
    assert "13 records received = 9 accepted + 1 duplicate + 3 quarantined" in answers["Balance"]
    assert "the latest came 30 d 10 h late" in answers["Late arrivals"]
    assert "1 run was stopped by its checks" in answers["Checks"]
    assert answers["Integrity"].startswith("Is all of it still there, and unchanged? Yes. The hashes of 9 events")
    runs = page.get_by_role("region", name="Table of runs").inner_text()
    assert "stopped, published nothing: Every record that landed was judged" in runs
    assert (
        page.get_by_role("region", name="Table of dispositions by feed").locator("tfoot").inner_text().split()[4] == "1"
    )


def test_every_figure_can_be_had_again_by_its_query(home: Home) -> None:
    text = home.page.read_text(encoding="utf-8")
    found = re.findall(r'<details id="query-(\w+)">.*?<pre tabindex="0">(.*?)</pre>', text, re.DOTALL)
    assert [name for name, _ in found] == [
        "cells", "gaps", "totals", "reasons", "samples", "late", "drift", "checks", "runs",
    ]  # fmt: skip
    assert set(re.findall(r'href="#query-(\w+)"', text)) == {name for name, _ in found}
    with lake.reader(home.settings, home.run_id) as connection:
        lake.lock_down(connection, home.settings)
        rows = {name: connection.execute(unescape(sql)).fetchall() for name, sql in found}
    # As of the run, which was before the one that was stopped.
    assert {name: len(rows[name]) for name in rows} == {
        "cells": 12, "gaps": 3, "totals": 3, "reasons": 2, "samples": 3, "late": 1, "drift": 1, "checks": 50, "runs": 1,
    }  # fmt: skip


def test_it_prints_on_pages_that_say_what_they_are(home: Home, visit: Opener) -> None:
    printed = PdfReader(BytesIO(visit(home.page, dark=True).page.pdf(prefer_css_page_size=True)))
    pages = [page.extract_text() for page in printed.pages]
    assert 2 <= len(pages) <= 12
    for number, text in enumerate(pages, 1):
        assert "Activity audit review" in text
        assert "2026-05-01 10:00 to 2026-05-01 14:00 UTC" in text
        assert f"Page {number} of {len(pages)}" in text
    everything = "\n".join(pages)
    for part in ("What became of every record", "missing_outcome", "from quality.feed_reconciliation", "userhub"):
        assert part in everything
    assert "Data docs" not in everything


def _pages(home: Home) -> list[Path]:
    docs = home.settings.docs_dir
    return [home.page, docs / "index.html", docs / "expectations" / "feed_contract.html",
            docs / "validations" / f"{home.run_id}.html", *(docs / "history").glob("*.html")]  # fmt: skip


def _violations(page: Page, *rules: str) -> list[tuple[str, list[str]]]:
    options = {"runOnly": {"type": "rule", "values": list(rules)} if rules else WCAG}
    found = Axe().run(page, options=options).response["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


def test_everybody_can_read_it(home: Home, visit: Opener) -> None:
    pages = _pages(home)
    assert len(pages) == 5
    for path in pages:
        seen = visit(path)
        assert (path.name, _violations(seen.page)) == (path.name, [])
        assert (seen.complaints, len(seen.requests)) == ([], 1)
    for path in (home.page, home.settings.docs_dir / "index.html"):
        assert (path.name, _violations(visit(path, dark=True).page, "color-contrast")) == (path.name, [])


def test_nothing_is_cut_off_on_a_phone(home: Home, visit: Opener) -> None:
    for path in _pages(home):
        page = visit(path, width=320).page
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path.name


def test_the_pages_lead_to_one_another(home: Home, visit: Opener) -> None:
    page = visit(home.page).page
    page.get_by_role("link", name="Every record can be read").first.click()
    assert page.url.endswith(".html#feed_contract")
    assert page.locator("h1").inner_text().startswith("The run of ")
    page.get_by_role("link", name="Data docs").click()
    page.get_by_role("link", name="The auditor's page").click()
    assert page.locator("h1").inner_text() == "Activity audit review"


def test_what_was_tampered_with_is_on_the_page(home: Home, tmp_path: Path) -> None:
    moved = tmp_path / "home"
    shutil.copytree(home.settings.home, moved)
    settings = load_settings(home=moved, applications=["search", "qm", "userhub"])
    raw = next((moved / "raw" / "userhub").rglob("*.parquet"))
    raw.write_bytes(raw.read_bytes()[:-1] + b"?")
    target = tmp_path / "review.html"
    done = said(settings, "review", "--at", home.run_id, "--to-file", str(target))
    assert done.stdout == f"{target}\n"
    text = target.read_text(encoding="utf-8")
    assert "No. 1 finding." in text
    assert raw.name in text
    assert "stopped by its checks" not in text
    assert f"as it stood at {home.run_id}" in text


def test_a_page_that_cannot_be_made_says_why(settings: Settings) -> None:
    nothing = CliRunner().invoke(cli, ["review"])
    assert (nothing.exit_code, "start with `audit run`" in nothing.stderr) == (1, True)
    assert not settings.review_file.exists()
