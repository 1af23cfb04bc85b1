"""The secrets that must not be shown: those of the settings, and the tokens that were received."""

from __future__ import annotations

import json
from urllib.parse import quote

from activity_audit.base.masking import MASK
from activity_audit.settings.cxone import CxoneSettings

# What is shorter may be part of any word.
_SHORTEST = 4
# And so it may be of a record, which is kept as it came but for what can only be a secret.
_SHORTEST_IN_PAGE = 12


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
