"""Redirects the former address of Dagster's pages to the door, and answers there what monitoring asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6, socket
from urllib.parse import quote

from activity_audit.report.dagster_door import PATH

_log = logging.getLogger(__name__)
# How long a connection may say nothing, in seconds.
_PATIENCE = 5.0


@contextmanager
def leads_to(
    listening: socket, base_url: str, answered: Callable[[str], tuple[int, str, bytes] | None] = lambda path: None
) -> Iterator[None]:
    """Answer on that socket, which listens, with the way to Dagster's pages at `base_url` (without a slash).

    What `answered` has an answer to, status, media type and content, is answered with that.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE
        server_version = "audit"
        sys_version = ""

        def do_GET(self) -> None:
            if found := answered(self.path):
                status, kind, content = found
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self._end(content)
                return
            # What is not the path of a page, such as another host's URL, must lead nowhere but to the door.
            path = self.path if self.path.startswith("/") else "/"
            self.send_response(307)
            self.send_header("Location", base_url + PATH + quote(path, safe="/?&=%:,[]"))
            self._end(b"")

        def _end(self, content: bytes) -> None:
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: it is no access to anything."""

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if listening.family == AF_INET6 else ThreadingHTTPServer.address_family

        def handle_error(self, request: object, client_address: object) -> None:
            _log.exception("a request of monitoring failed")

    server = Server(listening.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
