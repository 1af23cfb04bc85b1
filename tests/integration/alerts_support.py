"""Places that alerts are sent to, for the tests: an HTTP server, and the mailbox of a real SMTP server's process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.integration.support import until


@dataclass
class Receiver:
    """An HTTP server that takes the messages of apprise's `json://`; `status` is what it answers."""

    url: str = ""
    status: int = 200
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        """The titles of what came, without the product's name before them."""
        return [message["title"].removeprefix("Activity audit: ") for message in self.messages]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver, until the end of the block; its URL has a password in it."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.status == 200:
                found.messages.append(content)
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"json://oncall:pa55word@127.0.0.1:{server.server_address[1]}/hook"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield found
        server.shutdown()


@dataclass
class Mailbox:
    """What an SMTP server took; its URL is apprise's."""

    port: int
    folder: Path

    @property
    def url(self) -> str:
        """Where apprise sends to it."""
        return f"mailto://127.0.0.1:{self.port}?from=audit@example.org&to=oncall@example.org&mode=insecure"

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails that came, the oldest first."""
        found = sorted((self.folder / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        return [BytesParser(policy=default).parsebytes(path.read_bytes()) for path in found]  # type: ignore[misc]


@contextmanager
def mail_server(folder: Path) -> Iterator[Mailbox]:
    """A process with an SMTP server that keeps what it takes in a maildir, until the end of the block."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        box = Mailbox(free.getsockname()[1], folder / "mail")
    handler = ["-c", "aiosmtpd.handlers.Mailbox", str(box.folder)]
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{box.port}", *handler]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _listens(box.port), 30)
            yield box
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with closing(socket.socket()) as looking:
        return looking.connect_ex(("127.0.0.1", port)) == 0
