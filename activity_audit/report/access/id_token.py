"""The claims of an ID token, held to what a sign-in depends on."""

from __future__ import annotations

from typing import Any

from authlib.oidc.core import CodeIDToken
from authlib.oidc.core.util import create_half_hash
from joserfc.errors import InvalidClaimError


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
