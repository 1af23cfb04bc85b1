"""How a request becomes a user: the session's cookie, and what the way of signing in makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.responses import Response

from orchestration.report_settings import ReportSettings
from report.access.permissions import PERMISSIONS, User, permissions_of
from report.access.proxy import Proxy
from report.access.sessions import Session, Sessions
from report.access.tokens import Tokens
from report.access.users import Users

if TYPE_CHECKING:
    from report.access.oidc import Provider

LOCAL_USER = "local"


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
        self.users = Users(settings.users_file) if self.mode == "users" and settings.users_file else None
        self.proxy = Proxy(settings) if self.mode == "proxy" else None
        self.provider: Provider | None = None
        if self.mode == "oidc":
            from report.access.oidc import Provider

            self.provider = Provider(settings, f"{base_url}/login/callback")
        # Cookies are shared by all ports of a host, so two reports need two names.
        port = base_url.rpartition(":")[2]
        self.cookie = "__Host-audit_report" if self.https else f"audit_report_{port if port.isdigit() else 80}"

    def session(self, connection: HTTPConnection) -> tuple[Session | None, str | None]:
        """The request's session; where it is a new one, also the id that the browser must be told."""
        session = self.sessions.find(connection.cookies.get(self.cookie))
        if not self.proxy:
            return session, None
        named = self.proxy.named(connection)
        if named is None:
            return None, None
        name, roles = named
        if session and session.name == name:
            session.roles = roles
            return session, None
        token, begun = self.sessions.begin(name, roles)
        return begun, token

    def user(self, session: Session | None) -> User | None:
        """Who the session's user is by now: one that was removed is none any more."""
        if session is None or session.name is None:
            return None
        if self.mode == "token":
            return User(session.name, frozenset(PERMISSIONS))
        if self.users:
            return self.users.find(session.name)
        return User(session.name, permissions_of(session.roles))

    def sign_in(self, response: Response, old: Session | None, name: str, roles: tuple[str, ...] = ()) -> Session:
        """Begin a session with a new id, in place of the one that there was before."""
        if old:
            self.sessions.end(old)
        token, session = self.sessions.begin(name, roles)
        self.tell(response, token)
        return session

    def tell(self, response: Response, token: str) -> None:
        """Give the browser its session's id."""
        response.headers.append("set-cookie", self.cookie_header(token))

    def cookie_header(self, token: str) -> str:
        """The session's cookie; with an empty id, the end of it."""
        secure = "; Secure" if self.https else ""
        end = "" if token else "; Max-Age=0"
        return f"{self.cookie}={token}; Path=/; HttpOnly; SameSite=Lax{secure}{end}"
