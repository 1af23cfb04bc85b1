"""Access tokens: got by access key or as an OAuth client, renewed before they expire or when one is refused."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from activity_audit.base.hours import now_utc
from activity_audit.ingest.cxone.answers import (
    TransientError,
    Verdict,
    message_of,
    retry_after_seconds,
    token_verdict,
)
from activity_audit.ingest.cxone.attempts import Attempts
from activity_audit.ingest.cxone.secrets import Secrets
from activity_audit.ingest.sources.source import SourceRefusedError
from activity_audit.settings.cxone import CxoneSettings

if TYPE_CHECKING:
    import httpx

# A token is renewed so long before it expires, or a tenth of its life before where that is shorter.
_MARGIN = 60.0
# What a header can carry.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_GIVEN = ("access_token", "refresh_token", "id_token")


class Tokens:
    """The current token; several threads may ask for it. What is received is added to `secrets`."""

    def __init__(self, settings: CxoneSettings, http: httpx.Client, attempts: Attempts, secrets: Secrets) -> None:
        self._settings = settings
        self._http = http
        self._attempts = attempts
        self._secrets = secrets
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._refusal = ""

    def current(self) -> str:
        """A token that is good by what is known.

        Raises:
            SourceRefusedError: if the token service does not take the credentials; it is not asked again.
            SourceError: if it cannot be reached, or does not answer as it should.
        """
        with self._lock:
            if not self._token or time.monotonic() >= self._renew_at:
                self._renew()
            return self._token

    def instead_of(self, refused: str) -> str:
        """Another token than the one that the API has refused; raises as `current` does."""
        with self._lock:
            # Another thread may have met the same refusal before.
            if self._token == refused:
                self._renew()
            return self._token

    def _renew(self) -> None:
        if self._refusal:
            raise SourceRefusedError(self._refusal)
        asked_at = time.monotonic()
        try:
            document = self._attempts.call(self._ask, f"no access token from {self._settings.token_url}")
        except SourceRefusedError as error:
            # An account may be locked when a wrong secret is sent again and again.
            self._refusal = str(error)
            raise
        self._token = document["access_token"]
        self._renew_at = asked_at + _life(document.get("expires_in"))

    def _ask(self) -> dict[str, Any]:
        import httpx

        try:
            response = self._http.post(self._settings.token_url, **self._request())
        except httpx.RequestError as error:
            raise TransientError(f"it cannot be reached ({error})") from None
        retry_after = retry_after_seconds(response.headers.get("Retry-After"), now_utc())
        said = message_of(response.status_code, self._secrets.hidden(response.text))
        match token_verdict(response.status_code, retry_after):
            case Verdict.AGAIN:
                raise TransientError(f"it answered {said}", retry_after)
            case Verdict.UNAUTHORISED:
                raise SourceRefusedError(
                    f"{self._settings.token_url} refuses the credentials ({said}); check {self._credentials}, and "
                    "that CXONE_TOKEN_URL belongs to the same tenant"
                )
            case Verdict.REFUSED:
                raise SourceRefusedError(f"{self._settings.token_url} answered {said}; check CXONE_TOKEN_URL")
        return self._document(response.content)

    def _document(self, content: bytes) -> dict[str, Any]:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise TransientError("its answer is not JSON") from None
        given = document if isinstance(document, dict) else {}
        for secret in (given.get(name) for name in _GIVEN):
            if isinstance(secret, str):
                self._secrets.add(secret)
        token = given.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise SourceRefusedError(
                f"the answer of {self._settings.token_url} has no access_token; check CXONE_TOKEN_URL"
            )
        return given

    @property
    def _credentials(self) -> str:
        if self._settings.access_key_id:
            return "CXONE_ACCESS_KEY_ID and CXONE_ACCESS_KEY_SECRET"
        return "CXONE_OAUTH_CLIENT_ID, CXONE_OAUTH_CLIENT_SECRET and CXONE_OAUTH_SECRET_IN"

    def _request(self) -> dict[str, Any]:
        settings = self._settings
        if settings.access_key_id and settings.access_key_secret:
            return {
                "json": {
                    "accessKeyId": settings.access_key_id.get_secret_value(),
                    "accessKeySecret": settings.access_key_secret.get_secret_value(),
                }
            }
        assert settings.oauth_client_id
        assert settings.oauth_client_secret
        client = (settings.oauth_client_id.get_secret_value(), settings.oauth_client_secret.get_secret_value())
        form = {"grant_type": "client_credentials"} | ({"scope": settings.oauth_scope} if settings.oauth_scope else {})
        if settings.oauth_secret_in == "header":
            return {"data": form, "auth": client}
        return {"data": form | {"client_id": client[0], "client_secret": client[1]}}


def _life(expires_in: Any) -> float:
    """The seconds after which a token is renewed; without a sensible figure, not before it is refused."""
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError):
        return float("inf")
    return max(seconds - min(_MARGIN, seconds / 10), 0.0)
