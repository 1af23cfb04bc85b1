"""One home, one server and one browser for the tests of the pages; each test has a browser context of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestration.settings import Settings, load_settings
from tests.browser.support import publish
from tests.integration.support import AUDIT, process_environment

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Far from UTC: a time that a page showed in the browser's own zone would be seen to be wrong.
ZONE = "Asia/Kolkata"
_PATIENCE = 30_000


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse with the events that `publish` tells of; tests only read it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AUDIT_", "CXONE_", "DAGSTER_HOME")):
                patch.delenv(name)
        settings = load_settings(home=tmp_path_factory.mktemp("report") / "home")
    publish(settings)
    return settings


@pytest.fixture(scope="session")
def link(home: Settings) -> Iterator[str]:
    """The one-time link of a served report."""
    with subprocess.Popen(
        [AUDIT, "report", "--port", "0"], env=process_environment(home), stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said
        yield said[0]
        server.send_signal(signal.SIGINT)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine; `make system-packages` installs it")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
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
