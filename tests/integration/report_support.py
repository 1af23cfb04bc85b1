"""What the tests of the report's server share: a home with data, a real server process, and a browser's manners."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from activity_audit.settings.core import Settings
from tests import warm_process
from tests.integration.support import AUDIT, process_environment

PERIOD = "period=from-to&from=2026-05-01&to=2026-05-31"
_PATIENCE = 60
_LINK = re.compile(r"Report: (\S+)")


@dataclass
class Served:
    """A server process, and the link that it printed."""

    process: subprocess.Popen[str]
    link: str

    @property
    def base(self) -> str:
        """The URL of the first page, without a slash at the end."""
        return self.link.split("/open")[0]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, and wait for the exit code."""
        self.process.send_signal(how)
        return self.process.wait(30)


@contextmanager
def served(settings: Settings, **environment: str) -> Iterator[Served]:
    """`audit report` on a free port, stopped in the end."""
    process = warm_process.Popen(
        [AUDIT, "report", "--port", "0"],
        env=process_environment(settings, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = _LINK.match(line)
        assert found, line + (process.communicate(timeout=10)[0] if process.poll() is not None else "")
        yield Served(process, found[1])
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def browser(base: str, **options: Any) -> httpx.Client:
    """A client that keeps cookies, as a browser does."""
    return httpx.Client(base_url=base, timeout=_PATIENCE, **options)


def get(url: str, **options: Any) -> httpx.Response:
    """One request that has no cookie of any other."""
    return httpx.get(url, timeout=_PATIENCE, **options)


def csrf(page: httpx.Response) -> str:
    """The token that the page's forms have."""
    found = re.search(r'name="csrf" (?:content|value)="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def sign_in(client: httpx.Client, name: str, password: str) -> httpx.Response:
    """Fill in the form."""
    form = client.get("/login")
    return client.post("/login", data={"csrf": csrf(form), "name": name, "password": password, "next": "/quality"})


def export(client: httpx.Client, address: str, suffix: str) -> dict[str, Any]:
    """Have a file made in the format of the suffix; how that ended, as the server says it."""
    started = client.post(address, data={"format": suffix}, headers={"Accept": "application/json"})
    assert started.status_code == 201, started.text
    end = time.monotonic() + 30
    while time.monotonic() < end:
        state = client.get(started.headers["location"], headers={"Accept": "application/json"}).json()
        if state["state"] not in ("waiting", "running"):
            return state
        time.sleep(0.05)
    raise AssertionError(state)
