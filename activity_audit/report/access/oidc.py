"""Signing in at an OpenID provider: the code flow with PKCE, state and nonce; what comes back is verified in full.

Authlib's client of Starlette does the flow. What a browser must bring back is not in its sessions, which keep one
sign-in a browser, but in a cookie of ours with those of all tabs.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import ssl
import time
from base64 import urlsafe_b64encode
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from authlib.oidc.core import CodeIDToken
from authlib.oidc.core.util import create_half_hash
from joserfc.errors import InvalidClaimError

from activity_audit.report.access.pending import Pending
from activity_audit.settings.report import ReportSettings

if TYPE_CHECKING:
    from authlib.integrations.starlette_client import StarletteOAuth2App

# The client would take what the provider lists, also `none`.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
# All else of the provider's configuration would become arguments of the HTTP client, and override ours.
_KEPT = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "_loaded_at")
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
        self._app: StarletteOAuth2App | None = None
        self._looked_at = float("-inf")
        self._failure = ""
        self._looking = asyncio.Lock()
        self._key = secrets.token_bytes(32)

    async def begin(self, pending: Pending, wanted: str) -> str:
        """The URL at the provider to send the reader to; what the way back must have is kept in `pending`.

        Raises:
            SignInFailedError: if the provider's configuration cannot be had.
        """
        app = await self._client()
        state = secrets.token_urlsafe(32)
        pending.add(state, wanted)
        asked = await app.create_authorization_url(
            self._callback,
            state=state,
            nonce=self._derived("nonce", state),
            code_verifier=self._derived("verifier", state),
        )
        return asked["url"]

    async def finish(self, pending: Pending | None, query: str) -> tuple[str, tuple[str, ...], str]:
        """The user's name, their roles and the page they wanted, from the query that the provider sent them back with.

        Raises:
            SignInFailedError: if they were refused, or anything is not as it must be.
        """
        import httpx
        from authlib.common.errors import AuthlibBaseError

        sent = {name: values[0] for name, values in parse_qs(query).items()}
        state = sent.get("state", "")
        wanted = pending.ways.pop(state, None) if pending else None
        if wanted is None:
            raise SignInFailedError("the answer belongs to no sign-in that was begun in this browser")
        if "code" not in sent:
            raise SignInFailedError(f"the provider refused: {sent.get('error', 'no reason given')[:200]}")
        app = await self._client()
        try:
            token = await app.fetch_access_token(
                self._callback, code=sent["code"], code_verifier=self._derived("verifier", state)
            )
        except (httpx.HTTPError, AuthlibBaseError, ValueError) as error:
            raise SignInFailedError(f"the provider gave no token: {type(error).__name__}") from error
        if not isinstance(token.get("id_token"), str):
            raise SignInFailedError("the provider gave no ID token; its scope must have openid")
        claims = await self._claims(app, token, self._derived("nonce", state))
        name = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])[:_LONGEST_NAME]
        roles = claims.get(self._claim, [])
        listed = roles.split() if isinstance(roles, str) else roles if isinstance(roles, list) else []
        return name, tuple(role for role in listed if isinstance(role, str)), wanted

    async def _claims(self, app: StarletteOAuth2App, token: dict[str, Any], nonce: str) -> dict[str, Any]:
        import httpx
        from joserfc.errors import ClaimError, JoseError

        options: dict[str, dict[str, Any]] = {
            **{name: {"essential": True} for name in ("sub", "exp", "iat")},
            "nonce": {"essential": True, "value": nonce},
            "iss": {"essential": True, "value": app.server_metadata["issuer"]},
            "aud": {"essential": True, "value": self._client_id},
        }
        claims = partial(IdTokenClaims, access_token=token.get("access_token"))
        for is_fresh in (False, True):
            try:
                # A key that is not known, or does not fit, may be a new one.
                await app.fetch_jwk_set(force=is_fresh)
                return await app.parse_id_token(token, nonce, options, claims, leeway=_LEEWAY)
            except ClaimError as error:
                why = "it is for another client too, and not issued to us" if error.claim == "azp" else str(error)
                raise SignInFailedError(f"the ID token does not hold: {why}") from error
            except (httpx.HTTPError, JoseError, ValueError) as error:
                if is_fresh:
                    raise SignInFailedError("the ID token is not signed by the provider") from error
        raise AssertionError("unreachable")

    async def _client(self) -> StarletteOAuth2App:
        """The client, which has the provider's configuration and keys. One look is for all who wait for it."""
        async with self._looking:
            if time.monotonic() - self._looked_at > (_KEEP_FAILURE if self._failure else _KEEP):
                try:
                    self._app, self._failure = await self._look(), ""
                except SignInFailedError as error:
                    self._failure = str(error)
                self._looked_at = time.monotonic()
            if self._failure or self._app is None:
                raise SignInFailedError(self._failure)
            return self._app

    async def _look(self) -> StarletteOAuth2App:
        import httpx
        from authlib.integrations.starlette_client import OAuth

        app = OAuth().register(
            "provider",
            client_id=self._client_id,
            client_secret=self._secret,
            server_metadata_url=f"{self._issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": self._scope,
                "code_challenge_method": "S256",
                "timeout": _TIMEOUT,
                "verify": _trusted(),
            },
        )
        try:
            configuration = await app.load_server_metadata()
            app.server_metadata = {name: configuration[name] for name in _KEPT}
            await app.fetch_jwk_set()
            named = configuration["issuer"]
            # A trailing slash is all that the setting may differ by.
            is_ours = named.rstrip("/") == self._issuer.rstrip("/")
        except (httpx.HTTPError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise SignInFailedError(f"the provider {self._issuer} does not answer as it should: {error!r}") from error
        if not is_ours:
            raise SignInFailedError(f"the provider calls itself {named}, not AUDIT_REPORT_OIDC_ISSUER={self._issuer}")
        app.server_metadata["id_token_signing_alg_values_supported"] = _ALGORITHMS
        return app

    def _derived(self, purpose: str, state: str) -> str:
        """A secret of one sign-in that need not be kept, because it comes from its state and this process's key."""
        mac = hmac.new(self._key, f"{purpose}:{state}".encode(), hashlib.sha256).digest()
        return urlsafe_b64encode(mac).decode().rstrip("=")


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted; to read them takes longer than to ask with them."""
    import httpx

    return httpx.create_ssl_context()


class IdTokenClaims(CodeIDToken):
    """Authlib's claims of the code flow, less strict where providers differ and nothing here depends on it."""

    def __init__(self, *args: Any, access_token: object) -> None:
        super().__init__(*args)
        self._access_token = access_token

    def validate_auth_time(self) -> None:
        """Nothing: it is not used, and some providers send a text."""

    def validate_amr(self) -> None:
        """Nothing: it is not used, and some providers send a text."""

    def validate_azp(self) -> None:
        """A token for several audiences must be issued to this client; for one, its audience says enough.

        Raises:
            InvalidClaimError: if it is issued to another.
        """
        audience = self["aud"]
        if isinstance(audience, list) and len(audience) > 1 and self.get("azp") != self.params["client_id"]:
            raise InvalidClaimError("azp")

    def validate_at_hash(self) -> None:
        """The hash, if there is one, must be of the access token; some providers pad it.

        Raises:
            InvalidClaimError: if it is not.
        """
        at_hash = self.get("at_hash")
        if at_hash and self._access_token:
            expected = create_half_hash(str(self._access_token), self.header["alg"])
            if str(at_hash).rstrip("=").encode() != expected:
                raise InvalidClaimError("at_hash")
