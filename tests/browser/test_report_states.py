"""Every other page and state: groups, pictures, export, quality, what goes wrong, small screens, no scripts, axe."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from pypdf import PdfReader

from activity_audit.settings.core import Settings
from tests.browser.support import ANALYTICS, MAY, VIEWED, column, events_shown

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

Open = Callable[..., "Page"]
NARROW = {"width": 390, "height": 780}
PAGES = (
    "/",
    f"/?{MAY}&entity=Chat&not=outcome:FAILURE",
    f"/groups?{MAY}&group=application&group=entity&path=Analytics",
    f"/pictures?{MAY}",
    f"/event?{MAY}&id=view-0001",
    f"/export?{MAY}&view=groups&group=entity&columns=outcome&sort=entity",
    f"/saved?{MAY}",
    "/quality",
    "/quality/quarantine",
    "/quality/drift",
    "/quality/checks",
    "/?period=from-to&from=2020-01-01&to=2020-01-02",
    "/?period=yesteryear",
    f"/pictures?{MAY}&zoom=2026-05-01T06/2026-05-01T14&chart=line&across=entity",
    f"/groups?{MAY}&group=weekday&across=hour_of_day&chart=heat",
    f"/groups?{MAY}&group=triggered_by&chart=stacked&compare=1",
)


def test_groups_lead_down_to_events_and_back(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    page.get_by_role("link", name="Groups").click()
    first = page.locator("#groups tbody tr").first
    assert first.inner_text().split("\t") == ["Analytics", "900", "900", "0", "75.0 %", "0 %", "7"]
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.locator("#groups thead th").first).to_have_text("Entity")
    page.get_by_label("then by").last.select_option("outcome")
    page.wait_for_url("**group=outcome**")
    expect(page.get_by_label("Groups that are open")).to_contain_text("Application: Search")
    expect(page.locator("#groups thead th").first).to_have_text("Entity")
    page.locator("#groups tbody a").click()
    expect(page.locator("#groups thead th").first).to_have_text("Outcome")
    page.locator("#groups tbody").get_by_role("link", name="FAILURE").click()
    expect(page.locator("#count")).to_have_text("30 events")
    assert set(column(page, "outcome")) == {"FAILURE"}
    page.locator("#events td.triggered_by").first.click(button="right")
    page.get_by_role("menuitem", name="Group by Triggered By").click()
    expect(page.locator("#groups caption")).to_contain_text("30 events by Triggered By")
    page.go_back()
    page.get_by_label("Groups that are open").get_by_role("link", name="Application: Search").click()
    expect(page.locator("#groups thead th").first).to_have_text("Entity")


def test_a_group_that_the_filters_leave_out_is_closed(open_page: Open) -> None:
    page = open_page(f"/?{MAY}&group=entity&path=Chat")
    expect(page.locator("#count")).to_have_text("300 events")
    page.locator("#list-entity").get_by_label("Voice").check()
    expect(page.locator(".chip")).to_contain_text("Entity: Voice")
    expect(page.get_by_label("Groups that are open")).to_have_count(0)
    assert (events_shown(page), set(column(page, "entity"))) == (300, {"Voice"})


def test_a_bar_filters(open_page: Open) -> None:
    page = open_page(f"/pictures?{MAY}")
    bars = page.locator(".chart a")
    expect(bars).to_have_count(1)
    bars.first.click()
    page.wait_for_url("**zoom=2026-05-01T00%2F2026-05-02T00**")
    expect(bars).to_have_count(2)
    assert bars.nth(1).get_attribute("aria-label") == "2026-05-01 11:00 UTC: 270 SUCCESS, 30 FAILURE"
    page.get_by_role("link", name="Voice").click()
    page.locator(".chip", has_text="Entity: Voice").wait_for()
    page.get_by_role("link", name="Table", exact=True).click()
    expect(page.locator("#count")).to_have_text("300 events")


def test_an_export_is_made_in_its_dialog(open_page: Open, tmp_path: Path) -> None:
    import pandas

    page = open_page(f"/?{ANALYTICS}&entity=Chat", accept_downloads=True)
    for name, read in (("CSV", pandas.read_csv), ("XLSX", pandas.read_excel), ("Parquet", pandas.read_parquet)):
        page.get_by_role("link", name="Export").click()
        assert (
            page.get_by_role("link", name="Open as a page of its own").get_attribute("href").find("snapshot=2&now=") > 0
        )
        page.get_by_label(name, exact=False).check()
        with page.expect_download() as downloaded:
            page.get_by_role("button", name="Make the file").click()
        kept = tmp_path / downloaded.value.suggested_filename
        downloaded.value.save_as(kept)
        rows = read(kept)
        assert len(rows) == VIEWED // 3, name
        assert set(rows["Entity"]) == {"Chat"}
        assert rows["Event ID"][0] == "view-0897"
        about = page.get_by_role("link", name="What it is about")
        expect(about).to_have_count(1 if name == "CSV" else 0)
        if name == "CSV":
            told = page.request.get(str(about.get_attribute("href"))).json()
            assert (told["rows"], told["filters"]["entities"]) == (VIEWED // 3, ["Chat"])
        page.get_by_role("button", name="Close").click()
    page.get_by_role("link", name="Export").click()
    files = page.get_by_role("dialog").get_by_role("listitem")
    expect(files).to_have_count(3)
    expect(files.first).to_contain_text("done, 300 events")
    page.get_by_label("PDF", exact=False).check()
    with page.expect_download() as downloaded:
        page.get_by_role("button", name="Make the file").click()
    downloaded.value.save_as(tmp_path / "report.pdf")
    assert "Events: all" in "".join(one.extract_text() for one in PdfReader(tmp_path / "report.pdf").pages)


def test_an_export_is_the_view(open_page: Open, tmp_path: Path) -> None:
    import openpyxl
    import pandas

    def made() -> Path:
        with page.expect_download() as downloaded:
            page.get_by_role("button", name="Make the file").click()
        kept = tmp_path / downloaded.value.suggested_filename
        downloaded.value.save_as(kept)
        return kept

    page = open_page(f"/?{ANALYTICS}&columns=instance,entity,event_id&sort=instance", accept_downloads=True)
    page.get_by_role("link", name="Export").click()
    expect(page.get_by_label("As shown")).to_be_checked()
    expect(page.get_by_label("As sorted")).to_be_checked()
    kept = made()
    assert kept.name == "activity-audit_Analytics_2026-05-01_2026-05-31_snapshot-2.csv"
    rows = pandas.read_csv(kept)
    assert list(rows.columns) == ["Instance", "Entity", "Event ID"]
    assert list(rows["Instance"]) == sorted(rows["Instance"])
    page.get_by_label("All nine").check()
    page.get_by_label("Newest first").check()
    rows = pandas.read_csv(made())
    assert (len(rows.columns), rows["Event ID"][0]) == (9, "view-0899")
    page.get_by_role("button", name="Close").click()
    page.goto(f"/groups?{MAY}&group=entity&across=outcome")
    page.get_by_role("link", name="Export").click()
    page.get_by_label("XLSX for Excel").check()
    book = openpyxl.load_workbook(made())
    found = list(book["Activity Audit"].iter_rows(values_only=True))
    assert found[0] == ("Entity", "Outcome: SUCCESS", "Outcome: FAILURE", "All")
    assert ("Search", 270, 30, 300) in found
    page.goto(dict(book["About"].iter_rows(values_only=True))["Link to the view"])
    expect(page.locator("#groups-caption")).to_contain_text("1,200 events by Entity and Outcome")


def test_a_report_opens_as_it_was_saved(open_page: Open) -> None:
    page = open_page(f"/groups?{MAY}&group=entity")
    page.get_by_role("link", name="Save this view").click()
    page.get_by_label("Name", exact=True).fill("entities of May")
    page.get_by_label("Description").fill("what the board asks for")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("what the board asks for")).to_be_visible()
    page.get_by_role("link", name="entities of May", exact=True).click()
    page.wait_for_url("**/groups?**group=entity")
    expect(page.locator("#groups thead th").first).to_have_text("Entity")
    expect(page.locator("#opened-report")).to_have_text("Saved report entities of May")
    page.get_by_label("Group by").select_option("activity")
    expect(page.locator("#groups thead th").first).to_have_text("Activity")
    expect(page.locator("#opened-report")).to_have_text("Saved report entities of May, changed")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replace “entities of May”?")
    page.get_by_role("link", name="Activity Audit", exact=True).click()
    expect(page.get_by_role("button", name="Run report")).to_be_visible()
    page.goto("/saved")
    page.get_by_role("button", name="Share: entities of May").click()
    page.goto(f"/groups?{MAY}&group=activity")
    page.get_by_role("link", name="Save this view").click()
    page.get_by_label("Name", exact=True).fill("Entities of may")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replace “entities of May”?")
    expect(page.get_by_label("Everybody who may view the report")).to_be_checked()
    page.get_by_role("link", name="Choose another name").click()
    expect(page.get_by_role("link", name="entities of May", exact=True)).to_have_attribute(
        "href", f"/groups?{MAY}&group=entity"
    )
    page.get_by_label("Name", exact=True).fill("Entities of may")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Replace").click()
    row = page.locator("tr", has=page.get_by_role("link", name="Entities of may", exact=True))
    expect(row).to_contain_text("yours, shared")
    expect(row.get_by_role("link")).to_have_attribute("href", f"/groups?{MAY}&group=activity")
    page.get_by_role("button", name="Delete: Entities of may").click()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("button", name="Delete: Entities of may").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url("**/saved")
    expect(page.get_by_role("link", name="Entities of may", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Undo: Entities of may").click()
    expect(row).to_contain_text("what the board asks for")
    page.get_by_role("button", name="Delete: Entities of may").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("link", name="Entities of may", exact=True)).to_have_count(0)


def test_a_favourite_is_at_hand_and_one_report_opens_first(open_page: Open) -> None:
    page = open_page(f"/groups?{MAY}&group=entity")
    page.get_by_role("link", name="Save this view").click()
    page.get_by_label("Name", exact=True).fill("of every day")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Edit: of every day").click()
    assert "csrf" not in page.url
    page.get_by_label("Description").fill("for the morning")
    page.get_by_label("Share with roles").fill("auditor")
    page.get_by_role("button", name="Save changes").click()
    row = page.locator("tr", has=page.get_by_role("link", name="of every day", exact=True))
    expect(row).to_contain_text("for the morning")
    expect(row).to_contain_text("shared with role auditor")
    star = row.get_by_role("button", name="Favourite: of every day")
    expect(star).to_have_attribute("aria-pressed", "false")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    page.goto(f"/?{MAY}")
    menu = page.locator(".drop")
    menu.get_by_text("Favourites").click()
    menu.get_by_role("link", name="of every day").press("Escape")
    expect(menu.get_by_role("link", name="of every day")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(menu.get_by_role("link", name="of every day")).to_be_visible()
    page.locator("h1").click()
    expect(menu.get_by_role("link", name="of every day")).to_be_hidden()
    menu.get_by_text("Favourites").click()
    menu.get_by_role("link", name="of every day").click()
    page.wait_for_url("**/groups?**group=entity")
    page.goto("/saved")
    page.get_by_role("button", name="Open first: of every day").click()
    expect(row).to_contain_text("Opens first")
    page.get_by_role("link", name="Activity Audit", exact=True).click()
    page.wait_for_url("**/groups?**group=entity")
    # The star beside its name leads back to the same page.
    page.get_by_role("button", name="Favourite: of every day").click()
    expect(page.get_by_role("button", name="Favourite: of every day")).to_have_attribute("aria-pressed", "false")
    page.wait_for_url("**/groups?**group=entity")
    expect(menu).to_have_count(0)
    page.goto("/saved")
    page.get_by_role("button", name="Do not open first: of every day").click()
    page.get_by_role("link", name="Report", exact=True).click()
    expect(page.get_by_role("button", name="Run report")).to_be_visible()
    page.goto("/saved")
    page.get_by_role("button", name="Delete: of every day").click()
    page.get_by_role("button", name="Delete", exact=True).click()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_period_that_is_none_is_told_at_its_field_and_all_else_is_kept(open_page: Open, scripts: bool) -> None:
    page = open_page(
        f"/pictures?{MAY}&application=Analytics&entity=Chat&comments=x&columns=outcome", java_script_enabled=scripts
    )
    page.get_by_text("Re-Prompt").click()
    page.get_by_label("First day").fill("2026-06-02")
    page.get_by_role("button", name="Run report").click()
    wrong = page.locator("#wrong-period")
    expect(wrong).to_have_text("The period ends on 2026-05-31, before it begins on 2026-06-02.")
    expect(page.get_by_text("link cannot be read")).to_have_count(0)
    expect(page.get_by_label("First day")).to_have_value("2026-06-02")
    expect(page.get_by_label("First day")).to_be_focused()
    expect(page.get_by_label("Analytics (Interaction Analytics)")).to_be_checked()
    page.get_by_label("First day").fill("2026-05-01")
    page.get_by_role("button", name="Run report").click()
    page.wait_for_url("**/pictures?**")
    asked = parse_qs(urlsplit(page.url).query)
    assert (asked["from"], asked["application"], asked["entity"]) == (["2026-05-01"], ["Analytics"], ["Chat"])
    assert (asked["comments"], asked["columns"]) == (["x"], ["outcome"])


def test_the_auditors_page_is_linked_once_it_is_there(open_page: Open, home: Settings) -> None:
    page = open_page("/quality")
    link = page.get_by_role("navigation", name="Elsewhere").get_by_role("link", name="Auditor's page")
    expect(link).to_have_count(0)
    home.review_file.write_text("<h1>Activity audit review</h1>")
    try:
        page.reload()
        link.click()
        expect(page.get_by_role("heading")).to_have_text("Activity audit review")
    finally:
        home.review_file.unlink()


def test_a_printed_report_is_light_and_has_what_matters(open_page: Open) -> None:
    page = open_page(f"/?{MAY}&entity=Chat", color_scheme="dark")
    printed = PdfReader(BytesIO(page.pdf(prefer_css_page_size=True, print_background=True))).pages
    assert printed[0].mediabox.width > printed[0].mediabox.height
    text = " ".join("".join(one.extract_text() for one in printed).split())
    for said in (
        "Data through",
        "2026-05-01 to 2026-05-31 UTC",
        "Entity: Chat",
        "300 events",
        "view-0897",
        "All times",
    ):
        assert said in text, said
    for column_title in ("Event Time (UTC)", "Triggered By", "Outcome", "Comments"):
        assert column_title in text, column_title
    for said in ("Re-Prompt", "Sign out", "Export Save", "Apply filters", "Columns"):
        assert said not in text, said
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    table, around = page.locator("#events").bounding_box(), page.locator("#results").bounding_box()
    assert table
    assert around
    assert table["width"] <= around["width"] + 1, "no column is cut off"


def test_what_goes_wrong_is_said_with_what_to_do(open_page: Open) -> None:
    page = open_page("/nowhere")
    expect(page.get_by_role("heading")).to_have_text("There is no such page")
    page.goto(f"/?{MAY}&entty=Chat")
    expect(page.locator("#message")).to_contain_text("The report does not know “entty”")
    page.goto(f"/event?{MAY}&id=nothing-such")
    expect(page.locator("#message")).to_contain_text("no event with the ID “nothing-such”")
    page.goto("/?period=from-to&from=2020-01-01&to=2020-01-02")
    expect(page.locator("#no-rows")).to_contain_text("the warehouse has data through 2026-05-01 12:00 UTC")
    page.goto(f"/?{MAY}")
    expect(page.get_by_text("These data are stale.")).to_be_visible()

    page.route("**/?**outcome=FAILURE**", lambda route: route.abort())
    page.locator("#list-outcome").get_by_label("FAILURE").click()
    expect(page.locator("#notice")).to_contain_text("cannot be reached")
    expect(page.locator("#list-outcome").get_by_label("FAILURE")).not_to_be_checked()
    expect(page.locator("#notice")).to_be_in_viewport()
    page.unroute("**/?**outcome=FAILURE**")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#count")).to_have_text("30 events")

    page.route("**/event?**", lambda route: route.abort())
    page.locator("#events td a").first.click()
    expect(page.locator("#notice")).to_contain_text("cannot be reached")
    page.unroute("**/event?**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("dialog")).to_contain_text("Where it came from")
    page.go_back()
    expect(page.locator("#count")).to_have_text("1,200 events")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_query_is_cancelled(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    held: list[Route] = []
    page.route("**/?**entity=Chat**", lambda route: held.append(route))
    page.locator("#list-entity").get_by_label("Chat").check()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#notice")).to_contain_text("Cancelled")
    assert events_shown(page) == 1200
    assert held


def test_a_query_that_fails(open_page: Open, home: Settings) -> None:
    page = open_page(f"/?{MAY}")
    data = home.home / "warehouse" / "data"
    data.rename(data.with_name("away"))
    try:
        page.goto(f"/?{MAY}&comments=searched+for+7&sort=comments")
        expect(page.get_by_role("heading")).to_have_text("The warehouse cannot be read")
    finally:
        data.with_name("away").rename(data)
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("#count")).to_have_text("11 events")


def test_rows_that_cannot_be_had(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    page.route("**/rows?**", lambda route: route.abort())
    page.locator("#scroller").evaluate("box => box.scrollTop = 600 * 30")
    failed = page.locator("#rows-failed")
    expect(failed).to_contain_text("The report cannot be reached")
    page.unroute("**/rows?**")
    failed.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("view-0599", exact=True)).to_be_visible()
    page.context.clear_cookies()
    page.locator("#scroller").evaluate("box => box.scrollTop = 1100 * 30")
    expect(failed).to_contain_text("You are not signed in")


def test_a_session_that_is_over(open_page: Open) -> None:
    page = open_page(f"/?{MAY}")
    page.context.clear_cookies()
    page.get_by_role("link", name="Groups").click()
    expect(page.get_by_role("heading")).to_have_text("You are not signed in")


def test_on_a_narrow_screen(open_page: Open) -> None:
    page = open_page(f"/?{ANALYTICS}", viewport=NARROW, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    expect(page.locator("#filter-form")).to_be_hidden()
    page.locator("[data-filters] > summary").click()
    page.locator("#list-entity").get_by_label("Voice").check()
    expect(page.locator("#count")).to_have_text("300 events")
    page.get_by_role("button", name="Sort").click()
    page.get_by_role("menuitemcheckbox", name="Event Time (UTC)", checked=True).click()
    row = page.locator("#events tr.event").first
    expect(row).to_contain_text("2026-05-01 10:00:04")
    assert [part in row.inner_text() for part in ("SUCCESS", "Voice", "Interaction Viewed", "reader-")] == [True] * 4
    row.click()
    expect(page.get_by_role("dialog")).to_contain_text("Where it came from")
    for path in PAGES:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], path


_BROKEN_WORDS = """
[...document.querySelectorAll('.plain-table td, .plain-table th')].flatMap(cell => {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), broken = [];
  for (let text; (text = walker.nextNode()); )
    for (const word of text.data.matchAll(/\\w{1,28}(?!\\w)/g)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(one => one.top)).size > 1) broken.push(word[0]);
    }
  return broken;
})
"""


def test_a_phone_breaks_no_word_and_shows_hours_beside_their_feed(open_page: Open) -> None:
    page = open_page("/quality", viewport=NARROW, has_touch=True)
    expect(page.locator("#coverage")).to_contain_text("Since 2026-05-01 10:00 UTC: ")
    hour = page.locator(".heat").first.locator("tbody tr").first.locator("td").nth(4).bounding_box()
    assert hour
    assert hour["x"] + hour["width"] < NARROW["width"]
    for path in ("/quality/checks", "/quality/drift", "/quality/quarantine"):
        page.goto(path)
        assert page.evaluate(_BROKEN_WORDS) == [], path


def test_without_scripts(open_page: Open) -> None:
    page = open_page("/", java_script_enabled=False)
    page.get_by_label("Analytics (Interaction Analytics)").check()
    page.locator("[value=from-to]").check()
    page.get_by_label("First day").fill("2026-05-01")
    page.get_by_label("Last day, included").fill("2026-05-31")
    page.get_by_role("button", name="Run report").click()
    page.locator("#list-entity").get_by_label("Chat").check()
    page.get_by_role("button", name="Apply filters").click()
    assert events_shown(page) == VIEWED // 3
    assert page.url.endswith("?period=from-to&from=2026-05-01&to=2026-05-31&application=Analytics&entity=Chat")
    assert len(column(page, "entity")) == 200
    page.get_by_role("link", name="Rows after").click()
    assert len(column(page, "entity")) == 100
    page.get_by_role("link", name="Rows before").click()
    assert len(column(page, "entity")) == 200
    page.get_by_role("link", name="Instance").click()
    assert column(page, "instance")[0] == "interaction-0"


@pytest.mark.parametrize("pages", [PAGES[::2], pytest.param(PAGES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_axe_finds_nothing_serious(open_page: Open, pages: tuple[str, ...]) -> None:
    page = open_page("/", bypass_csp=True)
    axe = Axe()
    for path in pages:
        page.goto(path)
        assert not _serious(axe.run(page)), path


# Each with other marks than those before, in the usual run.
@pytest.mark.parametrize("pages", [PAGES[3:10:3], pytest.param(PAGES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_colours_are_told_apart_where_it_is_dark(open_page: Open, pages: tuple[str, ...]) -> None:
    page = open_page("/", bypass_csp=True, color_scheme="dark")
    axe = Axe()
    for path in pages:
        page.goto(path)
        # The scheme changes nothing but colours.
        assert not _serious(axe.run(page, options={"runOnly": ["color-contrast"]})), path


def _serious(found: AxeResults) -> list[tuple[str, list[str]]]:
    return [
        (one["id"], [node["html"][:200] for node in one["nodes"]][:3])
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
