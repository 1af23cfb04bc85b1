"""JSON as text: whether a text keeps to the standard, and JSON objects made from columns of texts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# What DuckDB's JSON parser takes and the standard does not: trailing commas, and NaN and Infinity in any case.
_LENIENT = re.compile(r",\s*[}\]]|nan|inf", re.IGNORECASE)
# One that never closes goes on to the end: to look for its end again from each of its quotes would take for ever.
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
# The same, where it may also stand inside a string; each begins with a literal, which makes them fast.
_SUSPECTS = (
    r",\s*(?:[}\]]|-?(?:[nN][aA]|[iI][nN]))",
    r":\s*-?(?:[nN][aA]|[iI][nN])",
    r"\[\s*-?(?:[nN][aA]|[iI][nN])",
)
_suspect = re.compile("|".join(_SUSPECTS))
_suspect_bytes = re.compile("|".join(_SUSPECTS).encode())
# To go through fewer bytes than these takes Python less time than to hand them over.
_SHORT = 10_000
_TO_ESCAPE = r'["\\\x00-\x1f]'
_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))

SPACE = " \t\r\n"
SPACES = re.compile(f"[{SPACE}]*")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


STRICT = json.JSONDecoder(parse_constant=_refuse)
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def after_space(text: str, start: int) -> int:
    """The first index from `start` on that has no white space."""
    return SPACES.match(text, start).end()  # type: ignore[union-attr]


def objects_in(line: str) -> list[str]:
    """The texts of the objects that a line has one after the other, if it has nothing else; else none."""
    found: list[str] = []
    at = 0
    while at < len(line):
        end = end_of_object(line, at)
        if end is None:
            return []
        found.append(line[at:end])
        at = after_space(line, end)
    return found


def end_of_object(text: str, start: int) -> int | None:
    """Where the object that begins at `start` ends; None if there is none that is whole."""
    if not text.startswith("{", start):
        return None
    try:
        return STRICT.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return None


def is_lenient(text: str) -> bool:
    """Whether the text is no JSON by the standard though DuckDB would take it for JSON.

    Of any other text that is no JSON it says nothing: DuckDB itself refuses it.
    """
    return bool(_suspect.search(text)) and bool(_LENIENT.search(_STRING.sub('""', text)))


def may_be_lenient(texts: bytes) -> bool:
    """Whether a text in this blob may be lenient; a quick look at all of them."""
    if len(texts) < _SHORT:
        return bool(_suspect_bytes.search(texts))
    # An array of one value, made without a copy of it.
    ends = pa.py_buffer(np.array([0, len(texts)], np.int32))
    blob = pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(texts)])
    return any(pc.match_substring_regex(blob, pattern)[0].as_py() for pattern in _SUSPECTS)


def lenient_problems(text: Any) -> Any:
    """For an Arrow array of texts: `unparseable` where a text is lenient, else null; None where no text is."""
    problems: list[str | None] | None = None
    for pattern in _SUSPECTS:
        suspects = pc.match_substring_regex(text, pattern)
        if pc.any(suspects).as_py():
            problems = problems or [None] * len(text)
            for index in pc.indices_nonzero(suspects).to_pylist():
                if is_lenient(text[index].as_py()):
                    problems[index] = "unparseable"
    return None if problems is None else pa.array(problems, pa.string())


def objects(names: Sequence[str], columns: Sequence[Any], *, escaped: bool = False) -> Any:
    """An Arrow array of JSON objects with these names, in this order, and the columns' texts as values.

    The names must differ. A null is JSON's null. `escaped`: no value has anything that JSON escapes.
    """
    if not names:
        raise ValueError("an object without columns has no number of rows")
    parts: list[Any] = []
    before = "{"
    for name, column in zip(names, columns, strict=True):
        value = column if escaped else _escape(column)
        if column.null_count:
            parts += [f"{before}{encode(name)}:", pc.fill_null(_join(['"', value, '"']), "null")]
            before = ","
        else:
            parts += [f'{before}{encode(name)}:"', value]
            before = '",'
    return _join([*parts, before[:-1] + "}"])


def _join(parts: list[Any]) -> Any:
    return pc.binary_join_element_wise(*parts, "")


def _escape(column: Any) -> Any:
    """The texts as they stand inside the quotes of a JSON string, just as Python's encoder writes them."""
    if not pc.any(pc.match_substring_regex(column, _TO_ESCAPE)).as_py():
        return column
    if pc.any(pc.match_substring_regex(column, r"[\x00-\x08\x0b\x0c\x0e-\x1f]")).as_py():
        values = column.to_pylist()
        return pa.array([None if value is None else encode(value)[1:-1] for value in values], pa.string())
    for plain, escape in _ESCAPES:
        column = pc.replace_substring(column, plain, escape)
    return column
