"""`.json` files to records: an array, API pages, single objects, or one record a line.

Records are the exact slices of the file's text, so that what is kept is what came.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from activity_audit.ingest.readers.json_values import Brackets, Values
from activity_audit.ingest.readers.read_lines import read_lines
from activity_audit.ingest.readers.streams import Blocks
from activity_audit.raw import records

_LINE_END = re.compile(r"[\r\n]")
_RECORD_FIELDS = {"eventid", "eventtime", "eventtimeutc"}
_ERROR_NAMES = {"error", "errors", "fault", "exception"}
_NO_ERROR = {"null", "false", "0", '""', "[]", "{}"}


def read_json(blocks: Blocks, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The records of a `.json` delivery, in batches."""
    if _is_line_delimited(blocks.peek()):
        yield from read_lines(blocks, max_bytes, concatenated=True)
        if not blocks.peek():
            return
    # Of lines, what is left begins with objects one after the other that are longer than a line may be.
    yield from records.to_batches(_documents(blocks, max_bytes))


def _is_line_delimited(head: bytes) -> bool:
    """Whether the first line that is not blank holds all of the value that begins on it, and that is no page."""
    text = head.decode("utf-8", errors="replace").lstrip()
    if not text.startswith("{"):
        return not text.startswith("[")
    line = text.partition("\n")[0]
    try:
        return not _is_page(json.loads(line))
    except (ValueError, RecursionError):
        brackets = Brackets()
        end, _ = brackets.find(line, 0)
        if not brackets.closed or line[end:].lstrip().startswith("{"):
            return False
        seen = Values(Blocks(io.BytesIO(line.encode())), len(head)).before_list("values")
        return not (seen and seen[1] == "{" and _begins_page(seen))


def _documents(blocks: Blocks, max_bytes: int) -> Iterator[records.Record]:
    values = Values(blocks, max_bytes)
    while opening := values.peek():
        if opening == "[":
            yield from _array(blocks, values)
        elif opening == "{":
            decoded = values.decoded()
            if _is_page(decoded[0]) if decoded else _begins_page(values.before_list("values")):
                yield from _page(blocks, values)
            else:
                yield values.whole(decoded[1]) if decoded else values.value()
        elif opening in ",]":
            # What is left over between values that were told apart without it.
            values.at += 1
        else:
            yield values.until(_LINE_END)
    if blocks.broken:
        yield records.broken_off(blocks.broken)


def _is_page(value: Any) -> bool:
    """Whether a JSON value is a page of records, not a record that happens to have a field `values`."""
    if not isinstance(value, dict) or not isinstance(value.get("values"), list):
        return False
    return _names_no_record(value) and all(isinstance(item, dict) for item in value["values"][:1])


def _begins_page(seen: tuple[list[str], str] | None) -> bool:
    """The same of an object that is not held whole: its names before `values`, and what that list begins with."""
    return seen is not None and _names_no_record(seen[0]) and not re.match(r'[\["\d-]', seen[1])


def _names_no_record(names: Iterable[str]) -> bool:
    return _RECORD_FIELDS.isdisjoint(re.sub("[^a-z]", "", name.lower()) for name in names)


def _array(blocks: Blocks, values: Values) -> Iterator[records.Record]:
    """The elements of the array at the cursor, and commas that no value stands before, which are one, too."""
    values.at += 1
    values.unfinished = False
    follows_value = False
    gap = 0
    while opening := values.peek():
        if opening == ",":
            values.at += 1
            gap += not follows_value
            follows_value = False
            continue
        if gap:
            yield values.unparseable("," * gap)
            gap = 0
        if opening == "]":
            values.at += 1
            return
        yield values.value()
        follows_value = True
    if gap:
        yield values.unparseable("," * gap)
    yield from _not_closed(blocks, values, "array")


def _not_closed(blocks: Blocks, values: Values, what: str) -> Iterator[records.Record]:
    """What stands for the missing rest, unless a half record or the broken stream says so already."""
    if not values.unfinished and not blocks.broken:
        values.unfinished = True
        yield records.broken_off(f"the {what} is not closed")


def _page(blocks: Blocks, values: Values) -> Iterator[records.Record]:
    """The elements of the page's `values`; its other members are about the page, and are passed over.

    A member that says an error is a record that cannot be read: what the page lacks for it must not pass for nothing.
    """
    values.at += 1
    values.unfinished = False
    while opening := values.peek():
        if opening == "}":
            values.at += 1
            return
        if opening in ",]":
            values.at += 1
            continue
        name = values.value()
        if opening != '"' or values.peek() != ":":
            yield replace(name, problem=name.problem or "unparseable")
            continue
        values.at += 1
        if name.text == '"values"' and values.peek() == "[":
            yield from _array(blocks, values)
        elif values.peek():
            about = values.value()
            if name.text.strip('"').lower() in _ERROR_NAMES and about.text not in _NO_ERROR:
                yield about if about.problem else values.unparseable(f"{name.text}:{about.text}")
            else:
                # Half of what is passed over is no record that could say that the rest is missing.
                values.unfinished = False
    yield from _not_closed(blocks, values, "page")
