"""The report when somebody without an account asks for too much: it answers the others all the same."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from activity_audit.report.access.attempts import PLACES_OF_ONE
from activity_audit.report.access.users import hashed
from activity_audit.report.web import request_limits
from activity_audit.report.web.connection import LONGEST_HEAD, MOST_CONNECTIONS
from activity_audit.settings.core import Settings
from tests.integration.report_support import Served, browser, csrf, get, served, sign_in

PASSWORD = "to the lighthouse"
# What `/alive` takes while others ask for too much, in seconds: mostly, and at most. It would be a tenth of the first
# on a machine that does nothing else.
_SOON, _LATEST = 0.25, 3.0


@pytest.fixture(scope="module")
def team(report_home: Settings) -> Iterator[Served]:
    """A report with users; nothing else is asked of it but by these tests."""
    users = report_home.home.parent / "bounds.toml"
    users.write_text(f"[users.clarissa]\npassword = '{hashed(PASSWORD)}'\nroles = ['admin']\n")
    with served(report_home, AUDIT_REPORT_AUTH="users", AUDIT_REPORT_USERS_FILE=str(users)) as server:
        yield server


def _connect(server: Served) -> socket.socket:
    parts = urlsplit(server.base)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


def _said(server: Served, sent: bytes) -> bytes:
    """What the server answers to these bytes until it closes the connection."""
    with _connect(server) as connection:
        connection.sendall(sent)
        found = b""
        while piece := connection.recv(65_536):
            found += piece
        return found


def test_many_sign_ins_at_once_hold_up_nobody(team: Served) -> None:
    with browser(team.base) as client, _many(team, client, 100) as attempts:
        took = []
        while len(took) < 30 or not all(one.done() for one in attempts):
            began = time.perf_counter()
            assert _said(team, b"GET /alive HTTP/1.0\r\n\r\n").endswith(b"alive\n")
            took.append(time.perf_counter() - began)
        answers = [one.result() for one in attempts]
        counted = Counter(answer.status_code for answer in answers)
        assert set(counted) == {401, 503}, counted
        assert counted[503] > counted[401]
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 503)
        assert max(took) < _LATEST, sorted(took)[-5:]
        assert statistics.median(took) < _SOON
        # And whoever has an account gets in.
        assert sign_in(client, "clarissa", PASSWORD).status_code == 303


@contextmanager
def _many(
    server: Served, client: httpx.Client, number: int, *, clients: bool = True
) -> Iterator[list[Future[httpx.Response]]]:
    """So many attempts to sign in at once with the form of this client, each of a name, and an address, of its own."""
    form = {"csrf": csrf(client.get("/login")), "password": "x" * 12, "next": "/"}
    limits = httpx.Limits(max_connections=number)
    with browser(server.base, cookies=client.cookies, limits=limits) as all_of_them, ThreadPoolExecutor(number) as pool:

        def attempt(one: int) -> httpx.Response:
            headers = {"X-Forwarded-For": f"10.0.0.{one}"} if clients else {}
            return all_of_them.post("/login", data=form | {"name": f"{clients}-{one}"}, headers=headers)

        yield [pool.submit(attempt, one) for one in range(number)]


def test_one_client_has_some_of_the_places_only(team: Served) -> None:
    with browser(team.base) as client, _many(team, client, 40, clients=False) as attempts:
        statuses = Counter(one.result().status_code for one in attempts)
        assert statuses[401] >= PLACES_OF_ONE
        assert statuses[401] + statuses[503] == 40
        assert statuses[503] > 0


@pytest.mark.slow
def test_a_thousand_sign_in_pages_push_out_nobodys(team: Served) -> None:
    with browser(team.base) as client, browser(team.base) as other:
        mine = csrf(client.get("/login"))
        for _ in range(1100):
            other.cookies.clear()
            assert other.get("/login").status_code == 200
        form = {"csrf": mine, "name": "clarissa", "password": PASSWORD, "next": "/quality"}
        assert client.post("/login", data=form).headers["location"] == "/quality"
        assert client.get("/quality").status_code == 200


def test_an_address_that_is_too_long_is_told_its_limit(team: Served) -> None:
    long = get(f"{team.base}/?comments={'x' * request_limits.LONGEST_URL}")
    assert (long.status_code, f"{request_limits.LONGEST_URL:,}" in long.text) == (414, True)
    many = get(f"{team.base}/?{'&'.join(['not=entity:a'] * (request_limits.MOST_VALUES + 1))}")
    assert (many.status_code, f"{request_limits.MOST_VALUES} at most" in many.text) == (414, True)
    script = get(
        f"{team.base}/rows?comments={'x' * request_limits.LONGEST_URL}", headers={"Accept": "application/json"}
    )
    assert "characters" in script.json()["why"]
    headers = get(team.base, headers={f"x-{number}": "y" for number in range(request_limits.MOST_HEADERS)})
    assert (headers.status_code, str(request_limits.MOST_HEADERS) in headers.text) == (431, True)
    wide = get(team.base, headers={"x-wide": "y" * (request_limits.LONGEST_HEADERS + 1)})
    assert (wide.status_code, f"{request_limits.LONGEST_HEADERS:,}" in wide.text) == (431, True)
    # What never ends is not kept.
    endless = b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x-y: z\r\n" * LONGEST_HEAD * 10
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        _said(team, endless)
    assert get(f"{team.base}/alive").status_code == 200


POSTS = ("/login", "/logout", "/saved", "/saved/x/share", "/saved/x/unshare", "/saved/x/delete", "/saved/x/restore",
         "/export", "/export/x/stop")  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
def test_what_is_sent_is_bounded_before_anybody_signs_in(team: Served, path: str) -> None:
    with browser(team.base) as client:
        form = {"Content-Type": request_limits.FORM}
        exact = client.post(path, content=b"x" * request_limits.LONGEST_FORM, headers=form)
        assert exact.status_code in (401, 403), "a form that is not too long is looked at"
        long = client.post(path, content=b"x" * (request_limits.LONGEST_FORM + 1), headers=form)
        assert (long.status_code, f"{request_limits.LONGEST_FORM:,}" in long.text) == (413, True)
        pieces = (b"x" * 10_000 for _ in range(100))
        assert client.post(path, content=pieces, headers=form).status_code == 413
        assert client.post(path, content=b"&" * request_limits.MOST_VALUES, headers=form).status_code == 413
        files = client.post(path, files={"a": b"x" * 200_000})
        assert (files.status_code, request_limits.FORM in files.text) == (415, True)
        packed = client.post(path, content=b"x", headers=form | {"Content-Encoding": "gzip"})
        assert packed.status_code == 415


def test_no_file_is_made_of_what_somebody_sends(team: Served) -> None:
    # Whoever has opened the sign-in page has a token of its form.
    with browser(team.base) as client:
        token = {"X-CSRF-Token": csrf(client.get("/login"))}
        boundary = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
        going_on = threading.Event()
        seen: list[str] = []

        def pieces() -> Iterator[bytes]:
            yield boundary + b"x" * 3_000_000
            going_on.wait(1)
            seen.extend(path for path in _open_files(team) if "deleted" in path)
            yield b"\r\n--x--\r\n"

        headers = token | {"Content-Type": "multipart/form-data; boundary=x"}
        assert client.post("/login", content=pieces(), headers=headers).status_code == 415
        assert not seen


def _open_files(server: Served) -> list[str]:
    found = []
    for path in Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            found.append(str(path.readlink()))
        except FileNotFoundError:
            continue
    return found


def test_who_only_opens_connections_keeps_nobody_out(team: Served) -> None:
    with ExitStack() as stack:
        for number in range(MOST_CONNECTIONS + 250):
            connection = stack.enter_context(_connect(team))
            if number % 2:
                connection.sendall(b"GET / HTTP/1.1\r\nhost: ")
        began = time.perf_counter()
        assert get(f"{team.base}/alive").status_code == 200
        assert time.perf_counter() - began < _LATEST
        assert len(_open_files(team)) < MOST_CONNECTIONS + 100


@pytest.mark.slow
def test_a_request_that_does_not_come_is_given_up(team: Served) -> None:
    length = str(request_limits.LONGEST_FORM).encode()
    form = (
        b"POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: "
        + request_limits.FORM.encode()
        + b"\r\ncontent-length: "
        + length
    )
    for sent, answer in ((b"GET / HTTP/1.1\r\n", b""), (b"", b""), (form + b"\r\n\r\nx", b"HTTP/1.1 408")):
        began = time.monotonic()
        said = _said(team, sent)
        assert said[: len(answer)] == answer
        assert bool(said) == bool(answer)
        assert time.monotonic() - began < 40
