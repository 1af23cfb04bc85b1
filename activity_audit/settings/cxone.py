"""The settings of the vendor's API as a source. `activity_audit.settings.core` reads them where AUDIT_SOURCE=cxone.

What a deployment of the API does is not all documented, so whatever may differ has a setting here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from activity_audit.settings.value_types import PositiveDuration, Url

_NEEDED = {
    "token_url": "the URL that gives access tokens, such as https://<host>/authentication/v1/token/access-key",
    "api_url": "the tenant's API, such as https://api-na1.niceincontact.com; or set CXONE_TENANT_ID and "
    "CXONE_DISCOVERY_URL, and it is looked up",
    "tenant_id": "the tenant whose API CXONE_DISCOVERY_URL is asked for",
    "discovery_url": "the URL of the tenants' configuration, such as https://<host>/.well-known/cxone-configuration",
    "access_key_id": "the id of an access key; or set CXONE_OAUTH_CLIENT_ID and CXONE_OAUTH_CLIENT_SECRET",
    "access_key_secret": "the secret of the access key CXONE_ACCESS_KEY_ID",
    "oauth_client_id": "the id of the OAuth client that CXONE_OAUTH_CLIENT_SECRET is of",
    "oauth_client_secret": "the secret of the OAuth client CXONE_OAUTH_CLIENT_ID",
}
# The system waits at a socket for so many milliseconds, in 32 bits, at most. What is longer wraps around to anything.
_LONGEST_SILENCE = timedelta(days=24)


class CxoneSettings(BaseModel):
    """How the API is reached. Field `api_url` is the variable `CXONE_API_URL`, and so on."""

    api_url: Url | None = Field(None, description="the tenant's API, with a base path if it has one")
    tenant_id: str | None = Field(None, description="without an API URL: the tenant that is looked up")
    discovery_url: Url | None = Field(None, description="without an API URL: where the tenant is looked up")
    token_url: Url = Field("", description="the URL that gives access tokens")
    access_key_id: SecretStr | None = Field(None, description="the id of the access key")
    access_key_secret: SecretStr | None = Field(None, description="its secret")
    oauth_client_id: SecretStr | None = Field(None, description="instead of an access key: an OAuth client")
    oauth_client_secret: SecretStr | None = Field(None, description="its secret")
    oauth_scope: str | None = Field(None, description="the scope that is asked for")
    oauth_secret_in: Literal["header", "body"] = Field("header", description="where the client's secret is sent")
    audit_path: str = Field("/activity/audit", description="the path of the activity audit below the API URL")
    time_format: str = Field("%Y-%m-%dT%H:%M:%SZ", description="how From and To are written, as for strftime; UTC")
    page_size: int = Field(1000, ge=1, le=100_000, description="how many records a page is asked to have (Top)")
    timeout: PositiveDuration = Field(timedelta(seconds=30), description="how long the API may be silent")
    max_attempts: int = Field(
        6, ge=1, le=1000, description="how often one page is asked for before its hour is given up"
    )
    retry_wait: PositiveDuration = Field(timedelta(seconds=1), description="the first wait before another attempt")
    max_wait: PositiveDuration = Field(timedelta(minutes=2), description="the longest one, whatever Retry-After says")

    @field_validator("access_key_id", "access_key_secret", "oauth_client_id", "oauth_client_secret")
    @classmethod
    def _trimmed(cls, value: SecretStr | None) -> SecretStr | None:
        # A line end that came along from a file would be refused as a wrong key.
        return None if value is None else SecretStr(value.get_secret_value().strip())

    @field_validator("audit_path")
    @classmethod
    def _path(cls, value: str) -> str:
        if not value.startswith("/") or "?" in value or "#" in value:
            raise ValueError("must be a path such as /activity/audit")
        return value

    @field_validator("time_format")
    @classmethod
    def _tells_hours_apart(cls, value: str) -> str:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        texts = {(start + timedelta(hours=hours)).strftime(value) for hours in (0, 1, 12, 24, 24 * 31, 24 * 365)}
        if len(texts) < 6:
            raise ValueError("must be a strftime format of date and hour such as %Y-%m-%dT%H:%M:%S.000Z")
        return value

    @field_validator("timeout")
    @classmethod
    def _not_too_long(cls, value: timedelta) -> timedelta:
        if value > _LONGEST_SILENCE:
            raise ValueError(f"must be at most {_LONGEST_SILENCE.days}d")
        return value

    def missing(self) -> list[str]:
        """What is needed and not set, a sentence each."""
        names = ["token_url"] if not self.token_url else []
        if not self.api_url:
            looked_up = self.tenant_id or self.discovery_url
            pair = ("tenant_id", "discovery_url")
            names += [name for name in pair if not getattr(self, name)] if looked_up else ["api_url"]
        by_oauth = not (self.access_key_id or self.access_key_secret) and (
            self.oauth_client_id or self.oauth_client_secret
        )
        credentials = ("oauth_client_id", "oauth_client_secret") if by_oauth else ("access_key_id", "access_key_secret")
        names += [name for name in credentials if not getattr(self, name)]
        return [f"CXONE_{name.upper()} is not set: for AUDIT_SOURCE=cxone it must be {_NEEDED[name]}" for name in names]

    @property
    def secrets(self) -> list[str]:
        """What must not be shown or kept anywhere."""
        return _values(self.access_key_secret, self.oauth_client_secret)

    @property
    def identifiers(self) -> list[str]:
        """What goes with the secrets, and is not shown either."""
        return _values(self.access_key_id, self.oauth_client_id)


def _values(*secrets: SecretStr | None) -> list[str]:
    return [secret.get_secret_value() for secret in secrets if secret and secret.get_secret_value()]
