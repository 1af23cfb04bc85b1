"""Masks secrets in what people and logs read: the one place that knows what a secret looks like.

Whatever quotes a setting, a URL, a connection string or another program's message passes through here first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from activity_audit.base.error_chain import error_chain

MASK = "***"
# Any parameter of a URL that may carry a secret; what it hides for nothing does no harm there.
_SECRET_PARAMETER = re.compile(r"token|secret|key|sig|pass|auth|credential", re.IGNORECASE)
# Messages may quote megabytes that somebody sent, so no pattern here takes time that grows with their square.
_WORD = re.compile(r"[^\s'\"]+")
# Up to the last @, because a password may have any of / : @ in it.
_IN_URL = re.compile(r"(://[^/:@]*:).*", re.DOTALL)
# A name is read to its end, and no part of it again.
_NAME = r"[\w.-]*+"
_PASSWORDS = rf"{_NAME}(?<=password)|passwd|pwd|passphrase"
_KEYS = (
    rf"{_NAME}(?:(?<=secret)|(?<=token)|(?<=api[_-]key)|(?<=apikey))|(?=[\w.-]*?secret){_NAME}(?<=key)|account[_-]?key|"
    r"shared[_-]?access[_-]?(?:key|signature)|sig|x-amz-signature|x-amz-credential|aws_access_key_id|key_id"
)
# A value in quotes, doubled ones too, as inside an SQL literal.
_QUOTED = r"''(?:\\.|[^'\\])*''|'(?:\\.|''|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
# Without quotes a password ends at white space, as in PostgreSQL's connection strings; a key earlier, as in URLs.
_NAMED = re.compile(
    rf"(?P<before>(?<![\w.-])(?:(?P<password>{_PASSWORDS})|{_KEYS})['\"]?\s*[=:]\s*)"
    rf"(?:{_QUOTED}|(?(password)(?:\\.|\S)+|[^\s&;,'\"]+))",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """The text with `***` in place of passwords, keys and tokens: those in URLs, and those named as such.

    It recognises `scheme://user:password@host`, and `name=value` or `name: value` where the name says that the value
    is a secret, as in connection strings of PostgreSQL and Azure, query strings, signed URLs and JSON.
    """
    return _NAMED.sub(rf"\g<before>{MASK}", _without_passwords_of_urls(text))


def url_without_secrets(url: str) -> str:
    """The URL without a user name, a password, and the values of parameters that may be secret."""
    parts = urlsplit(url)
    query = [
        (name, MASK if _SECRET_PARAMETER.search(name) else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query=urlencode(query, safe=":*/,")))


def has_credentials(url: str) -> bool:
    """Whether a URL carries a password or key of its own, before its host or in its query."""
    return _without_passwords_of_urls(url) != url or bool(_NAMED.search(url.partition("?")[2]))


def _without_passwords_of_urls(text: str) -> str:
    return _WORD.sub(_without_password, text)


def _without_password(word: re.Match[str]) -> str:
    before, at, after = word[0].rpartition("@")
    return _IN_URL.sub(rf"\1{MASK}", before) + at + after


@contextmanager
def masked_errors(*but: type[Exception]) -> Iterator[None]:
    """Let no error out of the block, or of the function that this decorates, whose message has a secret in it.

    Errors of the kinds `but` pass: those are our own, whose messages are made of nothing secret.

    Raises:
        RuntimeError: in place of an error that has a secret in its message or that of a cause; it has neither.
    """
    try:
        yield
    except but:
        raise
    except Exception as error:
        if not _chain_has_secrets(error):
            raise
        raise RuntimeError(without_secrets(f"{type(error).__name__}: {error}")) from None


def _chain_has_secrets(error: BaseException) -> bool:
    return any(without_secrets(text) != text for text in map(str, error_chain(error)))
