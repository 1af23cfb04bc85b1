"""The state of a sign-in that is not finished, kept signed in the browser's cookie and not on the server.

So nothing here grows with those who only open the sign-in page, and nobody pushes out anybody else's sign-in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

LIFE = timedelta(hours=1)
_MOST_WAYS = 5
# A browser keeps a cookie of up to 4096 bytes; base64 and the signature come to this.
_LONGEST = 2500


@dataclass
class Pending:
    """One browser's sign-in: a random `id`, when it is too late (seconds since 1970), and where its tabs want to go.

    `ways` has the page that is wanted by the state that the provider hands back.
    """

    id: str
    until: float
    ways: dict[str, str] = field(default_factory=dict)

    def add(self, state: str, wanted: str) -> None:
        """One more way to the provider; the oldest of too many, tabs that never came back, are forgotten."""
        self.ways[state] = wanted
        while len(self.ways) > 1 and (len(self.ways) > _MOST_WAYS or len(json.dumps(self.ways)) > _LONGEST):
            del self.ways[next(iter(self.ways))]
        if len(json.dumps(self.ways)) > _LONGEST:
            # A page that does not fit into a cookie: after signing in one begins with the report's first.
            self.ways[state] = "/"


class PendingSignIns:
    """Writes and reads them. The key is of this process: a restart ends those that are under way."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock

    def begin(self, before: Pending | None = None) -> Pending:
        """A new one, or the one before with its time begun again."""
        until = self._clock() + LIFE.total_seconds()
        return Pending(before.id, until, dict(before.ways)) if before else Pending(secrets.token_urlsafe(16), until)

    def write(self, pending: Pending) -> str:
        """The cookie's value."""
        said = urlsafe_b64encode(json.dumps([pending.id, pending.until, pending.ways]).encode()).decode().rstrip("=")
        return f"{said}.{self._mac('cookie', said)}"

    def read(self, cookie: str | None) -> Pending | None:
        """What `write` wrote, if it is not too late; None for anything else."""
        said, _, mac = (cookie or "").partition(".")
        if not mac or not hmac.compare_digest(mac.encode(), self._mac("cookie", said).encode()):
            return None
        pending = Pending(*json.loads(urlsafe_b64decode(said + "=" * (-len(said) % 4))))
        return pending if self._clock() < pending.until else None

    def csrf(self, pending: Pending) -> str:
        """The token that the form of this browser must carry."""
        return self._mac("csrf", pending.id)

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()
