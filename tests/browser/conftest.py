"""A real browser for the pages that the product writes: the system's Chromium, without any network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one module; closed after it, because its event loop is this thread's meanwhile."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@dataclass
class Visit:
    """One opened page: what it asked for, and what the browser complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


class Opener:
    """Opens a file in a window of its own; what the page asks of the network is refused, and noted."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def __call__(self, file: Path, *, width: int = 1280, dark: bool = False) -> Visit:
        context = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        visit = Visit(context.new_page())

        def answer(route: Route) -> None:
            visit.requests.append(route.request.url)
            if route.request.url.startswith("file:"):
                route.continue_()
            else:
                route.abort()

        context.route("**/*", answer)
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.goto(file.as_uri())
        return visit


@pytest.fixture
def visit(browser: Browser) -> Iterator[Opener]:
    """What opens a file; its windows are closed after the test."""
    yield Opener(browser)
    for context in browser.contexts:
        context.close()
