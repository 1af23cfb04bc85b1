"""Signing in at an OpenID provider: the code flow with PKCE, state and nonce; what comes back is verified in full."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import ssl
import time
from base64 import urlsafe_b64encode
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from activity_audit.report.access.pending import Pending
from activity_audit.settings.report import ReportSettings

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_TIMEOUT = 10.0
_LEEWAY = 60
# How long the provider's configuration and keys are kept, in seconds.
_KEEP = 3600.0
# How long a failure to have them is kept: those who come meanwhile need not wait for the next.
_KEEP_FAILURE = 5.0
_LONGEST_NAME = 200


class SignInFailedError(RuntimeError):
    """The provider did not sign the reader in, or what it says cannot be trusted; the message says which."""


class Provider:
    """The OpenID provider of the settings, and this client of it, to which it sends readers back at `callback`."""

    def __init__(self, settings: ReportSettings, callback: str) -> None:
        self._issuer = settings.oidc_issuer or ""
        self._client_id = settings.oidc_client_id or ""
        secret = settings.oidc_client_secret
        self._secret = secret.get_secret_value().strip() if secret else ""
        self._claim = settings.oidc_roles_claim
        self._scope = settings.oidc_scope
        self._callback = callback
        self._found: tuple[float, dict[str, Any], dict[str, Any]] | None = None
        self._failed: tuple[float, str] | None = None
        self._looking = asyncio.Lock()
        self._key = secrets.token_bytes(32)

    async def begin(self, pending: Pending, wanted: str) -> str:
        """The URL at the provider to send the reader to; what the way back must have is kept in `pending`.

        Raises:
            SignInFailedError: if the provider's configuration cannot be had.
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        configuration, _ = await self._configuration()
        state = secrets.token_urlsafe(32)
        pending.add(state, wanted)
        return prepare_grant_uri(
            configuration["authorization_endpoint"],
            self._client_id,
            "code",
            redirect_uri=self._callback,
            scope=self._scope,
            state=state,
            nonce=self._derived("nonce", state),
            code_challenge=create_s256_code_challenge(self._derived("verifier", state)),
            code_challenge_method="S256",
        )

    async def finish(self, pending: Pending | None, query: str) -> tuple[str, tuple[str, ...], str]:
        """The user's name, their roles and the page they wanted, from the query that the provider sent them back with.

        Raises:
            SignInFailedError: if they were refused, or anything is not as it must be.
        """
        sent = {name: values[0] for name, values in parse_qs(query).items()}
        state = sent.get("state", "")
        wanted = pending.ways.pop(state, None) if pending else None
        if wanted is None:
            raise SignInFailedError("the answer belongs to no sign-in that this browser started")
        if "code" not in sent:
            raise SignInFailedError(f"the provider refused: {sent.get('error', 'no reason given')[:200]}")
        configuration, _ = await self._configuration()
        token = await self._token(configuration["token_endpoint"], sent["code"], self._derived("verifier", state))
        claims = await self._claims(token, self._derived("nonce", state))
        name = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])[:_LONGEST_NAME]
        roles = claims.get(self._claim, [])
        listed = roles.split() if isinstance(roles, str) else roles if isinstance(roles, list) else []
        return name, tuple(role for role in listed if isinstance(role, str)), wanted

    async def _token(self, endpoint: str, code: str, verifier: str) -> str:
        import httpx
        from authlib.common.errors import AuthlibBaseError

        try:
            async with self._client() as client:
                token = await client.fetch_token(
                    endpoint, grant_type="authorization_code", code=code, code_verifier=verifier
                )
        except (httpx.HTTPError, AuthlibBaseError, ValueError) as error:
            raise SignInFailedError(f"the provider gave no token: {type(error).__name__}") from error
        if not isinstance(token.get("id_token"), str):
            raise SignInFailedError("the provider gave no ID token; its scope must have openid")
        return token["id_token"]

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError

        for is_fresh in (False, True):
            # A key that is not known may be a new one.
            _, keys = await self._configuration(anew=is_fresh)
            try:
                decoded = jwt.decode(token, _key_set(keys), algorithms=_ALGORITHMS)
                break
            except (JoseError, ValueError) as error:
                if is_fresh:
                    raise SignInFailedError("the ID token is not signed by the provider") from error
        rules = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": self._configured_issuer()},
            aud={"essential": True, "value": self._client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        claims = decoded.claims
        try:
            rules.validate(claims)
        except JoseError as error:
            raise SignInFailedError(f"the ID token does not hold: {error}") from error
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self._client_id:
            raise SignInFailedError("the ID token does not hold: it is for another client too, and not issued to us")
        return claims

    def _configured_issuer(self) -> str:
        assert self._found is not None
        return self._found[1]["issuer"]

    async def _configuration(self, *, anew: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
        """The provider's configuration and keys. One look is for all who wait for it."""
        asked = time.monotonic()
        async with self._looking:
            fresh_from = asked if anew else time.monotonic() - _KEEP
            if self._found and self._found[0] > fresh_from:
                return self._found[1:]
            if self._failed and time.monotonic() - self._failed[0] < _KEEP_FAILURE:
                raise SignInFailedError(self._failed[1])
            try:
                self._found = time.monotonic(), *await self._look()
            except SignInFailedError as error:
                self._failed = time.monotonic(), str(error)
                raise
            return self._found[1:]

    async def _look(self) -> tuple[dict[str, Any], dict[str, Any]]:
        import httpx

        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT, verify=_trusted()) as client:
                answer = await client.get(f"{self._issuer}/.well-known/openid-configuration")
                configuration = answer.raise_for_status().json()
                keys = (await client.get(configuration["jwks_uri"])).raise_for_status().json()
            # A trailing slash is all that the setting may differ by.
            if configuration["issuer"].rstrip("/") != self._issuer.rstrip("/"):
                raise SignInFailedError(
                    f"the provider calls itself {configuration['issuer']}, not AUDIT_REPORT_OIDC_ISSUER={self._issuer}"
                )
            configuration["authorization_endpoint"], configuration["token_endpoint"]
        except (httpx.HTTPError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise SignInFailedError(f"the provider {self._issuer} does not answer as it should: {error!r}") from error
        return configuration, keys

    def _derived(self, purpose: str, state: str) -> str:
        """A secret of one sign-in that need not be kept, because it comes from its state and this process's key."""
        mac = hmac.new(self._key, f"{purpose}:{state}".encode(), hashlib.sha256).digest()
        return urlsafe_b64encode(mac).decode().rstrip("=")

    def _client(self) -> Any:
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        return AsyncOAuth2Client(
            self._client_id,
            self._secret,
            scope=self._scope,
            redirect_uri=self._callback,
            timeout=_TIMEOUT,
            verify=_trusted(),
        )


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted; to read them takes longer than to ask with them."""
    import httpx

    return httpx.create_ssl_context()


def _key_set(keys: dict[str, Any]) -> KeySet:
    from joserfc.jwk import KeySet

    return KeySet.import_key_set(keys)  # type: ignore[arg-type]
