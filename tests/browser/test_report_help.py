"""Help, the tour, notices, and the keyboard between lists, as a person uses them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse.events.columns import COLUMNS
from tests.browser.support import MAY, settled
from tests.integration.report_support import served
from tests.integration.support import deliver, event, lines, query, run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]


def test_a_column_says_what_it_means(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    page.locator("#events th.instance, #events th[data-field=instance]").click(button="right")
    page.get_by_role("menuitem", name="What this column means").click()
    expect(page).to_have_url(re.compile("/help#instance$"))
    for column in COLUMNS:
        expect(page.locator(f"#{column.field} + dd")).to_have_text(column.meaning)
    expect(page.locator("#reason-unparseable + dd")).to_contain_text("not a JSON object")
    # The browser of the tests is far from UTC; the example is the only place where its own time is shown.
    expect(page.get_by_text("For you, in Asia/Calcutta")).to_be_visible()
    expect(page.locator("[data-own-time]")).to_have_text("2026-05-01 12:30:00")
    serious = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert not serious


def test_the_tour_has_three_steps_and_is_offered_once(open_page: Open) -> None:
    page = open_page("/")
    tour = page.locator("#tour")
    tour.get_by_role("button", name="Show me").click()
    expect(tour).to_contain_text("1 of 3 Choose applications and a period")
    page.get_by_label("First day").fill("2026-05-01")
    page.get_by_label("Last day, included").fill("2026-05-31")
    page.get_by_role("button", name="Run report").click()
    expect(tour).to_contain_text("2 of 3")
    tour.get_by_role("button", name="Next").click()
    expect(tour).to_contain_text("3 of 3")
    tour.get_by_role("button", name="Done").click()
    expect(tour).to_have_count(0)
    page.goto("/")
    expect(page.locator("#prompt-form")).to_be_visible()
    expect(tour).to_have_count(0)
    page.goto("/help")
    page.get_by_role("button", name="Take the tour").click()
    expect(tour).to_contain_text("1 of 3")
    tour.get_by_role("button", name="End the tour").click()
    expect(tour).to_have_count(0)


def test_it_says_that_newer_data_are_published(home: Settings, browser: Browser, tmp_path: Path) -> None:
    shutil.copytree(home.home, tmp_path / "home", ignore=shutil.ignore_patterns("dagster", "work"))
    own = load_settings(home=tmp_path / "home")
    with served(own) as server:
        context = browser.new_context(base_url=server.base)
        page = context.new_page()
        page.goto(server.link)
        page.goto(f"/?{MAY}")
        look = "document.dispatchEvent(new Event('visibilitychange'))"
        with page.expect_response("**/newest"):
            page.evaluate(look)
        expect(page.locator("#newer")).to_have_count(0)
        deliver(own, lines([event("newer", entity="Newer")]), feed="search", name="newer.ndjson")
        run(own, hours=2)
        assert query(own, "select count(*) from fact_activity_event") == [(1201,)]
        page.wait_for_function(f"() => {{ {look}; return document.getElementById('newer'); }}", polling=500)
        expect(page.locator("#newer")).to_contain_text("Newer data are published")
        page.locator("#newer").get_by_role("button", name="Reload").click()
        expect(page.locator("#count")).to_contain_text("1,201")
        expect(page.locator("#newer")).to_have_count(0)
        context.close()


def test_each_list_is_one_stop_and_one_skips_to_the_events(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    settled(page)
    boxes = page.locator("#list-entity [data-values] input")
    assert boxes.count() > 2
    boxes.first.focus()
    page.keyboard.press("ArrowDown")
    expect(boxes.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(boxes.last).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#list-activity > summary")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(boxes.last).to_be_focused()
    page.get_by_role("link", name="Skip to the events").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#events tr.event").first.locator("td").first).to_be_focused()


def test_the_row_is_shown_while_one_scrolls(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    settled(page)
    page.locator("#scroller").evaluate("box => box.scrollTop = 6000")
    expect(page.locator(".place")).to_have_text("Row 201 of 1,200")
    expect(page.locator(".place")).to_be_hidden()
