"""The settings of the report: where it listens, and who may see it. `activity_audit.settings.core` reads them."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from activity_audit.settings.cxone import checked_url
from activity_audit.settings.durations import Duration

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return [ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"must be addresses or networks such as 10.0.0.5,10.1.0.0/16; {error}") from None


class ReportSettings(BaseSettings):
    """How the report is served. Field `auth` is the variable `AUDIT_REPORT_AUTH`, and so on."""

    model_config = SettingsConfigDict(
        env_prefix="AUDIT_REPORT_", env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )

    auth: Literal["token", "users", "oidc", "proxy"] = Field(
        "token", description="how a reader proves who they are: token, users, oidc or proxy"
    )
    url: str | None = Field(None, description="the URL that readers open, where it is not the address listened on")
    dagster_url: str | None = Field(None, description="where Dagster's UI is, for the link to it")
    users_file: Path | None = Field(None, description="for users: the TOML file with the users")
    oidc_issuer: str | None = Field(None, description="for oidc: the issuer, whose configuration is looked up")
    oidc_client_id: str | None = Field(None, description="for oidc: the client's id")
    oidc_client_secret: SecretStr | None = Field(None, description="for oidc: its secret")
    oidc_roles_claim: str = Field("roles", description="for oidc: the claim of the ID token that lists the roles")
    oidc_scope: str = Field("openid profile email", description="for oidc: the scope that is asked for")
    proxy_header: str | None = Field(None, description="for proxy: the header with the user's name")
    proxy_roles_header: str | None = Field(None, description="for proxy: the header with the roles, comma-separated")
    proxy_from: Annotated[list[Network], NoDecode, BeforeValidator(_networks)] = Field(
        default_factory=list, description="for proxy: the addresses or networks that the header is believed from"
    )
    idle: Duration = Field(timedelta(hours=1), description="how long a session lives without a request")
    session: Duration = Field(timedelta(hours=12), description="how long a session lives at most")
    token_life: Duration = Field(timedelta(minutes=15), description="for token: how long the link can be opened")
    export_space: int = Field(
        5_000_000_000, ge=1, le=1 << 50, description="how many bytes finished and running exports may take"
    )

    @field_validator("url", "dagster_url", "oidc_issuer")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return checked_url(value) if value else value

    @field_validator("url")
    @classmethod
    def _without_path(cls, value: str | None) -> str | None:
        if value and urlsplit(value).path:
            raise ValueError("must be without a path: the report has a host name of its own")
        return value

    @field_validator("users_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else None

    @field_validator("idle", "session", "token_life")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("must be longer than 0s")
        return value

    def missing(self) -> list[str]:
        """What the chosen way of signing in needs and is not set, a sentence each."""
        needed = {
            "token": {},
            "users": {"users_file": "a TOML file with users; `audit password NAME` prints an entry of it"},
            "oidc": {
                "oidc_issuer": "the provider's issuer URL",
                "oidc_client_id": "the id of this client at the provider",
                "oidc_client_secret": "its secret",
            },
            "proxy": {
                "proxy_header": "the header in which the proxy names the user, such as X-Forwarded-User",
                "proxy_from": "the addresses of the proxy; from anywhere else the header is not believed",
            },
        }[self.auth]
        return [
            f"AUDIT_REPORT_{name.upper()} is not set: for AUDIT_REPORT_AUTH={self.auth} it must be {what}"
            for name, what in needed.items()
            if not getattr(self, name)
        ]
