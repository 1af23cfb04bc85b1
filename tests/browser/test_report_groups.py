"""Groups by time, cross tables and charts, as an analyst uses them: by mouse, by keyboard, without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.support import MAY, column, events_shown

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
DAY = f"{MAY}&zoom=2026-05-01T00/2026-05-02T00"


def test_groups_by_time_are_sorted_and_compared(open_page: Open) -> None:
    page = open_page(f"/groups?{DAY}&group=application")
    page.get_by_label("Group by").select_option("hour")
    rows = page.locator("#groups tbody tr")
    expect(rows).to_have_count(24)
    assert rows.nth(10).inner_text().split("\t") == ["2026-05-01 10:00", "900", "900", "0", "75.0 %", "0 %", "7"]
    expect(rows.nth(9)).to_contain_text("not looked at")
    page.get_by_role("link", name="FAILURE", exact=True).click()
    expect(rows.first).to_contain_text("2026-05-01 11:00")
    assert rows.first.inner_text().split("\t")[3:6] == ["30", "25.0 %", "10.0 %"]
    expect(page.locator("#groups th[aria-sort=descending]")).to_have_text("FAILURE ▼")
    page.locator("#groups thead").get_by_role("link", name="Events").click()
    expect(page.locator("#groups th[aria-sort=descending]")).to_have_text("Events ▼")
    page.get_by_label("Compare with the period before").check()
    expect(page.locator("#before")).to_contain_text("Before: 2026-04-30 UTC, 0 events")
    expect(page.locator("#before")).to_contain_text("so the change is not certain")
    assert rows.first.inner_text().split("\t")[-2:] == ["0", "+900 (new)"]
    page.reload()
    assert rows.first.inner_text().split("\t")[-2:] == ["0", "+900 (new)"], "all of it is in the address"
    page.get_by_role("link", name="2026-05-01 11:00").click()
    expect(page.locator("#count")).to_have_text("300 events")
    expect(page.get_by_label("Groups that are open")).to_contain_text("Hour (UTC): 2026-05-01 11:00")


def test_the_open_group_and_the_order_stay_when_the_next_level_is_another(open_page: Open) -> None:
    page = open_page(f"/groups?{DAY}&group=hour&group=entity&group=activity")
    page.locator("#groups thead").get_by_role("link", name="FAILURE", exact=True).click()
    page.wait_for_url("**order=-failure**")
    page.get_by_role("link", name="2026-05-01 11:00").click()
    open_groups = page.get_by_label("Groups that are open")
    expect(open_groups).to_contain_text("Hour (UTC): 2026-05-01 11:00")
    page.get_by_label("then by").first.select_option("outcome")
    expect(page.locator("#groups thead th").first).to_have_text("Outcome")
    expect(open_groups).to_contain_text("Hour (UTC): 2026-05-01 11:00")
    rows = page.locator("#groups tbody tr")
    expect(rows.first).to_contain_text("FAILURE")
    assert "opened=" not in page.url
    rows.first.get_by_role("link").click()
    page.wait_for_url("**path=FAILURE**")
    # Another first level closes what was open below the old one, and fewer levels leave one to be shown.
    page.get_by_label("Group by").select_option("entity")
    expect(page.locator("#groups thead th").first).to_have_text("Entity")
    page.go_back()
    expect(page.locator("#groups thead th").first).to_have_text("Activity")
    page.get_by_label("then by").nth(1).select_option("")
    expect(page.locator("#groups thead th").first).to_have_text("Outcome")
    expect(open_groups).to_contain_text("Hour (UTC): 2026-05-01 11:00")


def test_a_cross_table_leads_to_the_events_of_a_cell(open_page: Open) -> None:
    page = open_page(f"/groups?{MAY}&group=entity")
    page.get_by_label("Across").select_option("outcome")
    table = page.locator("#groups")
    expect(table.locator("thead th")).to_have_text(["Entity", "SUCCESS", "FAILURE", "All"])
    page.get_by_label("Cells show").select_option("failure_rate")
    expect(table.locator("tbody tr", has_text="Search").locator("td").nth(1)).to_have_text("100 %")
    page.get_by_label("Chart").select_option("heat")
    expect(table.locator(".shade-5")).to_have_count(1)
    page.get_by_label("Chart").select_option("stacked")
    expect(page.locator(".chart a")).to_have_count(4)
    page.get_by_role("link", name="Search, FAILURE: 100 %").click()
    expect(page.locator("#count")).to_have_text("30 events")
    assert set(column(page, "outcome")) == {"FAILURE"}
    page.go_back()
    expect(table).to_be_visible()
    page.get_by_label("Across").select_option("day")
    expect(table.locator("thead th").first).to_have_text("Entity")
    expect(table.locator("thead th .looked.not").first).to_have_attribute("title", "not looked at")


def test_groups_are_exported_as_they_are_shown(open_page: Open, tmp_path: Path) -> None:
    page = open_page(f"/groups?{DAY}&group=outcome", accept_downloads=True)
    page.get_by_role("link", name="Export").click()
    expect(page.get_by_label("The groups by Outcome", exact=False)).to_be_checked()
    with page.expect_download() as downloaded:
        page.get_by_role("button", name="Make the file").click()
    downloaded.value.save_as(tmp_path / "groups.csv")
    assert downloaded.value.suggested_filename.startswith("activity-audit-groups_2026-05-01_2026-05-01_snapshot-")
    lines = (tmp_path / "groups.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in lines] == [
        ['"Outcome"', '"Events"', '"SUCCESS"'], ['"SUCCESS"', "1170", "1170"], ['"FAILURE"', "30", "0"]
    ]  # fmt: skip


def test_a_brush_zooms_and_a_breadcrumb_leads_back(open_page: Open) -> None:
    page = open_page(f"/pictures?{DAY}")
    columns = page.locator(".chart .column")
    expect(columns).to_have_count(24)
    first, last = (columns.nth(place).locator(".hit").bounding_box() for place in (9, 11))
    assert first
    assert last
    page.mouse.move(first["x"] + 2, first["y"] + 20)
    page.mouse.down()
    page.mouse.move(last["x"] + 5, last["y"] + 30, steps=4)
    expect(page.locator(".chart .picked")).to_have_count(3)
    page.mouse.up()
    page.wait_for_url("**zoom=2026-05-01T09%2F2026-05-01T12**")
    expect(columns).to_have_count(3)
    # By keyboard: one stop, arrows, and Shift to choose several.
    columns.first.focus()
    page.keyboard.press("ArrowRight")
    expect(columns.nth(1)).to_be_focused()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#live")).to_have_text("2 chosen; Enter zooms into them")
    page.keyboard.press("Enter")
    expect(columns).to_have_count(2)
    zoomed = page.get_by_label("Zoomed into")
    expect(zoomed.get_by_role("listitem")).to_have_text(
        [
            "The chosen days",
            "2026-05-01",
            "2026-05-01 09:00 to 2026-05-01 12:00",
            "2026-05-01 10:00 to 2026-05-01 12:00",
        ]
    )
    columns.nth(1).focus()
    page.keyboard.press("Enter")
    expect(columns).to_have_count(1)
    page.get_by_role("link", name="Table", exact=True).click()
    expect(page.locator("#count")).to_have_text("300 events")
    page.get_by_label("Zoomed into").get_by_role("link", name="The chosen days").click()
    expect(page.locator("#count")).to_have_text("1,200 events")


def test_a_chart_is_chosen_and_a_field_of_the_heat_map_filters(open_page: Open) -> None:
    page = open_page(f"/pictures?{DAY}")
    kinds = page.get_by_label("Chart", exact=True)
    kinds.get_by_role("link", name="Lines").click()
    expect(page.locator("polyline")).to_have_count(2)
    page.get_by_label("Split by").select_option("entity")
    expect(page.locator("polyline")).to_have_count(4)
    expect(page.locator(".legend-line").first).to_contain_text("Chat SMS Search Voice")
    assert page.locator(".chart .not").count() == 22, "two hours were looked at"
    page.get_by_text("The same as a table").click()
    expect(page.locator("details[open] tbody tr").nth(11)).to_contain_text("2026-05-01 11:00")
    kinds.get_by_role("link", name="Heat map").click()
    field = page.get_by_role("link", name=re.compile("Friday, 11:00: 300"))
    expect(page.locator("#heat td.not").first).to_have_text("?")
    field.click()
    expect(page.locator(".chip")).to_contain_text(["Weekday (UTC): Friday", "Hour of day (UTC): 11:00"])
    page.get_by_role("link", name="Table", exact=True).click()
    assert events_shown(page) == 300
    assert {text[11:13] for text in column(page, "event_time_utc")} == {"11"}


def test_text_of_a_chart_has_one_size_on_every_screen(open_page: Open) -> None:
    sizes = []
    for width in (390, 1280):
        page = open_page(f"/pictures?{MAY}", viewport={"width": width, "height": 800})
        labels = page.locator(".chart > text:not([text-anchor=end]):visible")
        sizes.append(labels.first.bounding_box()["height"])  # type: ignore[index]
        boxes = [labels.nth(place).bounding_box() for place in range(labels.count())]
        ends = [(box["x"], box["x"] + box["width"]) for box in boxes if box]
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ends)), "none is on another"
    assert sizes[0] == sizes[1]


def test_groups_and_charts_without_scripts(open_page: Open) -> None:
    page = open_page(f"/groups?{MAY}&group=day", java_script_enabled=False)
    page.get_by_label("Across").select_option("application")
    page.get_by_role("button", name="Group", exact=True).click()
    page.get_by_role("link", name="2026-05-01, Search: 300").click()
    assert events_shown(page) == 300
    page.goto(f"/pictures?{MAY}&chart=bar")
    page.locator(".chart a").click()
    expect(page.locator(".chart .column")).to_have_count(24)
