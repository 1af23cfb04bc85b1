"""A report for a team: signing in with a password, out again, and what becomes of a session that is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from activity_audit.report.access.users import hashed
from activity_audit.settings.core import Settings
from tests.browser.support import MAY, events_shown
from tests.integration.report_support import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PASSWORD = "to the lighthouse"


@pytest.fixture
def page(browser: Browser, home: Settings, tmp_path: Path) -> Iterator[Page]:
    """A page of somebody who is not signed in yet; `clarissa` may view, and fields are masked for `mira`."""
    users = tmp_path / "users.toml"
    roles = {"clarissa": "viewer", "mira": "masked-viewer"}
    users.write_text(
        "".join(f"[users.{one}]\npassword = '{hashed(PASSWORD)}'\nroles = ['{roles[one]}']\n" for one in roles)
    )
    with served(home, AUDIT_REPORT_AUTH="users", AUDIT_REPORT_USERS_FILE=str(users)) as server:
        context = browser.new_context(base_url=server.base)
        context.set_default_timeout(30_000)
        yield context.new_page()
        context.close()


def _sign_in(page: Page, password: str, name: str = "clarissa") -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_signing_in_and_out(page: Page) -> None:
    page.goto(f"/?{MAY}&entity=Chat")
    _sign_in(page, "to the lightship")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_label("Name")).to_have_value("clarissa")
    expect(page.get_by_label("Password")).to_have_value("")
    _sign_in(page, PASSWORD)
    expect(page.locator(".chip")).to_contain_text("Entity: Chat")
    assert events_shown(page) == 300, "the page that was asked for"
    assert page.get_by_role("link", name="Export").count() == 0, "a viewer may not"
    expect(page.locator("header .muted")).to_have_text("clarissa")

    # The session ends in another tab while this one shows a report.
    other = page.context.new_page()
    other.goto("/quality")
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("button", name="Sign out")).to_have_count(0)
    page.locator("#scroller").evaluate("box => box.scrollTop = 290 * 30")
    expect(page.locator("#rows-failed")).to_contain_text("You are not signed in")
    page.get_by_label("Search Entity").fill("c")
    expect(page.locator("#list-entity ul")).to_contain_text("The values cannot be had just now.")
    page.locator("#list-outcome").get_by_label("SUCCESS").check()
    page.wait_for_url("**/login?**")
    _sign_in(page, PASSWORD)
    expect(page.locator(".chip")).to_have_count(3)
    assert events_shown(page) == 300


def test_menus_offer_nothing_that_asks_by_a_masked_field(page: Page) -> None:
    page.goto(f"/?{MAY}")
    _sign_in(page, PASSWORD, "mira")
    items = page.get_by_role("menuitem")
    for field, offered in (("triggered_by", False), ("entity", True)):
        for part in ("td", "th"):
            page.locator(f"#events {part}[data-field={field}]").first.click(button="right")
            found = " ".join(items.all_inner_texts())
            assert [word in found for word in ("Sort A", "Group by")] == [offered, offered], found
            assert ("Exclude" in found) == (offered and part == "td"), found
            assert "Copy the cell" in found or part == "th"
            page.keyboard.press("Escape")
    # An activity is not counted by people either.
    page.locator("#events td[data-field=activity]").first.click(button="right")
    assert "Drill down" not in " ".join(items.all_inner_texts())
