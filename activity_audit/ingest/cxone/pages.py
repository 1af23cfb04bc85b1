"""The text of API pages: their records, the next page, and chains of pages that lead nowhere. No I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from activity_audit.base.masking import url_without_secrets
from activity_audit.ingest.readers.json_text import after_space

_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
_PORTS = {"https": 443, "http": 80}
# Numbers are never looked at here, and may be longer than Python wants to read.
_decoder = json.JSONDecoder(parse_int=str, parse_float=str)


class BrokenPageError(ValueError):
    """The text is no JSON object, as when it was cut on its way."""


class PageError(ValueError):
    """A page that is whole and breaks the rules of the API; the message says how."""


class Record(NamedTuple):
    """A record as it stands in its page, on one line, and its application where it names one."""

    line: bytes
    application: str | None


@dataclass(frozen=True)
class Page:
    """The records of a page, and what it says about the next one: a link, a reference, or neither."""

    records: list[Record]
    next_link: str | None
    ref: str | None


def window_url(base: str, path: str, query: Mapping[str, str]) -> str:
    """The URL of the audit with these parameters; times stay readable in it."""
    return f"{base}{path}?{urlencode(query, quote_via=quote, safe=':')}"


def parse_page(body: bytes) -> Page:
    """The page that an answer's body is.

    Bytes that are no UTF-8 stay what they are, as surrogates, for whoever reads the records.

    Raises:
        BrokenPageError: if it is no JSON object.
        PageError: if it is one, and no page.
    """
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
    try:
        fields, records = _fields(text)
    except (ValueError, IndexError) as error:
        raise BrokenPageError(f"no JSON object ({error})") from None
    except RecursionError:
        raise PageError("it is nested too deeply") from None
    if records is None and fields.get("values", ...) is not None:
        raise PageError("it has no list named values")
    links = fields.get("links")
    links = links if isinstance(links, dict) else {}
    link = links.get("next")
    if link is not None and not isinstance(link, str):
        raise PageError("its links.next is not a text")
    refs = (holder.get(name) for holder in (fields, links) for name in ("Ref", "ref"))
    ref = next((value for value in refs if isinstance(value, str) and value.strip()), None)
    return Page(records or [], link.strip() or None if link else None, ref)


def next_url(url: str, page: Page) -> str | None:
    """Where the page after this one is, or None after the last; `url` is the request that gave the page.

    Raises:
        PageError: if what names it is no address, or leads to another host, where the token must not be sent.
    """
    try:
        target = _following(url, page)
        # Half a character, as JSON can have it, is none that can be sent.
        is_elsewhere = target is not None and (
            origin(target.encode().decode()) != origin(url) or "@" in urlsplit(target).netloc
        )
    except ValueError:
        raise PageError("what names its next page is not an address") from None
    if target is not None and is_elsewhere:
        raise PageError(f"its next page is on another host: {url_without_secrets(target)}")
    return target


def _following(url: str, page: Page) -> str | None:
    if page.next_link:
        # RFC 3986 takes a link that begins with a question mark for one to the same path, and so does urljoin.
        return urlunsplit(urlsplit(urljoin(url, page.next_link))._replace(fragment=""))
    if page.ref:
        parts = urlsplit(url)
        query = [(name, value) for name, value in parse_qsl(parts.query) if name != "Ref"]
        return urlunsplit(parts._replace(query=urlencode([*query, ("Ref", page.ref)], quote_via=quote, safe=":")))
    return None


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL; no port where it names one that cannot be."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return parts.scheme, None, None
    return parts.scheme, parts.hostname, port or _PORTS.get(parts.scheme)


class Trail:
    """The pages of one reading so far: an API that leads in circles must not be followed for ever."""

    _MOST_PAGES = 100_000

    def __init__(self) -> None:
        self._requests: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        self._contents: set[bytes] = set()

    def add(self, url: str, page: Page) -> None:
        """Note a page and the request that gave it.

        Raises:
            PageError: if one of the two was there before.
        """
        # The same request may be written in several ways: in a link, a colon may stand as %3A.
        parts = urlsplit(url)
        request = (parts.path, tuple(sorted(parse_qsl(parts.query, keep_blank_values=True))))
        if request in self._requests:
            raise PageError("the links lead in a circle, back to this page")
        self._requests.add(request)
        if page.records:
            content = hashlib.sha256(b"\n".join(record.line for record in page.records)).digest()
            if content in self._contents:
                raise PageError("the page is repeated: an earlier one has the same records")
            self._contents.add(content)
        if len(self._requests) > self._MOST_PAGES:
            raise PageError(f"the hour has more than {self._MOST_PAGES} pages; a larger CXONE_PAGE_SIZE may help")


def _fields(text: str) -> tuple[dict[str, Any], list[Record] | None]:
    """The fields of a JSON object, and the records of its list `values` as they stand in the text."""
    fields: dict[str, Any] = {}
    records: list[Record] | None = None
    at = _expect(text, after_space(text, 0), "{")
    if text[at] == "}":
        at = after_space(text, at + 1)
    else:
        while True:
            if text[at] != '"':
                raise ValueError("a field without a name")
            name, at = _decoder.raw_decode(text, at)
            at = _expect(text, after_space(text, at), ":")
            if name == "values" and text[at] == "[":
                records, at = _elements(text, at)
            else:
                fields[name], at = _decoder.raw_decode(text, at)
            at = after_space(text, at)
            if text[at] == "}":
                at = after_space(text, at + 1)
                break
            at = _expect(text, at, ",")
    if at != len(text):
        raise ValueError("something follows the object")
    return fields, records


def _elements(text: str, at: int) -> tuple[list[Record], int]:
    """The elements of the list that begins at `at`, and where the text goes on after it."""
    records: list[Record] = []
    at = after_space(text, at + 1)
    if text[at] == "]":
        return records, at + 1
    while True:
        value, end = _decoder.raw_decode(text, at)
        # A line end cannot stand in a JSON string, so it is white space between two parts of the record.
        line = text[at:end].encode("utf-8", errors="surrogateescape").translate(_LINE_ENDS)
        records.append(Record(line, _application(value)))
        at = after_space(text, end)
        if text[at] == "]":
            return records, at + 1
        at = _expect(text, at, ",")


def _application(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    name = value.get("application")
    if name is None:
        name = next((other for key, other in value.items() if key.strip().lower() == "application"), None)
    return name.strip() or None if isinstance(name, str) else None


def _expect(text: str, at: int, sign: str) -> int:
    """The place of what comes after the sign and white space."""
    if text[at] != sign:
        raise ValueError(f"{sign!r} is missing at character {at}")
    return after_space(text, at + 1)
