"""CSV files to record batches: each data row becomes a JSON object under the header's own names.

Runs of plain rows are read in bulk by Arrow, which gives the same records as reading them one by one
(csv_rows), as the rows between them are. A row that does not fit its header is kept as its own text, as an
unparseable record, and so is each line of a file without a header, of which the first says so; blank lines are no rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from activity_audit.ingest.readers import json_text
from activity_audit.ingest.readers.csv_lines import LineBlock, Lines
from activity_audit.ingest.readers.csv_rows import Rows, plain_row, read_header
from activity_audit.ingest.readers.line_blobs import line_blobs, line_end
from activity_audit.ingest.readers.streams import Blocks
from activity_audit.raw import records

# Below this, a batch costs more than the rows one by one.
_SHORTEST_RUN = 12
# Arrow's regular expressions take no more; wider files are read row by row.
_WIDEST = 100
# All names are in each record, and a block may have half a million rows of nothing else; so many characters are held.
_MOST_NAMES = 64 << 20
_NO_HEADER = "the file has no header: none of its first lines names a field; deliver it with one. The first is: "


def read_csv(blocks: Blocks, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The data rows of a CSV file with a header, in batches."""
    return records.to_batches(_rows(blocks, max_bytes))


def _rows(blocks: Blocks, max_bytes: int) -> Iterator[records.Record | pa.RecordBatch]:
    """The rows one by one, or many at once where they are plain."""
    end = line_end(blocks)
    lines = Lines(line_blobs(blocks, max_bytes, end), end)
    header = read_header(lines, max_bytes)
    above = (records.from_bytes(line, max_bytes, "unparseable") for line in header.above)
    if not header.names and (first := next(above, None)):
        yield records.explained(first, header.above[0], _NO_HEADER)
    yield from above
    rows = Rows(lines, header.names, header.delimiter, max_bytes)
    plain = _PlainRuns(lines, header.names, header.delimiter, max_bytes)
    while True:
        lines.begin_row()
        if not lines.more():
            obstacle = lines.passed()
            if obstacle is None:
                return
            yield obstacle
        elif (batch := plain.next()) is not None:
            yield batch
        elif record := rows.next() if header.names else rows.line():
            yield record


class _PlainRuns:
    """Reads runs of lines that are each a plain row, as one batch."""

    def __init__(self, lines: Lines, names: Sequence[str], delimiter: str, max_bytes: int) -> None:
        self._lines = lines
        self._names = names
        self._delimiter = delimiter
        self._max_bytes = max_bytes
        self._usable = 2 <= len(names) <= _WIDEST
        self._most_lines = _MOST_NAMES // max(sum(map(len, names)), 1)
        self._pattern = plain_row(delimiter, len(names), r"\z") if self._usable else ""
        self._block: LineBlock | None = None
        # Of the block: the lines that are not plain and the number of lines; and when a run of them is long
        # enough, how many rows there are before each line, the rows of all plain lines, and their lengths.
        self._breaks: Any = None
        self._plain: Any = None
        self._contents: Any = None
        self._before: Any = None
        self._texts: Any = None
        self._lengths: Any = None

    def next(self) -> pa.RecordBatch | None:
        """The run at the cursor; None where there is none that is worth it."""
        lines = self._lines
        if not self._usable or lines.block is None or lines.block.count > self._most_lines:
            return None
        if self._block is not lines.block:
            self._block = lines.block
            self._texts = None
            self._find_plain(lines.block)
        first = lines.at
        last = int(self._breaks[self._breaks.searchsorted(first)])
        if last - first < _SHORTEST_RUN:
            return None
        if self._texts is None:
            self._read_plain()
        lines.at = last
        start, stop = int(self._before[first]), int(self._before[last])
        return records.text_batch(self._texts[start:stop], self._lengths[start:stop])

    def _find_plain(self, block: LineBlock) -> None:
        contents = block.contents
        if b"\r" in block.blob:
            contents = pc.replace_substring_regex(contents, r"\r\z", "")
        small = pc.less_equal(pc.binary_length(contents), self._max_bytes)
        matches = pc.match_substring_regex(contents, self._pattern)
        plain = pc.and_(matches, small).to_numpy(zero_copy_only=False)
        try:
            contents.cast(pa.string())
        except pa.ArrowInvalid:
            plain = plain & np.array([_is_utf8(line) for line in block.lines])
        self._contents = contents
        self._plain = plain
        self._breaks = np.append(np.flatnonzero(~plain), len(plain))

    def _read_plain(self) -> None:
        """The rows of all plain lines of the block that are not empty."""
        filled = self._plain & (pc.binary_length(self._contents).to_numpy() > 0)
        self._before = np.append(0, np.cumsum(filled))
        contents = self._contents.filter(pa.array(filled))
        self._lengths = pc.binary_length(contents)
        if not len(contents):
            self._texts = pa.array([], pa.string())
            return
        blob = pc.binary_join(pa.ListArray.from_arrays([0, len(contents)], contents), b"\n")[0].as_buffer()
        columns = [str(index) for index in range(len(self._names))]
        table = csv.read_csv(
            blob,
            read_options=csv.ReadOptions(column_names=columns, use_threads=False, block_size=blob.size + 1),
            parse_options=csv.ParseOptions(delimiter=self._delimiter),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
        values = [column.combine_chunks() for column in table.columns]
        self._texts = json_text.objects(self._names, values, escaped=_needs_no_escape(blob, len(contents)))


def _needs_no_escape(blob: Any, rows: int) -> bool:
    """Whether no value can have anything that JSON escapes: quotes, backslashes, control characters."""
    content = memoryview(blob).tobytes()
    controls = int(np.count_nonzero(np.frombuffer(content, np.uint8) < 32))
    return controls == rows - 1 and b"\\" not in content and b'""' not in content


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
