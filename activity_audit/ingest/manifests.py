"""Reads manifests, which list the files that a source vouches for; a wrong manifest stops no run."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

# A manifest of a hundred thousand files fits.
MOST_BYTES = 16 << 20
_MOST_RECORDS = 2**63 - 1
# Names of a manifest are quoted in the reason, may be megabytes long, and are shown wherever the feed hour is.
_LONGEST_NAME = 200
_LONGEST_REASON = 1000


def read_manifest(content: bytes) -> tuple[list[tuple[str, int | None, str | None]], str | None]:
    """The files (name, records, sha256) that a manifest names, or why it cannot be read."""
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(too_large(len(content)))
        document = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_constant)
        entries = document["files"]
        if not isinstance(entries, list):
            raise TypeError("its files are not a list")
        files = [_file(entry) for entry in entries]
        if sum(records or 0 for _, records, _ in files) > _MOST_RECORDS:
            raise ValueError(f"its files together have more than {_MOST_RECORDS} records")
    except RecursionError:
        return [], "it nests too deep"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [], f"it has no {error}" if isinstance(error, KeyError) else str(error)[:_LONGEST_REASON]
    return files, None


def too_large(size: int) -> str:
    """What is said of a manifest of so many bytes, which are too many."""
    return f"it has {size} bytes, and a manifest may have {MOST_BYTES}"


def _file(entry: Any) -> tuple[str, int | None, str | None]:
    name, records, sha256 = _text(entry["name"]), entry.get("records"), entry.get("sha256")
    if records is not None and (isinstance(records, bool) or not isinstance(records, int) or records < 0):
        raise ValueError(f"the records of {_short(name)} are not a count: {_short(records)}")
    return name, records, None if sha256 is None else _text(sha256).strip()


def _text(value: Any) -> str:
    text = str(value)
    # JSON can spell half a character, which no file system, database or file of ours can have.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{_short(text)} is not Unicode text")
    return text


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}…"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # Counted in one look at each, because the object may have a million names.
        times = Counter(name for name, _ in pairs)
        raise ValueError(f"it has {_short(next(name for name in times if times[name] > 1))} twice in one object")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")
