"""The report's routes as a browser meets them: who gets what, sign-in, headers, exports, named reports."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Mount, Route

from activity_audit.report.access.headers import CONTENT_SECURITY_POLICY
from activity_audit.report.access.users import hashed
from activity_audit.settings.core import Settings
from tests.integration.report_support import PERIOD, Served, browser, csrf, export, get, served, sign_in
from tests.integration.support import query, said

PASSWORD = "to the lighthouse"
USERS = {name: [name] for name in ("view", "export", "quarantine", "edit")} | {"nobody": []}
# Who may what, written a second time on purpose: a route that is not here fails, and so does one with another guard.
ROUTES: dict[tuple[str, str], str | None] = {
    ("GET", "/open"): None,
    ("GET", "/login"): None,
    ("POST", "/login"): None,
    ("GET", "/login/callback"): None,
    ("POST", "/logout"): None,
    ("GET", "/alive"): None,
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/"): "view",
    ("GET", "/rows"): "view",
    ("GET", "/values"): "view",
    ("GET", "/days"): "view",
    ("GET", "/event"): "view",
    ("GET", "/groups"): "view",
    ("GET", "/pictures"): "view",
    ("GET", "/saved"): "view",
    ("POST", "/saved"): "edit",
    ("GET", "/saved/x/edit"): "edit",
    ("POST", "/saved/x/edit"): "edit",
    ("POST", "/saved/x/favourite"): "view",
    ("POST", "/saved/x/unfavourite"): "view",
    ("POST", "/saved/x/first"): "view",
    ("POST", "/saved/x/unfirst"): "view",
    ("POST", "/saved/x/share"): "edit",
    ("POST", "/saved/x/unshare"): "edit",
    ("POST", "/saved/x/delete"): "edit",
    ("POST", "/saved/x/restore"): "edit",
    ("GET", "/deliveries"): "edit",
    ("POST", "/deliveries"): "edit",
    ("POST", "/deliveries/x/x"): "edit",
    ("GET", "/questions"): "edit",
    ("POST", "/questions"): "edit",
    ("POST", "/questions/x/x"): "edit",
    ("GET", "/export"): "export",
    ("POST", "/export"): "export",
    ("GET", "/export/x"): "export",
    ("DELETE", "/export/x"): "export",
    ("POST", "/export/x/stop"): "export",
    ("GET", "/export/x/file"): "export",
    ("GET", "/export/x/about"): "export",
    ("GET", "/newest"): "view",
    ("GET", "/help"): "view",
    ("GET", "/quality"): "view",
    ("GET", "/quality/hour"): "view",
    ("GET", "/quality/review"): "quarantine",
    ("POST", "/quality/review"): "quarantine",
    ("GET", "/quality/quarantine"): "quarantine",
    ("GET", "/quality/drift"): "view",
    ("GET", "/quality/checks"): "view",
    ("GET", "/data-docs/index.html"): "quarantine",
}


@pytest.fixture(scope="module")
def home(report_home: Settings) -> Settings:
    """The home, with a file of users beside it."""
    known = hashed(PASSWORD)
    entries = [f"[users.{name}]\npassword = '{known}'\nroles = {roles}\n" for name, roles in USERS.items()]
    (report_home.home.parent / "users.toml").write_text("\n".join(entries))
    return report_home


@pytest.fixture(scope="module")
def team(home: Settings) -> Iterator[Served]:
    """A server with users."""
    users = home.home.parent / "users.toml"
    with served(home, AUDIT_REPORT_AUTH="users", AUDIT_REPORT_USERS_FILE=str(users)) as server:
        yield server


@pytest.fixture(scope="module")
def clients(team: Served) -> Iterator[dict[str, httpx.Client]]:
    """A browser of each user, signed in, with their token; and one of somebody who is not."""
    opened = {name: browser(team.base) for name in [*USERS, "anonymous"]}
    for name in USERS:
        answer = sign_in(opened[name], name, PASSWORD)
        assert (answer.status_code, answer.headers["location"]) == (303, "/quality")
        opened[name].headers["X-CSRF-Token"] = csrf(opened[name].get("/nowhere"))
    yield opened
    for client in opened.values():
        client.close()


def test_every_route_is_in_the_table(home: Settings) -> None:
    from activity_audit.report.access.access import Access
    from activity_audit.report.queries.warehouse import Warehouse
    from activity_audit.report.web.app import build_app

    app = build_app(home, Warehouse(home), Access(home.report, "http://127.0.0.1:1"))
    found: dict[tuple[str, str], str | None] = {}
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static/{version}"
            continue
        assert isinstance(route, Route)
        path = re.sub("{(job|id|change)}", "x", route.path).replace("{path:path}", "index.html")
        # An endpoint without `requires` or `public` has no guard, and the table would not see it refuse.
        (guard,) = route.endpoint.guard  # type: ignore[attr-defined]
        found |= {(method, path): guard for method in (route.methods or ()) - {"HEAD"}}
    assert found == ROUTES


@pytest.mark.parametrize(("method", "path"), [route for route, needed in ROUTES.items() if needed])
def test_who_gets_what(clients: dict[str, httpx.Client], method: str, path: str) -> None:
    needed = ROUTES[method, path]
    for name, client in clients.items():
        answer = client.request(method, path)
        if name == "anonymous":
            assert answer.status_code == (303 if method == "GET" else 401), name
            assert method != "GET" or answer.headers["location"].startswith("/login?next="), name
        elif name == needed:
            assert answer.status_code not in (303, 401, 403, 500) or answer.headers.get("location") == "/saved", name
        else:
            assert answer.status_code == 403, name


def test_a_change_needs_the_token_of_the_session(clients: dict[str, httpx.Client], team: Served) -> None:
    with browser(team.base, cookies=clients["edit"].cookies) as client:
        form = {"name": "stolen", "query": PERIOD}
        for sent in ({}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": clients["view"].headers["X-CSRF-Token"]}):
            refused = client.post("/saved", data=form, headers=sent)
            assert (refused.status_code, "reload the page" in refused.text) == (403, True)
        assert client.post("/saved", data=form | {"csrf": "ü"}).status_code == 403
        long = {"content-length": "5000000", "content-type": "application/x-www-form-urlencoded"}
        assert client.post("/saved", content=b"x" * 5_000_000, headers=long).status_code == 413
        own = {"csrf": clients["edit"].headers["X-CSRF-Token"]}
        assert client.post("/saved", data=form | own).headers["location"] == "/saved"


def test_every_answer_has_the_headers(clients: dict[str, httpx.Client], team: Served) -> None:
    for path in ("/", f"/?{PERIOD}", "/nowhere", "/open?token=x", "/login", "/quality"):
        answer = clients["view"].get(path)
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY, path
        assert "unsafe" not in CONTENT_SECURITY_POLICY
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert "server" not in answer.headers
    for name, number in (("view", 0), ("quarantine", 1)):
        assert clients[name].get("/nowhere").text.count("Data docs") == number, name
    style = get(team.base + clients["view"].get("/").text.split('stylesheet" href="')[1].split('"')[0])
    assert style.status_code == 200
    assert "immutable" in style.headers["cache-control"]
    rebound = clients["view"].get("/", headers={"Host": "evil.example"})
    assert (rebound.status_code, "evil" in rebound.text) == (400, False)
    # A load balancer knows no name.
    assert get(f"{team.base}/alive", headers={"Host": "10.0.0.5"}).text == "alive\n"


def test_signing_in_and_out(team: Served) -> None:
    with browser(team.base) as client:
        before = client.get("/login")
        cookie = before.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        wrong = sign_in(client, "view", "to the lightship")
        assert wrong.status_code == 401
        assert "The name or the password is wrong." in wrong.text
        fixed = dict(client.cookies)
        form = {"csrf": csrf(wrong), "name": "view", "password": PASSWORD, "next": "//evil.example"}
        assert client.post("/login", data=form).headers["location"] == "/"
        # Whoever knew the cookie before has nothing of the session.
        assert dict(client.cookies) != fixed
        assert get(f"{team.base}/quality", cookies=fixed).status_code == 303
        taken = dict(client.cookies)
        assert client.get("/quality").status_code == 200
        client.headers["X-CSRF-Token"] = csrf(client.get("/quality"))
        assert client.post("/logout").status_code == 200
        assert get(f"{team.base}/quality", cookies=taken).status_code == 303


def test_a_user_that_is_removed_is_out(home: Settings, team: Served) -> None:
    users = home.home.parent / "users.toml"
    text = users.read_text()
    users.write_text(text + text.split("\n\n")[0].replace("users.view", "users.late"))
    try:
        with browser(team.base) as client:
            sign_in(client, "late", PASSWORD)
            assert client.get("/quality").status_code == 200
            users.write_text(text)
            assert client.get("/quality").status_code == 303
    finally:
        users.write_text(text)


def test_an_export_is_what_audit_export_writes(
    home: Settings, clients: dict[str, httpx.Client], tmp_path: Path
) -> None:
    client = clients["export"]
    state = export(client, f"/export?{PERIOD}&application=Search", "csv")
    assert (state["state"], state["rows"], state["of"], state["error"]) == ("done", 100, 100, None)
    fetched = client.get(f"/export/{state['id']}/file")
    about = client.get(f"/export/{state['id']}/about").json()
    assert fetched.headers["content-disposition"] == f'attachment; filename="{state["name"]}"'
    assert state["name"] == f"activity-audit_Search_2026-05-01_2026-05-31_snapshot-{about['snapshot_id']}.csv"
    own = tmp_path / "own.csv"
    period = ("--from", "2026-05-01", "--to", "2026-06-01", "--application", "search")
    told = json.loads(said(home, "export", *period, "--to-file", str(own), "--output", "json").stdout)
    assert fetched.content == own.read_bytes()
    assert {key: value for key, value in told.items() if key not in ("made_at", "file")} == {
        key: value for key, value in about.items() if key not in ("made_at", "link")
    }
    assert about["link"] == f"{str(client.base_url).rstrip('/')}/?{PERIOD}&application=Search"
    sorted_by = export(client, f"/export?{PERIOD}&application=Search&sort=event_id&columns=event_id,outcome", "csv")
    rows = client.get(f"/export/{sorted_by['id']}/file").text.splitlines()
    assert (rows[0], len(rows)) == ('"Event ID","Outcome"', 101)
    assert rows[1:] == sorted(rows[1:])
    choices = {"format": "csv", "columns": "some"}
    refused = client.post(f"/export?{PERIOD}", data=choices)
    assert (refused.status_code, "“columns” of an export is shown or all" in refused.text) == (400, True)
    client.delete(f"/export/{sorted_by['id']}")
    # Another session has nothing of it, and neither has anybody when the session is over.
    assert clients["nobody"].get(f"/export/{state['id']}/file").status_code == 403
    assert client.delete(f"/export/{state['id']}").status_code == 303
    assert client.get(f"/export/{state['id']}/file").status_code == 404
    assert "were removed" in client.get(f"/export/{state['id']}").text
    assert list((home.report_dir / "exports").rglob("*.csv")) == []


def test_the_last_hours_end_where_the_data_end(clients: dict[str, httpx.Client], home: Settings) -> None:
    page = clients["view"].get("/?period=last-24-hours").text
    through = re.search(r"Data through <strong>(\S+ \S+) UTC", page)
    ends = re.search(r"Last 24 hours: (\S+ \S+) to (\S+ \S+) UTC", page)
    assert through
    assert ends
    assert ends[2] == through[1], "and not at the clock, half a year later"
    within = f"event_time_utc >= '{ends[1]}' and event_time_utc < '{ends[2]}'"
    held = query(home, f"select count(*) from fact_activity_event where {within}")[0][0]
    assert held > 0
    assert f"<strong>{held:,}</strong> event" in page
    # What follows the page is of the same period.
    rows = re.search(r'data-query="([^"]+)"', page)
    assert rows
    assert clients["view"].get(html.unescape(rows[1])).json()["rows"]


def test_one_opens_first_and_favourites_are_at_hand(clients: dict[str, httpx.Client]) -> None:
    owner, reader = clients["edit"], clients["view"]
    saved = owner.post(
        "/saved",
        data={"name": "Kept", "query": PERIOD, "view": "groups", "shared": "1"},
        headers={"Accept": "application/json"},
    ).json()
    address = f"/saved/{saved['id']}"
    assert "Run report" in reader.get("/").text
    assert reader.post(f"{address}/favourite").headers["location"] == "/saved"
    assert f"/groups?{PERIOD}" in html.unescape(reader.get("/").text)
    assert reader.post(f"{address}/unfavourite", data={"then": "report"}).headers["location"] == f"/groups?{PERIOD}"
    reader.post(f"{address}/first")
    opened = reader.get("/")
    assert (opened.status_code, opened.headers["location"]) == (303, f"/groups?{PERIOD}")
    # Where it is gone, or not shared any more, the prompt comes again.
    owner.post(f"{address}/unshare")
    assert reader.get("/").status_code == 200
    owner.post(f"{address}/share")
    assert reader.get("/").status_code == 303
    owner.post(f"{address}/delete", data={"confirm": "1"})
    assert reader.get("/").status_code == 200
    assert reader.post(f"{address}/first").status_code == 409


def test_named_reports(clients: dict[str, httpx.Client]) -> None:
    client = clients["edit"]
    client.headers["Accept"] = "application/json"
    try:
        saved = client.post("/saved", data={"name": " May  chats ", "query": f"{PERIOD}&entity=Chat"}).json()
        assert (saved["name"], saved["shared"]) == ("May chats", False)
        other = {"name": "may chats", "query": PERIOD, "view": "pictures"}
        assert client.post(f"/saved/{saved['id']}/share").json()["shared"] is True
        refused = client.post("/saved", data=other)
        assert (refused.status_code, saved["id"] in refused.text) == (409, True), "it is not replaced unasked"
        assert client.post("/saved", data=other | {"replace": "x"}).status_code == 409
        again = client.post("/saved", data=other | {"replace": saved["id"]}).json()
        assert (again["id"], again["query"], again["view"]) == (saved["id"], PERIOD, "pictures")
        assert again["shared"] is True, "it stays shared as it was"
        again = client.post("/saved", data=other | {"replace": saved["id"], "shared": "0"}).json()
        assert again["shared"] is False
        asking = client.post(f"/saved/{saved['id']}/delete", headers={"Accept": "text/html"})
        assert (asking.status_code, "Delete “may chats”?" in asking.text) == (200, True)
        assert client.post("/saved", data={"name": "x", "query": PERIOD, "view": "/quality"}).status_code == 400
        assert client.post(f"/saved/{saved['id']}/share").json()["shared"] is True
        assert client.post("/saved", data={"name": "x", "query": "sql=select+1"}).status_code == 400
        assert client.post("/saved", data={"name": " ", "query": PERIOD}).status_code == 409
        assert client.post(f"/saved/{saved['id']}/delete").json()["id"] == saved["id"]
        assert client.post(f"/saved/{saved['id']}/delete").status_code == 409
        assert client.post(f"/saved/{saved['id']}/restore").json()["name"] == "may chats"
        assert client.post(f"/saved/{saved['id']}/restore").status_code == 409
        stale = other | {"replace": saved["id"], "seen": "2026-01-01T00:00:00Z"}
        refused = client.post("/saved", data=stale)
        assert (refused.status_code, "was changed meanwhile" in refused.text) == (409, True)
        people = client.post("/saved", data=other | {"replace": saved["id"], "people": "view, nobody", "shared": "0"})
        assert people.status_code == 200
        assert "may chats" in clients["view"].get("/saved").text
        assert "may chats" not in clients["quarantine"].get("/saved").text
        change = {"name": "chats", "description": "for the board", "people": "", "roles": "View", "shared": "0"}
        edited = client.post(f"/saved/{saved['id']}/edit", data=change).json()
        assert (edited["name"], edited["people"], edited["roles"]) == ("chats", [], ["view"])
        refused = client.post(f"/saved/{saved['id']}/edit", data=change | {"roles": "viewer, auditors"})
        assert (refused.status_code, "auditors" in refused.text) == (409, True)
        form = client.get(f"/saved/{saved['id']}/edit", headers={"Accept": "text/html"}).text
        assert 'value="for the board"' in form
        assert "for the board" in clients["view"].get("/saved").text, "it is shared with their role"
        assert client.post(f"/saved/{saved['id']}/edit", data=change | {"name": "may chats"}).status_code == 200
        assert client.post(f"/saved/{saved['id']}/delete").json()["id"] == saved["id"]
        assert "may chats" not in clients["view"].get("/saved").text
        assert client.post("/saved/example/delete").status_code == 409
    finally:
        del client.headers["Accept"]


def test_a_user_ends_all_sessions(team: Served) -> None:
    with browser(team.base) as one, browser(team.base) as other, browser(team.base) as somebody:
        sign_in(one, "export", PASSWORD)
        sign_in(other, "export", PASSWORD)
        sign_in(somebody, "edit", PASSWORD)
        token = csrf(one.get("/nowhere"))
        assert "End all sessions" in one.get("/nowhere").text
        assert one.post("/logout", data={"csrf": token, "everywhere": "1"}).status_code == 200
        for client, user in ((one, "export"), (other, "export"), (somebody, "edit")):
            assert (client.get("/export").status_code == 303) == (user == "export")
