"""A real browser, the system's Chromium, for the pages that the product writes and for those that it serves.

Each test has a browser context of its own. One home and one server are for all tests of served pages.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from activity_audit.settings.core import Settings, load_settings
from tests import warm_process
from tests.browser.support import publish
from tests.integration.support import AUDIT, process_environment

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Far from UTC: a time that a page showed in the browser's own zone would be seen to be wrong.
ZONE = "Asia/Kolkata"
_PATIENCE = 30_000


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse with the events that `publish` tells of; tests only read it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AUDIT_", "CXONE_", "DAGSTER_HOME")) and name != "AUDIT_CACHE":
                patch.delenv(name)
        settings = load_settings(home=tmp_path_factory.mktemp("report") / "home")
    publish(settings)
    return settings


@pytest.fixture(scope="module")
def link(home: Settings) -> Iterator[str]:
    """The one-time link of a served report."""
    with warm_process.Popen(
        [AUDIT, "report", "--port", "0"], env=process_environment(home), stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said
        yield said[0]
        server.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one module; closed after it, because its event loop is this thread's meanwhile."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine; `make system-packages` installs it")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, link: str) -> dict[str, Any]:
    """The cookies of somebody who has opened the link."""
    context = browser.new_context()
    context.new_page().goto(link)
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def open_page(browser: Browser, link: str, signed_in: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens a path of the report as one who is signed in; options are those of a browser context.

    A script that fails or something that the content policy refuses fails the test.
    """
    contexts, wrong = [], []
    base = link.split("/open")[0]

    def opened(path: str, **options: Any) -> Page:
        given = {"viewport": {"width": 1280, "height": 800}, "storage_state": signed_in, "timezone_id": ZONE} | options
        context = browser.new_context(base_url=base, **given)
        contexts.append(context)
        context.set_default_timeout(_PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


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
