"""The quality pages as a person uses them: to a day, to a feed hour, to its events and its quarantine, and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.support import events_shown

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
_DAY = "/quality?day=2026-05-01"


def test_a_day_is_chosen_and_months_lead_on(open_page: Open) -> None:
    page = open_page("/quality?day=2026-03-15")
    page.get_by_label("Day (UTC)").fill("2026-05-01")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="2026-05-01, hour by hour")).to_be_visible()
    page.get_by_role("link", name="Month after, to 2026-06-30").click()
    expect(page.get_by_role("heading", name="2026-06-30, hour by hour")).to_be_visible()
    page.get_by_role("link", name="Month before, to 2026-05-31").click()
    page.get_by_role("link", name="Month before, to 2026-04-30").click()
    page.get_by_role("link", name="Day after, 2026-05-01").click()
    expect(page.get_by_role("heading", name="2026-05-01, hour by hour")).to_be_visible()


def test_a_month_says_whether_it_is_complete_and_what_is_missing(open_page: Open) -> None:
    page = open_page("/?period=from-to&from=2026-05-01&to=2026-05-31")
    page.locator("#coverage a").click()
    expect(page.locator("#month")).to_have_text("May 2026")
    expect(page.locator("#month-covered")).to_contain_text("30 feed hours missing")
    rows = page.locator("#wrong tbody tr")
    expect(rows).to_have_count(30)
    expect(rows.first).to_contain_text("nothing was delivered")
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("2026-05-01 1")
    page.goto("/quality?day=2026-04-30")
    expect(page.locator("#month")).to_have_text("April 2026")
    expect(page.locator("#wrong")).to_have_count(0)


def test_a_field_of_the_map_leads_to_its_hour_and_from_there_to_events_and_quarantine(open_page: Open) -> None:
    page = open_page(_DAY)
    page.get_by_role("row", name="Search").get_by_role("link", name="1 in quarantine").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Search, 2026-05-01 11:00 UTC")
    figures = page.locator("#figures")
    expect(figures).to_contain_text("balanced: every record is accounted for")
    expect(figures.get_by_role("row", name="Received")).to_contain_text("301")
    expect(page.get_by_role("row", name="SHA-256")).to_have_count(1)
    page.locator("main > p.row").get_by_role("link", name="1 in quarantine").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Quality: quarantine")
    expect(page.locator(".why")).to_contain_text("1, 100 %")
    expect(page.locator(".why")).to_contain_text("It is not a JSON object")
    expect(page.get_by_text("Shown: Search, 2026-05-01 11:00 UTC")).to_be_visible()
    page.get_by_role("link", name="2026-05-01 11:00", exact=True).click()
    page.get_by_role("link", name="Events of Search in this hour").click()
    assert events_shown(page) == 300


def test_the_map_is_one_stop_of_the_tab_key_and_arrows_go_on(open_page: Open) -> None:
    page = open_page(_DAY)
    maps = page.locator("table.heat")
    assert maps.first.locator("td a[tabindex='-1']").count() == maps.first.locator("td a").count() - 1
    page.get_by_role("link", name="Newest").focus()
    for key in ("Tab", "ArrowDown", "ArrowRight", "End", "Home", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    place = "a => [a.closest('tr').sectionRowIndex, a.closest('td').cellIndex]"
    assert page.locator("table.heat td a:focus").evaluate(place) == [0, 1]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/quality/hour\?feed=\w+&hour=2026-05-01T00$"))
    expect(page.get_by_text("No run has looked at this hour yet")).to_be_visible()


def test_checks_say_why_and_how_much_and_data_docs_lead_back(open_page: Open) -> None:
    page = open_page("/quality/checks")
    found = page.get_by_role("row", name="Every record can be read")
    expect(found).to_contain_text("is evidence that nobody can search")
    expect(found).to_contain_text("%")
    page.goto("/data-docs/index.html")
    page.get_by_role("navigation", name="Report").get_by_role("link", name="Checks").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Quality: checks")


def test_the_auditors_page_is_made_from_the_page(open_page: Open, tmp_path: Path) -> None:
    page = open_page("/quality/review")
    page.get_by_label("First day").fill("2026-05-01")
    page.get_by_label("Last day, included").fill("2026-05-01")
    with page.expect_download() as downloaded:
        page.get_by_role("button", name="Make the page").click()
    assert downloaded.value.suggested_filename == "activity-audit-review_2026-05-01_2026-05-01.html"
    downloaded.value.save_as(tmp_path / "review.html")
    text = (tmp_path / "review.html").read_text()
    assert "Intact" in text
    assert "1,200" in text
    page.get_by_label("First day").fill("2025-05-01")
    page.get_by_role("button", name="Make the page").click()
    expect(page.get_by_text("choose from 1 to 92 days")).to_be_visible()


def test_axe_finds_nothing_serious(open_page: Open) -> None:
    page = open_page(_DAY)
    for path in (_DAY, "/quality/hour?feed=search&hour=2026-05-01T11", "/quality/review", "/data-docs/index.html"):
        page.goto(path)
        serious = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
        assert not serious, path
