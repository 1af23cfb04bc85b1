"""Finds the user of a request, from the session's cookie or by the configured way of signing in.

A reverse proxy names users in a header, which counts only from the proxy's own address.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.responses import Response

from activity_audit.report.access.attempts import Attempts
from activity_audit.report.access.pending import LIFE, Pending, PendingSignIns
from activity_audit.report.access.permissions import PERMISSIONS, User, user_of
from activity_audit.report.access.sessions import Session, Sessions
from activity_audit.report.access.tokens import Tokens
from activity_audit.report.access.users import Users
from activity_audit.settings.report import ReportSettings

if TYPE_CHECKING:
    from activity_audit.report.access.oidc import Provider

_LONGEST_NAME = 200


class Access:
    """The way of signing in that the settings name, and the sessions of those who did.

    `base_url` is what readers open, without a trailing slash.
    """

    def __init__(self, settings: ReportSettings, base_url: str) -> None:
        self.mode = settings.auth
        self.base_url = base_url
        self.https = base_url.startswith("https://")
        self.sessions = Sessions(settings.idle, settings.session)
        self.tokens = Tokens(settings.token_life)
        self.attempts = Attempts()
        self._pending = PendingSignIns()
        self.users = Users(settings.users_file) if self.mode == "users" and settings.users_file else None
        self.proxy = Proxy(settings) if self.mode == "proxy" else None
        self.provider: Provider | None = None
        if self.mode == "oidc":
            from activity_audit.report.access.oidc import Provider

            self.provider = Provider(settings, f"{base_url}/login/callback")
        # Cookies are shared by all ports of a host, so two reports need two names.
        port = base_url.rpartition(":")[2]
        self.cookie = "__Host-audit_report" if self.https else f"audit_report_{port if port.isdigit() else 80}"
        self._pending_cookie = f"{self.cookie}_sign_in"
        self._kept = f"Path=/; HttpOnly; SameSite=Lax{'; Secure' if self.https else ''}"

    def session(self, connection: HTTPConnection, *, is_seen: bool = True) -> Session | None:
        """The request's session. Whom a proxy names needs no cookie. What a page asks by itself does not prolong it."""
        if self.proxy:
            named = self.proxy.named(connection)
            return self.sessions.of(*named) if named else None
        return self.sessions.find(connection.cookies.get(self.cookie), is_seen=is_seen)

    def csrf(self, connection: HTTPConnection, session: Session | None) -> str:
        """The token that the request's forms must carry; the empty text where there can be none."""
        if session:
            return session.csrf
        pending = self.pending(connection)
        return self._pending.csrf(pending) if pending else ""

    def pending(self, connection: HTTPConnection) -> Pending | None:
        """The browser's sign-in that is under way, if there is one."""
        return self._pending.read(connection.cookies.get(self._pending_cookie))

    def begin_sign_in(self, before: Pending | None) -> tuple[Pending, str]:
        """A sign-in, or the one before for another while, and the token that its form must carry."""
        pending = self._pending.begin(before)
        return pending, self._pending.csrf(pending)

    def tell_pending(self, response: Response, pending: Pending | None) -> None:
        """Give the browser its sign-in to keep; None ends it."""
        value = self._pending.write(pending) if pending else ""
        life = int(LIFE.total_seconds()) if pending else 0
        response.headers.append("set-cookie", f"{self._pending_cookie}={value}; Max-Age={life}; {self._kept}")

    def user(self, session: Session | None) -> User | None:
        """Who the session's user is by now: one that was removed is none any more."""
        if session is None:
            return None
        if self.mode == "token":
            return User(session.name, frozenset(PERMISSIONS))
        if self.users:
            return self.users.find(session.name)
        return user_of(session.name, session.roles)

    def sign_in(self, response: Response, old: Session | None, name: str, roles: tuple[str, ...] = ()) -> Session:
        """Begin a session with a new id, in place of the one that there was before."""
        if old:
            self.sessions.end(old)
        token, session = self.sessions.begin(name, roles)
        self.tell(response, token)
        return session

    def tell(self, response: Response, token: str) -> None:
        """Give the browser its session's id; an empty one ends it."""
        end = "" if token else "; Max-Age=0"
        response.headers.append("set-cookie", f"{self.cookie}={token}; {self._kept}{end}")


class Proxy:
    """The proxy that the settings trust."""

    def __init__(self, settings: ReportSettings) -> None:
        self._header = settings.proxy_header or ""
        self._roles_header = settings.proxy_roles_header
        self._networks = settings.proxy_from

    def named(self, connection: HTTPConnection) -> tuple[str, tuple[str, ...]] | None:
        """The user and the roles that the request is for; None where it is not from the proxy, or names nobody.

        Without a header for roles everybody whom the proxy lets through may view.
        """
        if not connection.client or not self._is_proxy(connection.client.host):
            return None
        names = connection.headers.getlist(self._header)
        # Two headers mean that one of them came from the reader.
        if len(names) != 1 or not names[0].strip() or len(names[0]) > _LONGEST_NAME:
            return None
        roles = connection.headers.getlist(self._roles_header) if self._roles_header else ["viewer"]
        listed = roles[0].split(",") if len(roles) == 1 else []
        return names[0].strip(), tuple(role.strip() for role in listed if role.strip())

    def _is_proxy(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)
