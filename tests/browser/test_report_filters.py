"""Filters where a person looks for them: at a column's title, in the pane, in one search over all columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.support import MAY, column, events_shown

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]


def test_a_column_is_filtered_at_its_title(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    page.get_by_role("button", name="More about Entity").click()
    page.get_by_role("menuitem", name="Filter…").click()
    form = page.get_by_role("dialog", name="Filter Entity")
    form.get_by_label("Text").fill("OIC")
    page.keyboard.press("Enter")
    page.locator(".chip", has_text="Entity contains: OIC").wait_for()
    assert events_shown(page) == 300
    assert set(column(page, "entity")) == {"Voice"}
    expect(page.locator("#events th:focus-within")).to_have_attribute("data-field", "entity")
    expect(page.locator("#events th[data-field=entity]")).to_contain_text("filtered")
    expect(page.locator("#list-entity label"), "its own list is counted under all other filters").to_have_count(4)
    expect(page.locator("#list-application label .count")).to_have_text(["300"])

    page.locator("#events td.comments").first.click(button="right")
    page.get_by_role("menuitem", name="Filter…").click()
    form = page.get_by_role("dialog", name="Filter Comments")
    form.get_by_label("Condition").select_option("is not empty")
    expect(form.get_by_label("Text")).to_be_hidden()
    form.get_by_role("button", name="Filter").click()
    page.locator("#no-rows").wait_for()
    page.locator(".chip", has_text="Entity contains").click()
    expect(page.locator("#count")).to_have_text("301 events")

    page.locator("#events th[data-field=event_time_utc] a").focus()
    page.keyboard.press("Shift+F10")
    page.keyboard.press("Enter")
    page.keyboard.type("10:30-11:10")
    page.keyboard.press("Enter")
    page.locator(".chip", has_text="Time of day: 10:30-11:10 UTC").wait_for()
    assert events_shown(page) == 60
    page.get_by_role("link", name="Groups").click()
    expect(page.locator("#groups tbody th")).to_have_text(["Search"])
    assert "time-of-day=10%3A30-11%3A10" in page.url
    assert "not-empty=comments" in page.url


def test_one_search_looks_through_all_columns(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    search = page.get_by_role("searchbox", name="Search all columns")
    search.fill("Searched for 29")
    search.press("Enter")
    page.locator(".chip", has_text="Search: Searched for 29").wait_for()
    assert events_shown(page) == 11
    search.fill("reader-3")
    search.press("Enter")
    expect(page.locator("#count")).to_have_text("129 events")
    page.get_by_role("link", name="Pictures").click()
    page.locator("#over-time").wait_for()
    page.get_by_role("link", name="Remove Search: reader-3").click()
    # Until the page has come, its links still have the search.
    expect(page.locator(".chip", has_text="Search: reader-3")).to_have_count(0)
    page.get_by_role("link", name="Table").click()
    expect(page.locator("#count")).to_have_text("1,200 events")


def test_applications_are_chosen_in_the_pane(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    page.locator("#list-application").get_by_label("Search", exact=False).last.check()
    expect(page.locator("#count")).to_have_text("300 events")
    expect(page.locator("#list-application .count")).to_have_text(["900", "300"])
    expect(page.locator("#list-entity .count")).to_have_text(["300"])
    page.get_by_text("Re-Prompt").click()
    assert page.locator("#prompt [name=application]:checked").count() == 1


def test_a_column_is_filtered_without_scripts(open_page: Open) -> None:
    page = open_page(f"/?{MAY}&group=entity", java_script_enabled=False)
    page.get_by_text("Filter by a column").click()
    form = page.locator("#column-form")
    form.get_by_label("Column").select_option("Triggered By")
    form.get_by_label("Condition").select_option("is not")
    form.get_by_label("Text").fill("reader-3@classics.example")
    form.get_by_role("button", name="Filter").click()
    expect(page.locator(".chip.not")).to_contain_text("Not Triggered By: reader-3@classics.example")
    assert page.url.endswith("&not=triggered_by%3Areader-3%40classics.example&group=entity")
    expect(page.locator("#count")).to_have_text("1,071 events")


def test_the_period_is_chosen_in_a_calendar_or_to_the_minute(open_page: Open) -> None:
    page = open_page("/")
    page.get_by_role("button", name="Calendar").click()
    dialog = page.get_by_role("dialog", name="Choose the period")
    expect(dialog.get_by_role("heading"), "the month of the newest data").to_have_text("May 2026")
    loaded = dialog.get_by_role("button", name="2026-05-01, loaded in part")
    expect(loaded).to_be_focused()
    expect(dialog.get_by_role("button", name="2026-05-02, not loaded")).to_be_visible()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_have_text("From 2026-05-01. Choose the last day.")
    page.keyboard.press("PageDown")
    dialog.get_by_role("button", name="2026-06-02, not loaded").click()
    expect(page.get_by_label("First day")).to_have_value("2026-05-01")
    expect(page.get_by_label("Last day, included")).to_have_value("2026-06-02")
    assert page.locator("[value=from-to]").is_checked()
    page.get_by_label("First day").fill("2026-05-01 10:30")
    page.get_by_label("Last day, included").fill("2026-05-01 11:10")
    page.get_by_role("button", name="Run report").click()
    expect(page.locator("#count")).to_have_text("510 events")
    expect(page.locator("#about")).to_contain_text("2026-05-01 10:30 to 2026-05-01 11:10 UTC")
    assert "from=2026-05-01T10%3A30&to=2026-05-01T11%3A10" in page.url
    page.get_by_text("Re-Prompt").click()
    expect(page.get_by_label("First day")).to_have_value("2026-05-01 10:30")
