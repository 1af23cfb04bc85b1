"""The table as a person uses it: the prompt, filters, order, columns, a long way down, mouse and keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from activity_audit.settings.core import Settings
from tests.browser.support import ANALYTICS, MAY, VIEWED, column, events_shown, settled
from tests.integration.support import query

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]


def test_the_documents_own_example(open_page: Open, home: Settings) -> None:
    page = open_page("/")
    page.get_by_label("Analytics (Interaction Analytics)").check()
    page.get_by_label("First day").fill("2026-05-01")
    page.get_by_label("Last day, included").fill("2026-05-31")
    assert page.locator("[value=from-to]").is_checked()
    page.get_by_role("button", name="Run report").click()
    assert events_shown(page) == VIEWED
    expect(page.locator("#list-entity label"), "only entities of this application").to_have_count(3)
    page.locator("#list-entity").get_by_label("Chat").check()
    page.locator(".chip", has_text="Entity: Chat").wait_for()
    page.locator("#list-activity").get_by_label("Interaction Viewed").check()
    page.locator(".chip", has_text="Activity: Interaction Viewed").wait_for()
    assert events_shown(page) == VIEWED // 3
    assert set(column(page, "entity")) == {"Chat"}
    newest = query(home, "select event_time_utc from fact_activity_event where entity = 'Chat' order by 1 desc limit 1")
    assert column(page, "event_time_utc")[0] == str(newest[0][0]), "UTC, whatever the browser's zone"

    asked = page.url
    page.reload()
    assert page.url == asked
    assert events_shown(page) == VIEWED // 3
    page.go_back()
    page.locator(".chip", has_text="Activity: Interaction Viewed").wait_for(state="detached")
    page.go_back()
    page.locator(".chip").first.wait_for(state="detached")
    assert events_shown(page) == VIEWED
    page.get_by_text("Re-Prompt").click()
    assert page.get_by_label("Analytics (Interaction Analytics)").is_checked()
    assert page.get_by_label("First day").input_value() == "2026-05-01"

    page.goto("/saved")
    page.get_by_role("link", name="chats viewed in Interaction Analytics, May 2026").click()
    assert events_shown(page) == VIEWED // 3


def test_a_long_way_down_only_what_is_in_sight_is_in_the_page(open_page: Open) -> None:
    page = open_page(f"/?{ANALYTICS}")
    page.locator("#scroller").evaluate("box => box.scrollTop = 450 * 30")
    page.get_by_text("view-0449", exact=True).wait_for()
    page.locator("#events tr.event td").first.focus()
    page.keyboard.press("Control+End")
    page.get_by_text("view-0000", exact=True).wait_for()
    assert page.locator("#events tr.event").count() < 80
    assert page.locator("#events").get_attribute("aria-rowcount") == str(VIEWED + 1)
    page.keyboard.press("Control+Home")
    page.get_by_text("view-0899", exact=True).wait_for()
    settled(page)
    page.goto(f"/?{ANALYTICS}&sort=instance")
    page.locator("#events tr.event td").first.focus()
    page.keyboard.press("Control+End")
    page.get_by_text("interaction-99", exact=True).wait_for()
    expect(page.locator("#events tr:has(:focus)")).to_have_attribute("aria-rowindex", str(VIEWED + 1))
    page.locator("#scroller").evaluate("box => box.scrollTop = 450 * 30")
    page.get_by_text("interaction-503", exact=True).wait_for()
    settled(page)


def test_without_some_columns_the_others_come_into_sight(open_page: Open) -> None:
    page = open_page(f"/?{MAY}&columns=event_time_utc,triggered_by,entity,activity,outcome")
    box = page.locator("#scroller").bounding_box()
    outcome = page.locator("#events th[data-field=outcome]").bounding_box()
    assert box
    assert outcome
    assert outcome["x"] + outcome["width"] <= box["x"] + box["width"] + 1
    assert page.locator("#scroller").evaluate("box => box.scrollWidth <= box.clientWidth")


def test_five_million_rows_fit_into_a_scrollbar(open_page: Open) -> None:
    page = open_page(f"/?{ANALYTICS}")
    found = page.evaluate("""async () => {
        const script = document.querySelector("script[type=module]").src;
        const { Window } = await import(new URL("window.js", script));
        const box = { scrollTop: 0, clientHeight: 634 };
        const rows = new Window(box, 34);
        rows.resize(5_000_000, 30);
        const seen = [];
        const scrollTo = (top) => {
            box.scrollTop = top;
            rows.scrolled();
            const { first, end, before, after } = rows.rows(0);
            const whole = Math.round(before + (end - first) * 30 + after);
            seen.push([rows.firstInSight, end - first, whole === rows.height]);
        };
        scrollTo((rows.height - 600) / 2);
        scrollTo(box.scrollTop + 300);
        rows.settle();
        scrollTo(box.scrollTop - 300);
        scrollTo(rows.height - 600);
        scrollTo(0);
        rows.reveal(4_999_999);
        seen.push([rows.firstInSight, rows.height <= 8_000_000, box.scrollTop]);
        return seen;
    }""")
    half = 2_499_990
    assert found[:5] == [
        [half, 20, True], [half + 10, 20, True], [half, 20, True], [4_999_980, 20, True], [0, 20, True]
    ]  # fmt: skip
    assert found[5] == [4_999_980, True, 8_000_000 - 600]


def test_filters_are_searched_and_apply_at_once(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    page.locator("#list-triggered_by summary").click()
    page.get_by_label("Search Triggered By").fill("READER-3")
    readers = page.locator("#list-triggered_by label")
    expect(readers).to_have_count(1)
    assert "reader-3@classics.example" in readers.first.inner_text()
    readers.first.click()
    page.locator(".chip", has_text="reader-3").wait_for()
    assert set(column(page, "triggered_by")) == {"reader-3@classics.example"}
    page.goto(
        f"/?{MAY}&event_id=view-0001&event_id=view-0002&event_id=view-0003&triggered_by=reader-3@classics.example"
    )
    expect(page.locator("#count")).to_have_text("1 event")
    page.get_by_label("Comments contain").fill("nothing such")
    page.keyboard.press("Enter")
    page.locator("#no-rows").wait_for()
    assert page.url.count("event_id") == 3
    assert "Remove one of them" in page.locator("#no-rows").inner_text()
    page.get_by_role("link", name="remove all filters").click()
    page.locator("#count").wait_for()
    assert events_shown(page) == 1200


def test_the_right_mouse_button_on_a_cell(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    page.locator("#events td.entity", has_text="Search").first.click(button="right")
    page.get_by_role("menuitem", name="Exclude “Search”").click()
    page.locator(".chip.not", has_text="Not Entity: Search").wait_for()
    assert events_shown(page) == VIEWED
    page.locator("#events td.triggered_by", has_text="reader-5").first.click(button="right")
    page.get_by_role("menuitem", name="Filter to “reader-5@classics.example”").click()
    page.locator(".chip", has_text="Triggered By: reader-5").wait_for()
    page.locator("#events td.comments").first.click(button="right")
    page.get_by_role("menuitem", name="Exclude (no value)").click()
    page.locator("#no-rows").wait_for()
    page.go_back()
    page.locator("#count").wait_for()
    page.locator("#events td.entity", has_text="Chat").first.click(button="right")
    page.get_by_role("menuitem", name="Drill down: “Chat” by Activity").click()
    page.locator("#groups").wait_for()
    expect(page.locator("#groups tbody th")).to_have_text(["Interaction Viewed"])


def test_columns_are_sorted_hidden_moved_and_sized(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    page.locator("#events th[data-field=outcome] a").click()
    page.locator("#events th[data-field=outcome][aria-sort=ascending]").wait_for()
    assert set(column(page, "outcome")[:5]) == {"FAILURE"}
    page.locator("#events th[data-field=event_id]").click(button="right")
    page.get_by_role("menuitem", name="Hide Event ID").click()
    page.locator("#events th[data-field=event_id]").wait_for(state="detached")
    page.locator("#events th[data-field=outcome]").click(button="right")
    page.get_by_role("menuitem", name="Move left").click()
    expect(page.locator("#events th").nth(4)).to_have_attribute("data-field", "outcome")
    grip = page.locator("#events th[data-field=triggered_by] .grip").bounding_box()
    assert grip
    page.mouse.move(grip["x"] + 4, grip["y"] + 9)
    page.mouse.down()
    page.mouse.move(grip["x"] + 64, grip["y"] + 9, steps=3)
    page.mouse.up()
    width = page.locator("#events th[data-field=triggered_by]").evaluate("header => header.offsetWidth")
    page.reload()
    fields = page.locator("#events th").evaluate_all("all => all.map(one => one.dataset.field)")
    assert fields[:5] == ["event_time_utc", "triggered_by", "entity", "instance", "outcome"]
    assert "event_id" not in fields
    assert page.locator("#events th[data-field=triggered_by]").evaluate("header => header.offsetWidth") == width > 230


def test_the_columns_menu(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    button = page.get_by_role("button", name="Columns")
    button.focus()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu", name="Columns")
    expect(menu.get_by_role("menuitemcheckbox", checked=True)).to_have_count(9)
    page.keyboard.press("i")
    page.keyboard.press("Enter")
    expect(page.locator("#events th[data-field=instance]")).to_have_count(0)
    expect(page.locator("#events th")).to_have_count(8)
    expect(button).to_be_focused()
    button.click()
    expect(menu.get_by_role("menuitemcheckbox", name="Instance")).to_have_attribute("aria-checked", "false")
    page.mouse.click(5, 5)
    expect(menu).to_have_count(0)
    page.locator("#events th[data-field=entity]").click(button="right")
    page.get_by_role("menuitem", name="Wider").click()
    wider = page.locator("#events th[data-field=entity]").evaluate("header => header.offsetWidth")
    button.click()
    page.get_by_role("menuitem", name="The report's own columns and widths").click()
    expect(page.locator("#events th")).to_have_count(9)
    expect(page.locator("#events th").nth(4)).to_have_attribute("data-field", "instance")
    assert page.locator("#events th[data-field=entity]").evaluate("header => header.offsetWidth") < wider


def test_with_the_keyboard_alone(open_page: Open) -> None:
    page = open_page(f"/?{ANALYTICS}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('#events td, #events th')"):
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "view-0898"
    assert not asked, "a jump inside the page is no new view: that would take the focus away when it comes"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert "view-0898" in dialog.inner_text()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    expect(page.locator("#events td:focus")).to_have_text("view-0898")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+F10")
    page.get_by_role("menu").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("menu").wait_for(state="detached")
    page.keyboard.press("Shift+F10")
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.textContent").startswith("Filter to")
    page.keyboard.press("Enter")
    page.locator(".chip").first.wait_for()
    assert events_shown(page) == VIEWED // 3
    expect(page.locator("#events td:focus")).to_have_attribute("data-field", "entity")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.locator("#events th[data-field=entity][aria-sort=ascending]:focus").wait_for()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#events td:focus")).to_have_attribute("data-field", "entity")


def test_an_event_tells_all_fields_and_where_it_came_from(open_page: Open, home: Settings) -> None:
    page = open_page(f"/?{ANALYTICS}")
    page.locator("#events td a").first.click()
    told = page.get_by_role("dialog").inner_text()
    feed_hour, uri, sha256 = query(
        home,
        "select feed_hour_utc, source_uri, (select sha256 from quality.feed_delivery where feed = 'analytics') "
        "from fact_activity_event where event_id = 'view-0899'",
    )[0]
    for text in ("view-0899", "reader-3@classics.example", "interaction-899", str(feed_hour)[:16], uri, sha256):
        assert text in told
    page.get_by_role("link", name="Open as a page of its own").click()
    page.wait_for_url("**/event?**")
    page.get_by_role("link", name="Entity: filter to").click()
    expect(page.locator(".chip")).to_contain_text("Entity: SMS")
