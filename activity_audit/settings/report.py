"""The settings of the report: where it listens, and who may see it. `activity_audit.settings.core` reads them."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

from activity_audit.settings.value_types import AbsolutePath, Networks, PositiveDuration, Url


class ReportSettings(BaseModel):
    """How the report is served. Field `auth` is the variable `AUDIT_REPORT_AUTH`, and so on."""

    auth: Literal["token", "users", "oidc", "proxy"] = Field(
        "token", description="how a reader proves who they are: token, users, oidc or proxy"
    )
    url: Url | None = Field(None, description="the URL that readers open, where it is not the address listened on")
    dagster_url: Url | None = Field(None, description="where Dagster's UI is, for the link to it")
    users_file: AbsolutePath | None = Field(None, description="for users: the TOML file with the users")
    oidc_issuer: Url | None = Field(None, description="for oidc: the issuer, whose configuration is looked up")
    oidc_client_id: str | None = Field(None, description="for oidc: the client's id")
    oidc_client_secret: SecretStr | None = Field(None, description="for oidc: its secret")
    oidc_roles_claim: str = Field("roles", description="for oidc: the claim of the ID token that lists the roles")
    oidc_scope: str = Field("openid profile email", description="for oidc: the scope that is asked for")
    proxy_header: str | None = Field(None, description="for proxy: the header with the user's name")
    proxy_roles_header: str | None = Field(None, description="for proxy: the header with the roles, comma-separated")
    proxy_from: Networks = Field(
        default_factory=list, description="for proxy: the addresses or networks that the header is believed from"
    )
    idle: PositiveDuration = Field(timedelta(hours=1), description="how long a session lives without a request")
    session: PositiveDuration = Field(timedelta(hours=12), description="how long a session lives at most")
    token_life: PositiveDuration = Field(
        timedelta(minutes=15), description="for token: how long the link can be opened"
    )
    export_space: int = Field(
        5_000_000_000, ge=1, le=1 << 50, description="how many bytes finished and running exports may take"
    )

    @field_validator("url")
    @classmethod
    def _without_path(cls, value: str | None) -> str | None:
        if value and urlsplit(value).path:
            raise ValueError("must be without a path: the report has a host name of its own")
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
