"""That a request which changes something was meant by the reader: it carries their session's token."""

from __future__ import annotations

import hmac

from starlette.exceptions import HTTPException
from starlette.requests import Request

FIELD = "csrf"
HEADER = "X-CSRF-Token"
_SAFE = ("GET", "HEAD", "OPTIONS")


class ForeignFormError(HTTPException):
    """A request that may change something has not the session's token: 403."""

    def __init__(self) -> None:
        super().__init__(403, "it comes from another site, or from a page that was opened before you signed in")


async def check_csrf(request: Request) -> None:
    """Refuse a request that may change something and has not the session's token, as header or form field.

    Raises:
        ForeignFormError: if it has not.
    """
    if request.method in _SAFE:
        return
    sent = request.headers.get(HEADER)
    # How long a form may be, and that it is one, was looked at before.
    if sent is None:
        field = (await request.form()).get(FIELD)
        sent = field if isinstance(field, str) else None
    known: str = request.state.csrf
    if not known or sent is None or not hmac.compare_digest(sent.encode(), known.encode()):
        raise ForeignFormError
