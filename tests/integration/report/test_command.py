"""`audit report` and `audit password` as commands: a real process from its start to its end."""

from __future__ import annotations

import signal
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from activity_audit.base.hours import floor_hour, iso, now_utc
from activity_audit.ingest.planning import plan
from activity_audit.pipeline.run import land_feeds, update_warehouse
from activity_audit.settings.core import Settings
from tests.integration.report_support import browser, csrf, export, get, served
from tests.integration.support import AUDIT, audit, event, lines, process_environment, query, taken_port

ONE_DAY, ONE_HOUR = timedelta(days=1), timedelta(hours=1)
FEEDS = ["search", "activity_audit"]
PASSWORD = "to the lighthouse"


def test_from_nothing_to_a_report_that_has_its_own_trail(settings: Settings) -> None:
    began = now_utc()
    day = f"period=from-to&from={began:%Y-%m-%d}&to={began:%Y-%m-%d}"
    with served(settings) as server, browser(server.base) as client:
        assert client.get(f"/?{day}").status_code == 401
        assert client.head(server.link).status_code == 200
        first = client.get(server.link)
        assert (first.status_code, first.headers["location"]) == (303, "/")
        used = get(server.link)
        assert used.status_code == 403
        assert "opened before" in used.text
        assert "opens nothing" in get(f"{server.base}/open?token=x").text
        empty = client.get("/")
        assert empty.status_code == 503
        assert "audit run" in empty.text
        folder = Path(settings.feed_root) / "search" / f"{began:%Y-%m-%d/%H}"
        folder.mkdir(parents=True)
        (folder / "a.ndjson").write_bytes(lines([event("e1", eventTime=iso(began))]))
        _run_what_is_new(settings)
        client.headers["X-CSRF-Token"] = csrf(client.get("/quality"))
        assert client.get(f"/?{day}&entity=Search").status_code == 200
        # To scroll on and to open a list is the same run; other filters are another.
        assert client.get(f"/values?{day}&entity=Search&field=outcome").status_code == 200
        assert client.get(f"/rows?{day}").status_code == 200
        state = export(client, f"/export?{day}", "parquet")
        assert client.get(f"/export/{state['id']}/file").status_code == 200
        assert client.get(f"/groups?{day}&group=outcome").status_code == 200
        hour = floor_hour(began)
        zoom = f"zoom={hour:%Y-%m-%dT%H}/{hour + ONE_HOUR:%Y-%m-%dT%H}"
        assert client.get(f"/groups?{day}&group=outcome&{zoom}&across=hour").status_code == 200
        assert client.get("/quality/quarantine").status_code == 200
        assert server.stop(signal.SIGINT) == 0
    _run_what_is_new(settings)
    period = f"{began:%Y-%m-%d}T00:00:00Z to {began + ONE_DAY:%Y-%m-%d}T00:00:00Z"
    trail = [
        ("User", "Login", ""),
        ("Report", "Run", f"{period}; entities: Search"),
        ("Report", "Run", period),
        ("Export", "Created", f"{period}; parquet, snapshot "),
        ("Export", "Downloaded", ""),
        ("Report", "Run", f"{period}; grouped by outcome"),
        ("Report", "Run", f"{iso(hour)} to {iso(hour + ONE_HOUR)}; grouped by outcome across hour"),
        ("Quarantine", "Viewed", ""),
    ]
    seen = query(
        settings,
        "select entity, activity, coalesce(comments, '') from fact_activity_event "
        "where application = 'Activity Audit' and triggered_by = 'local' and outcome = 'SUCCESS' "
        "order by event_time_utc",
    )
    assert [(entity, activity) for entity, activity, _ in seen] == [row[:2] for row in trail]
    assert all(found[2].startswith(row[2]) for found, row in zip(seen, trail, strict=True))
    assert query(settings, "select * from quality.catalogue_drift where application = 'Activity Audit'") == []
    totals = query(
        settings,
        "select sum(received), sum(accepted), sum(duplicate) from quality.feed_reconciliation "
        "where feed = 'activity_audit'",
    )
    assert totals == [(8, 8, 0)]
    assert plan(settings, FEEDS).ranges == []


def test_another_process_of_the_user_has_a_fresh_link(settings: Settings) -> None:
    nothing = audit(settings, "link", check=False)
    assert (nothing.returncode, "no report is running" in nothing.stderr) == (1, True)
    with served(settings) as server:
        link = audit(settings, "link").stdout.strip()
        assert link.startswith(f"{server.base}/open?token=")
        assert [get(link).status_code for _ in range(2)] == [303, 403]
        assert get(link + "x").status_code == 403
        (record,) = (settings.report_dir / "running").glob("*.json")
        assert record.stat().st_mode & 0o077 == 0
        server.process.kill()
        server.process.wait(30)
    # A report that was killed leaves its record, and the next command removes it.
    assert audit(settings, "link", check=False).returncode == 1
    assert not list((settings.report_dir / "running").iterdir())


def test_where_readers_sign_in_by_name_there_is_only_an_address(settings: Settings) -> None:
    proxy = {"AUDIT_REPORT_AUTH": "proxy", "AUDIT_REPORT_PROXY_HEADER": "X-User"}
    with served(settings, **proxy, AUDIT_REPORT_PROXY_FROM="127.0.0.0/8") as server:
        assert audit(settings, "link").stdout.strip() == server.base


def _run_what_is_new(settings: Settings) -> None:
    """What `audit run` does without a range."""
    for window in plan(settings, FEEDS).ranges:
        land_feeds(settings, FEEDS, window)
        update_warehouse(settings, str(uuid4()), FEEDS, window)


def test_a_proxy_names_the_user_and_needs_no_cookie(report_home: Settings) -> None:
    proxy = {"AUDIT_REPORT_AUTH": "proxy", "AUDIT_REPORT_PROXY_HEADER": "X-User"}
    roles = {"AUDIT_REPORT_PROXY_ROLES_HEADER": "X-Roles"}
    with served(report_home, **proxy, **roles, AUDIT_REPORT_PROXY_FROM="127.0.0.0/8") as server:
        trusted = {"X-User": "clarissa", "X-Roles": "viewer,other"}
        assert get(f"{server.base}/quality", headers=trusted).status_code == 200
        assert get(f"{server.base}/quality", headers={"X-User": "clarissa"}).status_code == 403
        assert get(f"{server.base}/quality/quarantine", headers=trusted).status_code == 403
        assert get(f"{server.base}/quality").status_code == 401
        twice = [("X-User", "clarissa"), ("X-User", "admin"), ("X-Roles", "admin")]
        assert get(f"{server.base}/quality", headers=twice).status_code == 401
        with browser(server.base, headers={"X-User": "clarissa"}) as client:
            tokens = {csrf(client.get("/nowhere")) for _ in range(50)}
            assert len(tokens) == 1, "one session for all of them"
            assert not client.cookies
        with browser(server.base, headers={"X-User": "septimus"}) as other:
            assert csrf(other.get("/nowhere")) not in tokens


def test_a_header_from_elsewhere_is_not_believed(report_home: Settings) -> None:
    from activity_audit.report.access.access import Proxy

    settings = report_home.report.model_copy(update={"proxy_header": "X-User", "proxy_from": []})
    from starlette.requests import HTTPConnection

    scope = {"type": "http", "headers": [(b"x-user", b"eve")], "client": ("10.0.0.1", 1)}
    assert Proxy(settings).named(HTTPConnection(scope)) is None
    trusting = settings.model_copy(update={"proxy_from": load_networks("10.0.0.0/24")})
    assert Proxy(trusting).named(HTTPConnection(scope)) == ("eve", ("viewer",))


def load_networks(text: str) -> Any:
    from activity_audit.settings.report import ReportSettings

    return ReportSettings.model_validate({"proxy_from": text}).proxy_from


@pytest.mark.parametrize(
    ("environment", "arguments", "says"),
    [
        ({}, ["--host", "0.0.0.0"], "set AUDIT_REPORT_AUTH to users, oidc or proxy"),
        ({"AUDIT_REPORT_AUTH": "users"}, [], "AUDIT_REPORT_USERS_FILE is not set"),
        ({"AUDIT_REPORT_AUTH": "oidc"}, [], "AUDIT_REPORT_OIDC_CLIENT_SECRET is not set"),
        ({"AUDIT_REPORT_URL": "http://audit.example"}, [], "AUDIT_REPORT_URL='http://audit.example': must begin with"),
    ],
)
def test_what_is_not_safe_is_refused(
    settings: Settings, environment: dict[str, str], arguments: list[str], says: str
) -> None:
    done = audit(settings, "report", "--port", "0", *arguments, check=False, **environment)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    with taken_port() as port:
        done = audit(settings, "report", "--port", str(port), check=False)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_a_password_is_read_from_standard_input(settings: Settings) -> None:
    import tomllib

    from activity_audit.report.access.users import matches

    def run_it(*arguments: str, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AUDIT, "password", *arguments],
            input=text,
            env=process_environment(settings),
            capture_output=True,
            text=True,
            check=False,
        )

    done = run_it("clarissa dalloway", "--role", "analyst", text=PASSWORD + "\n")
    entry = tomllib.loads(done.stdout)["users"]["clarissa dalloway"]
    assert entry["roles"] == ["analyst"]
    assert matches(PASSWORD, entry["password"])
    assert not matches(PASSWORD + "!", entry["password"])
    assert "at least 12 characters" in run_it("x", text="short\n").stderr
    assert "there is no role boss" in run_it("x", "--role", "boss", text=PASSWORD).stderr
