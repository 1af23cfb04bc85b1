"""A server that speaks the vendor's activity audit API over real HTTP, with every fault that it may have.

Faults come from a script (the next requests, one by one) or from a seeded generator (`fault_rate`). Which events
there are depends on `now`, so that they can be late, or go again.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

KEY_ID, KEY_SECRET = "tenant-key-5d1f0c", "s3cret/of+the-key=9a7b"
CLIENT_ID, CLIENT_SECRET = "oauth-client-77aa", "s3cret-of-the-client-41c2"
# What a seeded generator draws from: all of them go by when the request is made again.
PASSING = ("expired", "429", "429 date", "403", "500", "502", "503", "drop", "reset", "truncated", "no json")
ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_Z = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@dataclass(frozen=True)
class ApiEvent:
    """A record as the API has it, and from when till when it has it."""

    at: datetime
    text: str
    since: datetime = ALWAYS[0]
    until: datetime = ALWAYS[1]


@dataclass
class Api:
    """What the server does; every attribute may be changed while it runs."""

    events: list[ApiEvent] = field(default_factory=list)
    now: datetime = datetime(2026, 5, 3, tzinfo=UTC)
    base_path: str = ""
    audit_path: str = "/activity/audit"
    time_pattern: str = _Z
    page_limit: int = 1000
    # How a page names the next one: an absolute or relative link, one of a query only, or a reference.
    paging: str = "absolute"
    pretty: bool = False
    shuffled: bool = False
    token_life: int = 3600
    fault_rate: float = 0.0
    seed: int = 1
    script: list[str] = field(default_factory=list)
    token_script: list[str] = field(default_factory=list)
    retry_after: str = "0"
    # A fault that lasts, of the pages and their links: repeat, loop, foreign.
    trap: str = ""
    latency: float = 0.0
    # Whatever a server may send back of what it was sent.
    echo: bool = False

    def __post_init__(self) -> None:
        self.requests: list[str] = []
        self.statuses: list[int] = []
        self.tokens: list[str] = []
        self.token_requests = 0
        self.url = ""
        self._random = random.Random(self.seed)
        self._failed: dict[str, int] = {}
        self._lock = threading.Lock()
        self._windows: dict[tuple[datetime, datetime, datetime, bool, int], list[ApiEvent]] = {}

    def fault(self, url: str) -> str:
        """The fault that the next request meets; no URL meets more than two in a row."""
        with self._lock:
            if self.script:
                return self.script.pop(0)
            if self._failed.get(url, 0) < 2 and self._random.random() < self.fault_rate:
                self._failed[url] = self._failed.get(url, 0) + 1
                return self._random.choice(PASSING)
            self._failed[url] = 0
            return ""

    def new_token(self) -> str:
        """A token that is good until the next one is given, or `token_life` is over."""
        with self._lock:
            self.tokens.append(f"access-token-{len(self.tokens)}-{self._random.getrandbits(64):016x}")
            return self.tokens[-1]

    def window(self, start: datetime, end: datetime) -> list[ApiEvent]:
        """The events of a window, as the API has them now; in the same order for all pages of a reading."""
        key = (start, end, self.now, self.shuffled)
        if key not in self._windows:
            found = [
                event for event in self.events if start <= event.at < end and event.since <= self.now < event.until
            ]
            found.sort(key=lambda event: (event.at, event.text))
            if self.shuffled:
                random.Random(f"{self.seed} {key}").shuffle(found)
            self._windows[key] = found
        return self._windows[key]


@contextmanager
def serving(api: Api) -> Iterator[Api]:
    """The server on a free port of this machine, till the end of the block; `api.url` is its address."""
    handler = type("Handler", (_Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def environment(api: Api, **changes: str) -> dict[str, str]:
    """The settings that reach the server, with waits as short as a test needs."""
    return {
        "AUDIT_SOURCE": "cxone",
        "CXONE_API_URL": api.url + api.base_path,
        "CXONE_TOKEN_URL": f"{api.url}/authentication/v1/token/access-key",
        "CXONE_ACCESS_KEY_ID": KEY_ID,
        "CXONE_ACCESS_KEY_SECRET": KEY_SECRET,
        "CXONE_PAGE_SIZE": "50",
        "CXONE_TIMEOUT": "5s",
        "CXONE_RETRY_WAIT": "0.001s",
        "CXONE_MAX_WAIT": "0.02s",
        **changes,
    }


class _Handler(BaseHTTPRequestHandler):
    api: Api
    protocol_version = "HTTP/1.1"
    # A response is one packet; without this it would wait for an acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.api.token_requests += 1
        if self.api.token_script:
            return self._fail(self.api.token_script.pop(0))
        if self.path == "/authentication/v1/token/access-key":
            good = json.loads(body) == {"accessKeyId": KEY_ID, "accessKeySecret": KEY_SECRET}
        elif self.path in ("/oauth/header", "/oauth/body"):
            form = {name: values[0] for name, values in parse_qs(body).items()}
            if self.path == "/oauth/header":
                basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
                given = self.headers["Authorization"] == f"Basic {basic}"
            else:
                given = (form.pop("client_id", ""), form.pop("client_secret", "")) == (CLIENT_ID, CLIENT_SECRET)
            good = given and form == {"grant_type": "client_credentials", "scope": "audit"}
        else:
            return self._error(404, "no such path")
        if not good:
            return self._error(401, f"wrong credentials: {body}" if self.api.echo else "wrong credentials")
        token = self.api.new_token()
        return self._json(
            200,
            {
                "access_token": token,
                "refresh_token": f"refresh-{token}",
                "expires_in": self.api.token_life,
                "token_type": "Bearer",
            },
        )

    def do_GET(self) -> None:
        api, parts = self.api, urlsplit(self.path)
        if api.latency:
            time.sleep(api.latency)
        if parts.path == "/.well-known/cxone-configuration":
            known = parse_qs(parts.query) == {"tenantId": ["tenant-1"]}
            return self._json(200, {"api_endpoint": api.url + api.base_path} if known else {})
        api.requests.append(self.path)
        if fault := api.fault(self.path):
            return self._fail(fault)
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if not api.tokens or token != api.tokens[-1]:
            return self._error(401, f"token {token} has expired" if api.echo else "the token has expired")
        if parts.path != api.base_path + api.audit_path:
            return self._error(404, f"no such path {'.' * 175} {token}" if api.echo else "no such path")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if not all(re.fullmatch(api.time_pattern, query.get(name, "")) for name in ("From", "To")):
            return self._error(400, "From and To must be as documented")
        if int(query.get("Top", "100")) > api.page_limit:
            return self._error(400, f"Top must be at most {api.page_limit}")
        if api.echo and "Ref" in query and query.pop("access_token", "") != api.tokens[-1]:
            return self._error(400, "the link must be followed as it is")
        return self._page(query)

    def _page(self, query: dict[str, str]) -> None:
        api = self.api
        start, end = (datetime.fromisoformat(query[name][:19]).replace(tzinfo=UTC) for name in ("From", "To"))
        events, size = api.window(start, end), int(query.get("Top", "100"))
        number, offset = map(int, base64.b64decode(query.get("Ref", "MDow")).decode().split(":"))
        records = [event.text for event in events[offset : offset + size]]
        follows = offset + size
        if api.trap == "repeat" and number:
            records, follows = [event.text for event in events[:size]], 1
        if api.trap == "loop" and number == 1:
            number, follows = -1, 0
        links = [f'"self": "{api.url}{self.path}"']
        ref = base64.b64encode(f"{number + 1}:{follows}".encode()).decode()
        extra = ""
        if follows < len(events):
            secret = {"access_token": api.tokens[-1]} if api.echo else {}
            query = (
                {**query, "Ref": ref, **secret}
                if number >= 0
                else {name: query[name] for name in ("From", "To", "Top")}
            )
            path, asked = api.base_path + api.audit_path, urlencode(query)
            host = api.url.replace("127.0.0.1", "127.0.0.2") if api.trap == "foreign" else api.url
            link = {"absolute": f"{host}{path}?{asked}", "relative": f"{path}?{asked}", "query": f"?{asked}"}
            if api.paging == "ref":
                extra = f', "Ref": "{ref}"'
            else:
                links.append(f'"next": {json.dumps(link[api.paging])}')
        gap = ",\n  " if api.pretty else ","
        if api.echo:
            extra += f', "request": {json.dumps(self.headers["Authorization"])}'
        text = f'{{"links": {{{", ".join(links)}}}{extra}, "values": [{gap.join(records)}]}}'
        self._send(200, text.encode())

    def _fail(self, fault: str) -> None:
        api = self.api
        if fault == "expired":
            api.new_token()
            return self._error(401, "the token has expired")
        if fault == "drop":
            self._head(200, 1000)
            self.wfile.write(b'{"links": {}, "values": [{"application"')
            return self._hang_up()
        if fault == "slow":
            time.sleep(0.4)
            return self._hang_up()
        if fault == "reset":
            return self._hang_up()
        if fault in ("truncated", "no json"):
            return self._send(200, b'{"values": [{"a": 1}, {"b"' if fault == "truncated" else b"<html>later</html>")
        if fault == "nested":
            return self._send(200, b"[" * 100_000)
        if fault == "bomb":
            return self._send(200, gzip.compress(bytes(32 << 20)), {"Content-Encoding": "gzip"})
        if fault == "large":
            return self._send(200, b" " * (3 << 20))
        if fault == "brotli":
            return self._send(200, b"\x0b\x02\x80{}\x03", {"Content-Encoding": "gzip, br"})
        if fault == "wrong gzip":
            return self._send(200, b"{}", {"Content-Encoding": "gzip"})
        if fault == "half a character":
            return self._send(400, b'{"Message": "\\ud800"}')
        if fault == "trickle":
            self._head(200, 100)
            with suppress(OSError):
                for _ in range(100):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.05)
            return self._hang_up()
        if fault.startswith("429"):
            later = format_datetime(datetime.now(UTC) + timedelta(seconds=int(api.retry_after)), usegmt=True)
            return self._error(429, "slowly", {"Retry-After": later if "date" in fault else api.retry_after})
        return self._error(int(fault), "not now")

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def _error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self._json(status, {"Message": message}, headers)

    def _json(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(document).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, len(body), headers)
        self.wfile.write(body)
        self.wfile.flush()

    def _head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.api.statuses.append(status)
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
