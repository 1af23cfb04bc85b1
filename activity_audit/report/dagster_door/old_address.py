"""Redirects the former address of Dagster's pages to the door. It serves nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6, socket
from urllib.parse import quote

from activity_audit.report.dagster_door import PATH

# How long a connection may say nothing, in seconds.
_PATIENCE = 5.0


@contextmanager
def leads_to(listening: socket, base_url: str) -> Iterator[None]:
    """Answer on that socket, which listens, with the way to Dagster's pages at `base_url` (without a slash)."""

    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE
        server_version = "audit"
        sys_version = ""

        def do_GET(self) -> None:
            # What is not the path of a page, such as another host's URL, must lead nowhere but to the door.
            path = self.path if self.path.startswith("/") else "/"
            self.send_response(307)
            self.send_header("Location", base_url + PATH + quote(path, safe="/?&=%:,[]"))
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: it is no access to anything."""

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if listening.family == AF_INET6 else ThreadingHTTPServer.address_family

    server = Server(listening.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
