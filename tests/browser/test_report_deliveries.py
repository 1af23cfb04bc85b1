"""“Send me this every Monday”, and “tell me if there is any”: subscribe, ask, see it, stop it."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from activity_audit.report.delivery.book import Book, Finding, Question, add_in
from activity_audit.settings.core import Settings
from tests import warm_process
from tests.browser.support import MAY
from tests.integration.support import AUDIT, process_environment

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def link(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The link of a report that may deliver by mail and into a folder."""
    places = {
        "AUDIT_DELIVERY_PATH": str(tmp_path_factory.mktemp("delivered")),
        "AUDIT_DELIVERY_SMTP": "smtp://127.0.0.1:1?from=audit@example.org",
        "AUDIT_DELIVERY_DOMAINS": "example.org",
    }
    environment = process_environment(home, **places)
    command = [AUDIT, "report", "--port", "0"]
    with warm_process.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said
        yield said[0]
        server.send_signal(signal.SIGINT)


def _serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [one["id"] for one in found if one["impact"] in ("serious", "critical")]


def test_send_me_this_every_monday(open_page: Open, home: Settings) -> None:
    page = open_page(f"/?{MAY}")
    page.get_by_role("link", name="Save this view").click()
    page.get_by_label("Name", exact=True).fill("mine of May")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Deliver: mine of May").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Deliver “mine of May”")
    assert _serious(page) == []
    # The week is what the form begins with.
    page.get_by_label("Addresses").fill("ann@elsewhere.example")
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_text("is not an address of example.org")).to_be_visible()
    page.go_back()
    page.get_by_label("Addresses").fill("ann@example.org")
    page.get_by_role("button", name="Subscribe").click()
    row = page.locator("tr", has=page.get_by_role("rowheader", name="mine of May"))
    expect(row).to_contain_text("every Monday, XLSX")
    expect(row).to_contain_text("ann@example.org")
    expect(row).to_contain_text("nothing was due yet")
    assert _serious(page) == []
    row.get_by_role("button", name="Stop: mine of May").click()
    expect(row).to_contain_text("stopped 20")
    row.get_by_role("button", name="Start again: mine of May").click()
    expect(row).to_contain_text("nothing was due yet")
    row.get_by_role("button", name="Stop: mine of May").click()
    row.get_by_role("button", name="Remove: mine of May").click()
    expect(page.get_by_text("Nobody has subscribed to a report.")).to_be_visible()
    # Tell me if one person does more than two things in an hour.
    page.goto("/saved")
    page.get_by_role("button", name="Alert: mine of May").click()
    page.get_by_label("Number of events").fill("2")
    page.get_by_role("combobox").nth(1).select_option("triggered_by")
    assert _serious(page) == []
    page.get_by_role("button", name="Ask from now on").click()
    expect(page.get_by_text("more than 2 events of one Triggered By in an hour")).to_be_visible()
    (question,) = Book(home).find(Question)
    with Book(home).changing() as connection:
        add_in(connection, Finding(question.id, "2026-05-01T10:00:00Z", "ann", 3, "2026-05-01T12:00:00Z"))
    page.reload()
    assert _serious(page) == []
    page.get_by_role("link", name="2026-05-01 10:00").click()
    page.wait_for_url("**/?**triggered_by=ann**")
    page.go_back()
    page.get_by_role("button", name="Stop: mine of May").click()
    page.get_by_role("button", name="Remove: mine of May").click()
    expect(page.get_by_text("Nobody asks a question.")).to_be_visible()
    page.goto("/saved")
    page.get_by_role("button", name="Delete: mine of May").click()
    page.get_by_role("button", name="Delete", exact=True).click()


@pytest.mark.parametrize("width", [390])
def test_it_fits_a_phone(open_page: Open, width: int) -> None:
    page = open_page("/deliveries", viewport={"width": width, "height": 800}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert _serious(page) == []
