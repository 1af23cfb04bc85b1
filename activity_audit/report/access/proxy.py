"""Users that a reverse proxy has signed in and names in a header, which counts only from the proxy's own address."""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection

from activity_audit.settings.report import ReportSettings

_LONGEST_NAME = 200


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
