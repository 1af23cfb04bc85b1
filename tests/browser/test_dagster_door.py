"""What a page of another origin can do to Dagster in the browser of somebody who is signed in: nothing."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from activity_audit.settings.core import Settings
from tests.integration.door_support import LAUNCH, PASSWORD, Door, door

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Each way in which a page reaches another origin without asking it first, and those for which the browser asks.
_TRIES = """
async ([base, query]) => {
  const target = `${base}/dagster/graphql`, body = JSON.stringify({query}), said = {}, how = {credentials: "include"};
  const tried = async (name, what) => {
    try { said[name] = String(await what()); } catch (error) { said[name] = "refused"; }
  };
  const made = (kind, what) => document.body.appendChild(Object.assign(document.createElement(kind), what));
  const json = {"Content-Type": "application/json"};
  await tried("plain", async () => (await fetch(target, {...how, method: "POST", mode: "no-cors", body})).type);
  await tried("json", async () => (await fetch(target, {...how, method: "POST", body, headers: json})).status);
  const get = `${target}?query=${encodeURIComponent(query)}`;
  await tried("get", async () => (await fetch(get, {...how, mode: "no-cors"})).type);
  await tried("image", () => new Promise((done) => {
    made("img", {onload: done, onerror: done, src: `${base}/dagster/favicon.png`});
  }));
  await tried("socket", () => new Promise((done, failed) => {
    Object.assign(new WebSocket(target.replace("http", "ws"), "graphql-ws"), {onopen: done, onerror: failed});
  }));
  await tried("frame", () => new Promise((done) => made("iframe", {onload: done, src: `${base}/dagster/`})));
  await tried("form", () => new Promise((done) => {
    const frame = made("iframe", {name: "to"});
    const form = made("form", {method: "POST", action: target, target: "to", enctype: "text/plain"});
    form.append(Object.assign(document.createElement("input"), {name: body.slice(0, -1) + ', "x": "', value: '"}'}));
    frame.onload = done;
    form.submit();
  }));
  return said;
}
"""
_OURS = """
async (query) => {
  const asked = await fetch("/dagster/graphql", {method: "POST", body: JSON.stringify({query}),
    headers: {"Content-Type": "application/json"}});
  const heard = await new Promise((done, failed) => {
    const socket = new WebSocket(location.origin.replace("http", "ws") + "/dagster/graphql", "graphql-ws");
    socket.onopen = () => socket.send('{"type": "connection_init"}');
    socket.onmessage = (message) => done(message.data); socket.onerror = failed; });
  return [asked.status, heard];
}
"""


@pytest.fixture
def found(home: Settings) -> Iterator[Door]:
    with door(home) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, found: Door) -> Iterator[Page]:
    """A page of an operator who has just signed in."""
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(f"{found.base}/login?next=/dagster/runs")
    opened.get_by_label("Name").fill("operator")
    opened.get_by_label("Password").fill(PASSWORD)
    opened.get_by_role("button", name="Sign in").click()
    opened.wait_for_url("**/dagster/runs")
    yield opened
    context.close()


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """The port of a server with an empty page."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


# By the other name the page is of another site; by the same one its requests have the cookie of the session.
@pytest.mark.parametrize("name", ["127.0.0.1", pytest.param("localhost", marks=pytest.mark.slow)])
def test_a_page_of_another_origin_reaches_nothing(found: Door, page: Page, elsewhere: int, name: str) -> None:
    assert page.evaluate(_OURS, LAUNCH) == [200, 'heard {"type": "connection_init"}']
    found.reached.clear()
    evil = page.context.new_page()
    evil.goto(f"http://{name}:{elsewhere}/")
    said = evil.evaluate(_TRIES, [found.base, LAUNCH])
    assert said.keys() == {"plain", "json", "get", "image", "socket", "frame", "form"}
    assert (said["json"], said["socket"]) == ("refused", "refused")
    assert found.reached == []
    # The page of theirs may lead to one of ours.
    evil.goto(f"{found.base}/dagster/runs")
    assert [reached["path"] for reached in found.reached][:1] == ["/dagster/runs"]
