"""One connection of the server, with limits on the time for its headers and answers, and on their number.

uvicorn bounds how long a connection may be idle, and nothing else of this.
"""

from __future__ import annotations

import asyncio
import logging

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# How long the address and the headers of a request may take, and how long an answer may wait to be read, in seconds.
HEAD_SECONDS = 15.0
UNREAD_SECONDS = 60.0
# The address and the headers together, in bytes, before they are understood.
LONGEST_HEAD = 64_000
# Each is an open file of this process, of which the usual limit is 1024.
MOST_CONNECTIONS = 500
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 2\r\n"
    b"connection: close\r\n\r\nToo many connections are open; try again in a few seconds.\n"
)
_log = logging.getLogger(__name__)


class Connection(H11Protocol):
    """uvicorn's own, with these bounds.

    Of too many connections the one that has waited longest without a request makes room, so that whoever only opens
    them keeps nobody out.
    """

    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _waits_since = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._waits_since = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS and not self._has_room():
            transport.write(_FULL)
            transport.close()
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        self._await_head()

    def on_response_complete(self) -> None:
        """See uvicorn."""
        self._waits_since = self.loop.time()
        super().on_response_complete()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        for timer in (self._timer, self._unread):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """See asyncio: what was sent is not read."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio."""
        if self._unread:
            self._unread.cancel()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """See uvicorn: the request is none that can be understood."""
        super().send_400_response(
            f"This is no HTTP request, or its address and headers have more than {LONGEST_HEAD} bytes."
        )

    def _await_head(self) -> None:
        """Begin to count the time of a request's head when its first byte may come, and end it when it is whole."""
        is_coming = self.conn.their_state is h11.IDLE and self.is_waiting
        if is_coming and self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)
        elif not is_coming and self._timer:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _has_room(self) -> bool:
        """Whether a connection that waits could be closed for this one."""
        waiting = [
            one for one in self.connections if isinstance(one, Connection) and one.is_waiting and one is not self
        ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda one: one._waits_since)
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True
