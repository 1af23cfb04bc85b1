"""That a request which changes something was meant by the reader: it carries their session's token."""

from __future__ import annotations

import hmac

from starlette.exceptions import HTTPException
from starlette.requests import Request

FIELD = "csrf"
HEADER = "X-CSRF-Token"
_SAFE = ("GET", "HEAD", "OPTIONS")
# A form of the report is small; this bounds what somebody who is not signed in can make the server read.
_LONGEST_FORM = 1_000_000
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class ForeignFormError(HTTPException):
    """A request that may change something has not the session's token: 403."""

    def __init__(self) -> None:
        super().__init__(403, "it comes from elsewhere, or from a page that was opened before you signed in")


async def check_csrf(request: Request) -> None:
    """Refuse a request that may change something and has not the session's token, as header or form field.

    Raises:
        ForeignFormError: if it has not.
        HTTPException: 413 where the form is too long to be read.
    """
    if request.method in _SAFE:
        return
    sent = request.headers.get(HEADER)
    if sent is None and request.headers.get("content-type", "").startswith(_FORMS):
        length = request.headers.get("content-length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _LONGEST_FORM:
            raise HTTPException(413, "the form is too long")
        field = (await request.form()).get(FIELD)
        sent = field if isinstance(field, str) else None
    known: str = request.state.csrf
    if not known or sent is None or not hmac.compare_digest(sent.encode(), known.encode()):
        raise ForeignFormError
