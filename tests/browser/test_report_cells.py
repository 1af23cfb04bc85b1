"""Cells that are selected and copied, and columns as wide as one wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.support import MAY

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
_PERMITTED = {"permissions": ["clipboard-read", "clipboard-write"]}


def _pasted(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_cells_are_selected_and_copied(open_page: Open) -> None:
    page = open_page(f"/?{MAY}&application=Search&columns=event_time_utc,event_id,comments", **_PERMITTED)
    rows = page.locator("#events tr.event")
    rows.nth(0).locator("td.event_id").click()
    rows.nth(2).locator("td.comments").click(modifiers=["Shift"])
    expect(page.locator("#events td[aria-selected=true]")).to_have_count(6)
    page.keyboard.press("Control+c")
    expect(page.locator("#said")).to_have_text("Copied 6 cells")
    lines = [f"search-0{number}\tsearched for {number}" for number in (299, 298, 297)]
    assert _pasted(page) == "\n".join(lines)
    page.keyboard.press("ArrowUp")
    expect(page.locator("#events td.selected")).to_have_count(0)
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Control+c")
    expect(page.locator("#said")).to_have_text("Copied 4 cells")
    assert _pasted(page) == "\n".join(lines[:2])
    rows.nth(3).locator("td.comments").hover()
    page.mouse.down()
    rows.nth(5).locator("td.event_id").hover()
    page.mouse.up()
    expect(page.locator("#events td.selected")).to_have_count(6)
    rows.nth(4).locator("td.comments").click(button="right")
    page.get_by_role("menuitem", name="Copy the selected cells").click()
    expect(page.locator("#said")).to_have_text("Copied 6 cells")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator("#events td.comments").first.click()
    page.keyboard.press("Control+c")
    expect(page.locator("#said")).to_have_text("Copied")
    assert _pasted(page) == "searched for 299"


def test_columns_fit_and_the_time_stays(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")

    def width(what: str) -> int:
        return int(page.locator(what).evaluate("one => one.offsetWidth"))

    whole, title = width("#events"), "#events th[data-field=triggered_by]"
    cut = page.locator("#events td.triggered_by").first
    cut.evaluate("cell => { cell.closest('table').querySelector('col.triggered_by').style.width = '80px'; }")
    cut.hover()
    expect(cut).to_have_attribute("title", cut.inner_text())
    before = width(title)
    grip = page.locator(f"{title} .grip").bounding_box()
    assert grip
    page.mouse.dblclick(grip["x"] + 3, grip["y"] + 9)
    expect(page.locator("#events")).to_have_class("events chosen")
    assert 70 <= width(title) != before
    time = page.locator("#events td.event_time_utc").first
    left = time.bounding_box()
    page.locator("#scroller").evaluate("box => box.scrollLeft = 400")
    assert time.bounding_box() == left
    page.locator("#events th[data-field=comments]").click(button="right")
    page.get_by_role("menuitem", name="Hide Comments").click()
    expect(page.locator("#events th")).to_have_count(8)
    assert width("#events") < whole - 150
