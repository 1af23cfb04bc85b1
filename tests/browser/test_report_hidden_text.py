"""Texts that cannot be seen, and long ones, in a browser: what is shown, what is copied, what a menu filters by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from activity_audit.settings.core import Settings, load_settings
from tests.browser.support import MAY, events_shown
from tests.integration.support import deliver, event, lines, run

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
TURNED, SHOWN = "invoice\u202egnp.exe", "invoice⟨U+202E⟩gnp.exe"
LONG = "long " * 20_000 + "text"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """More events than a page has rows: some in the page as it comes, some that its script asks for."""
    settings = load_settings(home=tmp_path_factory.mktemp("hidden") / "home")
    odd = (("turned", {"instance": TURNED}), ("nul", {"instance": "a\0b"}), ("long", {"comments": LONG}))
    late = [event(f"{name}-late", eventTime="2026-05-01T10:50:00Z") | said for name, said in odd]
    early = [event(f"{name}-early", eventTime="2026-05-01T10:01:00Z") | said for name, said in odd]
    deliver(settings, lines([*late, *early, *(event(f"e-{number:03}") for number in range(300))]))
    run(settings)
    return settings


@pytest.mark.parametrize("where", [pytest.param("late", marks=pytest.mark.slow), "early"])
def test_a_menu_has_the_text_itself(open_page: Open, where: str) -> None:
    page = open_page(f"/?{MAY}", permissions=["clipboard-read", "clipboard-write"])

    def menu_of(event_id: str, field: str, item: str) -> None:
        # The row may be a long way down.
        page.locator("#scroller").evaluate(f"box => box.scrollTop = {0 if where == 'late' else 'box.scrollHeight'}")
        row = page.locator("#events tr.event", has_text=event_id)
        row.locator(f"[data-field={field}]").click(button="right")
        page.get_by_role("menuitem", name=item).click()

    shown = page.locator("#events tr.event", has_text=f"turned-{where}").locator("[data-field=instance]")
    menu_of(f"turned-{where}", "instance", "Copy the cell")
    assert page.evaluate("navigator.clipboard.readText()") == TURNED
    expect(shown).to_have_text(SHOWN)
    menu_of(f"turned-{where}", "instance", "Filter to")
    expect(page.locator(".chip")).to_contain_text(SHOWN)
    assert events_shown(page) == 2

    page.goto(f"/?{MAY}")
    menu_of(f"nul-{where}", "instance", "Filter to")
    expect(page.locator(".chip")).to_contain_text("a⟨U+0000⟩b")
    assert events_shown(page) == 2
    # The box in the list is checked, and is sent back with the next filter.
    page.locator("#list-outcome").get_by_label("SUCCESS").check()
    page.locator(".chip", has_text="Outcome").wait_for()
    assert events_shown(page) == 2

    page.goto(f"/?{MAY}")
    menu_of(f"long-{where}", "comments", "Exclude")
    expect(page.locator(".chip")).to_contain_text("a long text")
    assert events_shown(page) == 304
    page.goto(f"/?{MAY}")
    menu_of(f"long-{where}", "comments", "Filter to")
    page.get_by_role("navigation", name="Groups that are open").wait_for()
    assert events_shown(page) == 2
