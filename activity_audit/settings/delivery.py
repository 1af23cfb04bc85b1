"""The settings of scheduled deliveries: where reports may be sent. `activity_audit.settings.core` reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

from activity_audit.base.masking import has_credentials
from activity_audit.settings.value_types import Names

_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?P<domain>[A-Za-z0-9.-]{1,190})")
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True)
class MailServer:
    """A server that takes mail; `has_tls` says that the connection begins with TLS, and does not go over to it."""

    host: str
    port: int
    sender: str
    user: str | None
    password: str | None
    has_tls: bool


class DeliverySettings(BaseModel):
    """Where reports may be sent. Field `path` is the variable `AUDIT_DELIVERY_PATH`, and so on."""

    path: str | None = Field(
        None, description="the folder, or any fsspec URL, below which readers may have reports delivered"
    )
    domains: Names = Field(default_factory=list, description="the domains whose addresses may be sent reports")
    smtp: SecretStr | None = Field(
        None, description="the mail server, as smtp://user:password@mail.example.org:587?from=audit@example.org"
    )
    mail_bytes: int = Field(
        10_000_000, ge=1, le=1 << 30, description="a file with more bytes is not attached; the mail says where it is"
    )

    @field_validator("path")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        if value and has_credentials(value):
            raise ValueError("must have no password or key in it; put them into the store's own environment")
        return value

    @field_validator("domains")
    @classmethod
    def _domains(cls, value: list[str]) -> list[str]:
        domains = [one.lower() for one in value]
        if not all(map(_DOMAIN.fullmatch, domains)):
            raise ValueError("must be domains such as example.org, separated by commas")
        return domains

    @field_validator("smtp")
    @classmethod
    def _server(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            mail_server(value.get_secret_value())
        return value

    @property
    def mail(self) -> MailServer | None:
        """The mail server; None where none is set, or no domain."""
        return mail_server(self.smtp.get_secret_value()) if self.smtp and self.domains else None

    def may_mail(self, address: str) -> bool:
        """Whether this is an address of one of the domains."""
        found = _ADDRESS.fullmatch(address)
        return bool(found) and found["domain"].lower() in self.domains  # type: ignore[index]


def mail_server(url: str) -> MailServer:
    """The server of a URL.

    Raises:
        ValueError: saying what it must be, without quoting it.
    """
    must_be = "must be a URL such as smtp://user:password@mail.example.org:587?from=audit@example.org"
    parts = urlsplit(url)
    try:
        port, sender = parts.port, parse_qs(parts.query).get("from", [""])[0]
    except ValueError:
        raise ValueError(must_be) from None
    if parts.scheme not in _PORTS or not parts.hostname or not _ADDRESS.fullmatch(sender):
        raise ValueError(must_be)
    user, password = (unquote(text) if text else None for text in (parts.username, parts.password))
    return MailServer(
        parts.hostname, port or _PORTS[parts.scheme], sender, user, password, has_tls=parts.scheme == "smtps"
    )
