"""Access tokens, by access key or as an OAuth client, and the secrets that must not be shown.

A token is renewed before it expires, or when it is refused.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Generator
from typing import Any
from urllib.parse import quote

import httpx

from activity_audit.base.masking import MASK
from activity_audit.ingest.cxone.answers import (
    Attempts,
    TransientError,
    Verdict,
    json_object,
    message_of,
    token_verdict,
    try_again,
    verdict,
)
from activity_audit.ingest.sources.source import SourceRefusedError
from activity_audit.settings.cxone import CxoneSettings

# A token that was just given may be refused once: the API need not have heard of it yet.
_NEW_TOKENS = 2
# A token is renewed so long before it expires, or a tenth of its life before where that is shorter.
_MARGIN = 60.0
# What a header can carry.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_GIVEN = ("access_token", "refresh_token", "id_token")
# What is shorter may be part of any word.
_SHORTEST = 4
# And so it may be of a record, which is kept as it came but for what can only be a secret.
_SHORTEST_IN_PAGE = 12


class Tokens(httpx.Auth):
    """Gives requests of `http` the current token; of several threads. What is received is added to `secrets`."""

    def __init__(self, settings: CxoneSettings, http: httpx.Client, attempts: Attempts, secrets: Secrets) -> None:
        self._settings = settings
        self._http = http
        self._attempts = attempts
        self._secrets = secrets
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._refusal = ""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with a token that is good by what is known, and with others where the API refuses it.

        Raises:
            SourceRefusedError: if the token service does not take the credentials; it is not asked again.
            SourceError: if it cannot be reached, or does not answer as it should.
        """
        refused = ""
        for _ in range(1 + _NEW_TOKENS):
            with self._lock:
                # Another thread may have met the same refusal before.
                if self._token == refused or time.monotonic() >= self._renew_at:
                    self._renew()
                refused = self._token
            request.headers["Authorization"] = f"Bearer {refused}"
            if verdict((yield request).status_code) is not Verdict.UNAUTHORISED:
                break

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
        url = self._settings.token_url
        try:
            response = self._http.post(url, **self._request())
        except httpx.RequestError as error:
            raise TransientError(f"it cannot be reached ({error})") from None
        said = message_of(response.status_code, self._secrets.hidden(response.text))
        again = try_again(f"it answered {said}", response.headers)
        match token_verdict(response.status_code, again.retry_after):
            case Verdict.AGAIN:
                raise again
            case Verdict.UNAUTHORISED:
                raise SourceRefusedError(
                    f"{url} refuses the credentials ({said}); check {self._credentials}, and that CXONE_TOKEN_URL "
                    "belongs to the same tenant"
                )
            case Verdict.REFUSED:
                raise SourceRefusedError(f"{url} answered {said}; check CXONE_TOKEN_URL")
        given = json_object(response.content)
        for secret in (given.get(name) for name in _GIVEN):
            if isinstance(secret, str):
                self._secrets.add(secret)
        token = given.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise SourceRefusedError(f"the answer of {url} has no access_token; check CXONE_TOKEN_URL")
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
                "auth": None,
                "json": {
                    "accessKeyId": settings.access_key_id.get_secret_value(),
                    "accessKeySecret": settings.access_key_secret.get_secret_value(),
                },
            }
        assert settings.oauth_client_id
        assert settings.oauth_client_secret
        client = (settings.oauth_client_id.get_secret_value(), settings.oauth_client_secret.get_secret_value())
        form = {"grant_type": "client_credentials"} | ({"scope": settings.oauth_scope} if settings.oauth_scope else {})
        if settings.oauth_secret_in == "header":
            return {"data": form, "auth": client}
        return {"auth": None, "data": form | {"client_id": client[0], "client_secret": client[1]}}


def _life(expires_in: Any) -> float:
    """The seconds after which a token is renewed; without a sensible figure, not before it is refused."""
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError):
        return float("inf")
    return max(seconds - min(_MARGIN, seconds / 10), 0.0)


class Secrets:
    """Hides secrets in texts that are shown and in pages that are kept."""

    def __init__(self, settings: CxoneSettings) -> None:
        self._names = settings.identifiers
        self._secrets = set(settings.secrets)

    def add(self, secret: str) -> None:
        """Another one to hide from now on."""
        self._secrets = self._secrets | {secret}

    def hidden(self, text: str) -> str:
        """A message without secrets and without the names that go with them."""
        for form in _forms([*self._secrets, *self._names], _SHORTEST):
            text = text.replace(form, MASK)
        return text

    def hidden_in_page(self, body: bytes) -> bytes:
        """A page without secrets; an access key's id is none, and may be what an event is about."""
        for form in _forms(self._secrets, _SHORTEST_IN_PAGE):
            if (found := form.encode()) in body:
                body = body.replace(found, MASK.encode())
        return body


def _forms(secrets: list[str] | set[str], shortest: int) -> list[str]:
    """Each secret as it is, in a URL, and in JSON; the longest first, because one may begin another."""
    known = [secret for secret in secrets if len(secret) >= shortest]
    forms = {form for secret in known for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])}
    return sorted(forms, key=len, reverse=True)
