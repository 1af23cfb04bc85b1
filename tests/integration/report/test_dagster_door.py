"""The door to Dagster's pages: who comes through, from where, and what with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from activity_audit.report.trail import Trail
from activity_audit.settings.core import Settings
from tests.integration.door_support import LAUNCH, LOOK, USERS, Door, door, signed_in
from tests.integration.report_support import browser, csrf

EVIL = "http://evil.example"


@pytest.fixture(scope="module")
def opened(report_home: Settings) -> Iterator[Door]:
    with door(report_home) as found:
        yield found


@pytest.fixture
def at(opened: Door) -> Door:
    """The door, through which nothing has come yet."""
    opened.reached.clear()
    return opened


@pytest.fixture(scope="module")
def clients(opened: Door) -> Iterator[dict[str, httpx.Client]]:
    """A browser of each user, and one of nobody."""
    found = {name: signed_in(opened, name) for name in USERS} | {"nobody": browser(opened.base)}
    yield found
    for client in found.values():
        client.close()


def test_who_may_look_and_who_may_launch(at: Door, clients: dict[str, httpx.Client]) -> None:
    for name, looks, launches in (
        ("operator", 200, 200),
        ("watcher", 200, 403),
        ("unseeing", 403, 403),
        ("auditor", 403, 403),
        ("nobody", 401, 401),
    ):
        assert at.ask(clients[name], LOOK).status_code == looks, name
        assert at.ask(clients[name], LAUNCH).status_code == launches, name
        page = clients[name].get("/dagster/runs")
        assert page.status_code == (303 if name == "nobody" else looks), name
    assert {said["path"] for said in at.reached} == {"/dagster/graphql", "/dagster/runs"}
    assert [json.loads(said["body"])["query"] for said in at.reached if said["body"]] == [LOOK, LAUNCH, LOOK]
    assert "does not have the permission “launch”" in at.ask(clients["watcher"], LAUNCH).json()["errors"][0]["message"]


def test_dagster_is_given_nothing_of_the_reader_but_what_they_may(at: Door, clients: dict[str, httpx.Client]) -> None:
    forged = {"X_Audit_May_Launch": "1", "X_Forwarded_Host": "x", "Authorization": "Basic x"}
    for name in ("watcher", "operator"):
        assert "set-cookie" not in at.ask(clients[name], LOOK, **forged).headers
    watcher, operator = (said["headers"] for said in at.reached)
    assert "x-audit-may-launch" not in watcher
    assert operator["x-audit-may-launch"] == "1"
    assert not {"cookie", "authorization", "x-forwarded-host", "origin"} & (watcher.keys() | operator.keys())


@pytest.mark.parametrize(
    "source",
    [
        {"Origin": EVIL, "Sec_Fetch_Site": "cross-site"},
        {"Origin": EVIL, "Sec_Fetch_Site": ""},
        {"Origin": "null", "Sec_Fetch_Site": ""},
        {"Origin": "null", "Sec_Fetch_Site": "same-origin"},
        # Another port of this machine is of the same site, and its pages have the cookie.
        {"Origin": "http://127.0.0.1:9", "Sec_Fetch_Site": "same-site"},
        {"Origin": "", "Sec_Fetch_Site": "same-site"},
        {"Origin": "", "Sec_Fetch_Site": "none"},
        {"Origin": "", "Sec_Fetch_Site": ""},
        # Another name of this machine is another origin.
        {"Origin": "http://localhost:9", "Sec_Fetch_Site": ""},
    ],
)
def test_no_other_origin_asks_anything(at: Door, clients: dict[str, httpx.Client], source: dict[str, str]) -> None:
    assert at.ask(clients["operator"], LAUNCH, **source).status_code == 403
    assert at.ask(clients["operator"], LOOK, **source).status_code == 403
    assert at.reached == []


def test_another_origin_may_lead_here_and_no_more(at: Door, clients: dict[str, httpx.Client]) -> None:
    for site in ("cross-site", "same-site"):
        visit = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert clients["operator"].get("/dagster/runs/x", headers=visit).status_code == 200
        for mode, dest in (("navigate", "iframe"), ("no-cors", "script"), ("no-cors", "image"), ("cors", "empty")):
            taken = visit | {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
            assert clients["operator"].get("/dagster/runs/x", headers=taken).status_code == 403, taken
        assert clients["operator"].post("/dagster/graphql", json={"query": LAUNCH}, headers=visit).status_code == 403
    assert {said["path"] for said in at.reached} == {"/dagster/runs/x"}


def test_it_has_no_other_host_name(at: Door, clients: dict[str, httpx.Client]) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example"):
        assert at.ask(clients["operator"], LOOK, Host=host, Origin=f"http://{host}").status_code == 400
        assert clients["operator"].get("/dagster/", headers={"Host": host}).status_code == 400
    assert at.reached == []


def test_a_get_asks_for_nothing(at: Door, clients: dict[str, httpx.Client]) -> None:
    for path in ("/dagster/graphql", "/dagster/%67raphql"):
        clients["operator"].get(path, params={"query": LAUNCH, "variables": "{}"})
    assert {(said["path"], said["query"]) for said in at.reached} == {("/dagster/graphql", "")}
    # The playground is a page that asks by POST.
    page = clients["operator"].get("/dagster/graphql", params={"query": LAUNCH}, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert at.reached[-1]["query"] == ""
    assert clients["operator"].get("/dagster/runs?view=all").json()["query"] == "view=all"


def test_only_what_was_looked_at_is_asked(at: Door, clients: dict[str, httpx.Client]) -> None:
    ours = {"Origin": at.base}
    client = clients["watcher"]

    def post(path: str = "/dagster/graphql", content: str = "", kind: str = "application/json") -> int:
        return client.post(path, content=content, headers={**ours, "Content-Type": kind}).status_code

    look = json.dumps({"query": LOOK})
    assert post(content=LAUNCH, kind="application/graphql") == 415
    assert post(f"/dagster/graphql?query={LAUNCH}", kind="application/x-www-form-urlencoded") == 415
    assert post(content=f'{{"query": "{LOOK}", "query": "{LAUNCH}"}}') == 403
    # The same name written otherwise, an operation that is not the one named, a fragment, one of two.
    assert post(content=f'{{"qu\\u0065ry": "{LAUNCH}"}}') == 403
    assert post(content=json.dumps({"query": f"query A {{ version }} {LAUNCH}", "operationName": "A"})) == 403
    assert post(content=json.dumps({"query": "mutation { ...F } fragment F on Mutation { launchRun { x } }"})) == 403
    for wrong in ("", "[]", "[" * 100_000, '{"query": 1}', '{"query": "{"}', f'{{"query": "{"{a" * 50_000}"}}', "\xff"):
        assert post(content=wrong) == 400, wrong[:20]
    assert post(content=f'{{"query": "{" " * 8_000_000}"}}') == 413
    assert at.reached == []
    assert post(f"/dagster/graphql?query={LAUNCH}", look) == 200
    assert [(said["query"], json.loads(said["body"])) for said in at.reached] == [("", {"query": LOOK})]


def test_nothing_but_graphql_is_posted(at: Door, clients: dict[str, httpx.Client]) -> None:
    for path in ("/dagster/report_asset_materialization/x", "/dagster/graphql/", "/dagster/", "/dagster/x%2Fgraphql"):
        assert at.ask(clients["operator"], LOOK, path).status_code == 415, path
        form = clients["operator"].post(path, data={"a": "b"}, headers={"Origin": at.base})
        assert form.status_code == 405, path
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert clients["operator"].request(method, "/dagster/graphql").status_code == 405, method
    for path in ("/dagster/..%2Fx", "/dagster/%2e%2e/x", "/dagster//graphql", "/dagster/./graphql"):
        # As it stands: httpx would make another path of it.
        raw = HTTPConnection(at.base.removeprefix("http://"))
        raw.request("GET", path, headers={"Cookie": _cookies(clients["operator"])})
        assert raw.getresponse().status == 404, path
        raw.close()
    assert at.reached == []


def test_no_page_shows_it_in_a_frame(at: Door, clients: dict[str, httpx.Client]) -> None:
    answer = clients["operator"].get("/dagster/")
    assert answer.headers["content-security-policy"] == "base-uri 'none'; frame-ancestors 'none'"
    for name in ("operator", "auditor", "nobody"):
        answer = clients[name].get("/dagster/")
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_nobody_launches_where_all_is_read_only(report_home: Settings) -> None:
    with door(report_home, read_only=True) as found, closing(signed_in(found, "operator")) as client:
        refused = found.ask(client, LAUNCH)
        assert (refused.status_code, "--read-only" in refused.text) == (403, True)
        assert found.ask(client, LOOK).status_code == 200
        assert "x-audit-may-launch" not in found.reached[0]["headers"]


def test_what_is_done_there_is_on_record(report_home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []
    record = Trail.record

    def keep(trail: Trail, *what: str, **how: bool) -> None:
        said.append(what)
        record(trail, *what, **how)

    monkeypatch.setattr(Trail, "record", keep)
    with door(report_home) as found, closing(signed_in(found, "operator")) as client:
        for query in (LOOK, LOOK, LAUNCH, "mutation { logTelemetry { x } }"):
            assert found.ask(client, query).status_code == 200
    assert [what for what in said if what[1] == "Dagster"] == [
        ("operator", "Dagster", "Viewed", ""),
        ("operator", "Dagster", "Changed", "", 'launchRun {"e": {}}'),
    ]


def _cookies(client: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@contextmanager
def _live(at: Door, client: httpx.Client, path: str = "/dagster/graphql", **headers: str) -> Iterator[ClientConnection]:
    given = {"Origin": at.base, "Cookie": _cookies(client), **headers}
    address = at.base.replace("http", "ws", 1) + path
    with connect(
        address,
        subprotocols=[Subprotocol("graphql-ws")],
        additional_headers={name: value for name, value in given.items() if value and name != "Host"},
    ) as live:
        yield live


def test_a_web_socket_is_looked_at_as_a_request_is(at: Door, clients: dict[str, httpx.Client]) -> None:
    with _live(at, clients["watcher"]) as live:
        live.send('{"type": "connection_init"}')
        assert live.recv() == 'heard {"type": "connection_init"}'
        start = {"type": "start", "id": "1", "payload": {"query": "subscription { x }"}}
        live.send(json.dumps(start))
        assert "subscription" in str(live.recv())
    assert "cookie" not in at.reached[0]["headers"]
    at.reached.clear()
    for client, path, headers in (
        ("watcher", "/dagster/graphql", {"Origin": EVIL}),
        ("watcher", "/dagster/graphql", {"Origin": "http://127.0.0.1:9"}),
        ("watcher", "/dagster/graphql", {"Origin": ""}),
        ("watcher", "/dagster/other", {}),
        ("auditor", "/dagster/graphql", {}),
        ("nobody", "/dagster/graphql", {}),
    ):
        with pytest.raises(InvalidStatus) as refused, _live(at, clients[client], path, **headers):
            pass
        assert refused.value.response.status_code == 403
    assert at.reached == []


@pytest.mark.parametrize(
    "message",
    [
        json.dumps({"type": "start", "payload": {"query": LAUNCH}}),
        json.dumps({"type": "start", "payload": {}}),
        json.dumps({"type": "start", "payload": {"query": "{"}}),
        "[]",
        "no JSON",
    ],
)
def test_nothing_is_changed_over_a_web_socket(at: Door, clients: dict[str, httpx.Client], message: str) -> None:
    with _live(at, clients["operator"]) as live:
        live.send(message)
        with pytest.raises(ConnectionClosed):
            live.recv(10)
    assert not any("text" in said for said in at.reached)


def test_a_web_socket_ends_with_its_session(at: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activity_audit.report.dagster_door.proxy._LOOK_EVERY", 0.1)
    with closing(signed_in(at, "watcher")) as client, _live(at, client) as live:
        live.send('{"type": "connection_init"}')
        assert live.recv()
        client.post("/logout", data={"csrf": csrf(client.get("/saved"))})
        with pytest.raises(ConnectionClosed):
            live.recv(10)


def test_a_web_socket_of_another_host_is_refused(at: Door, clients: dict[str, httpx.Client]) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": "graphql-ws",
        "Host": "evil.example",
        "Origin": EVIL,
    }
    assert clients["watcher"].get("/dagster/graphql", headers=upgrade).status_code == 403
    assert at.reached == []
