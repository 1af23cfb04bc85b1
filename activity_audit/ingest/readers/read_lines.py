"""Line-delimited JSON to record batches: every line that is not blank is one record, whatever is on it.

A whole blob of lines becomes one Arrow array, so that the good case costs no Python per line; only a blob with
an undecodable or oversized line is looked at line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activity_audit.ingest.readers import json_text
from activity_audit.ingest.readers.line_blobs import line_blobs, line_end, split
from activity_audit.ingest.readers.streams import Blocks
from activity_audit.raw import records

_BLANK = r"\A[\t-\r ]*\z"
# Where one object may end and another begin: on one line, and where lines end in several ways.
_ADJACENT = r"\}[ \t\r]*\{"
_OTHER_END = re.compile(rb"\}[ \t]*[\r\n][ \t\r\n]*\{")


def read_lines(blocks: Blocks, max_bytes: int, *, concatenated: bool = False) -> Iterator[pa.RecordBatch]:
    """The records of a line-delimited delivery, in batches of about a block.

    Where some lines end in a carriage return and others in a line feed, both do, between objects. If `concatenated`, a
    line may have several objects one after the other, which are a record each. A line of them that is too large to be
    held is left unread in `blocks`, with all that follows.
    """
    end = line_end(blocks)
    for item in line_blobs(blocks, max_bytes, end, _begins_with_several if concatenated else lambda _: False):
        if isinstance(item, records.Record):
            yield from records.to_batches([item])
            continue
        if end == b"\n" and b"\r" in item:
            item = item.removesuffix(b"\r").replace(b"\r\n", b"\n")
        yield from _lines(item, end, max_bytes, concatenated)


def _begins_with_several(line: bytes) -> bool:
    """Whether a whole object and the beginning of another are at its beginning."""
    text = line.decode("utf-8", errors="surrogateescape")
    end = json_text.end_of_object(text, json_text.after_space(text, 0))
    return end is not None and text.startswith("{", json_text.after_space(text, end))


def _lines(blob: bytes, end: bytes, max_bytes: int, concatenated: bool) -> Iterator[pa.RecordBatch]:
    lines, ends = split(blob, end)
    try:
        text = lines.cast(pa.string())
    except pa.ArrowInvalid:
        text = None
    lengths = pc.binary_length(lines)
    if (
        text is None
        or pc.max(lengths).as_py() > max_bytes
        or (concatenated and pc.any(pc.match_substring_regex(text, _ADJACENT)).as_py())
        or ((b"\n" if end == b"\r" else b"\r") in blob and _OTHER_END.search(blob))
    ):
        contents = (line for line in blob.split(end) if line and not line.isspace())
        yield from records.to_batches(
            _one_line(part, max_bytes)
            for line in contents
            for part in (_parts(line) if concatenated or _OTHER_END.search(line) else [line])
        )
        return
    if _may_have_blank_lines(blob, ends):
        text = text.filter(pc.invert(pc.match_substring_regex(text, _BLANK)))
        lengths = pc.binary_length(text)
    if len(text):
        problems = json_text.lenient_problems(text) if json_text.may_be_lenient(blob) else None
        yield records.text_batch(text, lengths, problems)


def _may_have_blank_lines(blob: bytes, ends: Any) -> bool:
    """Whether a line is empty or begins with white space."""
    if not blob or ends[-1] == 0 or blob[-1] <= 32:
        return True
    content = np.frombuffer(blob, np.uint8)
    return bool(content[0] <= 32 or (content[ends[:-1] + 1] <= 32).any())


def _parts(line: bytes) -> list[bytes]:
    """The objects of a line that has several; else the line."""
    found = json_text.objects_in(line.decode("utf-8", errors="surrogateescape").strip(json_text.SPACE))
    return [text.encode("utf-8", errors="surrogateescape") for text in found] if len(found) > 1 else [line]


def _one_line(line: bytes, max_bytes: int) -> records.Record:
    record = records.from_bytes(line, max_bytes)
    if record.problem is None and json_text.is_lenient(record.text):
        return records.from_bytes(line, max_bytes, "unparseable")
    return record
