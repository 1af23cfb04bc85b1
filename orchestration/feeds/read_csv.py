"""CSV files to record batches: each data row becomes a JSON object under the header's own names.

Runs of plain rows are read in bulk by Arrow, which gives the same records as reading them one by one
(csv_rows), as the rows between them are. A row that does not fit its header is kept as its own text, as an
unparseable record; blank lines are no rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from orchestration.feeds import json_text, records
from orchestration.feeds.csv_lines import LineBlock, Lines
from orchestration.feeds.csv_rows import Rows, plain_row, read_header
from orchestration.feeds.line_blobs import line_blobs, line_end, split
from orchestration.feeds.streams import Blocks

if TYPE_CHECKING:
    import pyarrow as pa

# Below this, Arrow's cost for each call is more than what it saves.
_SHORTEST_RUN = 32
# Arrow's regular expressions take no more; wider files are read row by row.
_WIDEST = 100


def read_csv(blocks: Blocks, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The data rows of a CSV file with a header, in batches."""
    end = line_end(blocks)
    lines = Lines(line_blobs(blocks, max_bytes, end), end)
    names, delimiter = read_header(lines)
    rows = Rows(lines, names, delimiter, max_bytes)
    plain = _PlainRuns(lines, names, delimiter, max_bytes)
    waiting: list[records.Record] = []
    while True:
        lines.begin_row()
        if not lines.more():
            record = lines.passed()
            if record is None:
                break
            waiting.append(record)
        elif (batch := plain.next()) is not None:
            yield from records.to_batches(waiting)
            waiting = []
            yield batch
        elif record := rows.next():
            waiting.append(record)
        if len(waiting) >= records.BATCH_RECORDS:
            yield from records.to_batches(waiting)
            waiting = []
    yield from records.to_batches(waiting)


class _PlainRuns:
    """Reads runs of lines that are each a plain row, as one batch."""

    def __init__(self, lines: Lines, names: Sequence[str], delimiter: str, max_bytes: int) -> None:
        self._lines = lines
        self._names = names
        self._delimiter = delimiter
        self._max_bytes = max_bytes
        self._usable = 2 <= len(names) <= _WIDEST
        self._pattern = plain_row(delimiter, len(names), r"\z") if self._usable else ""
        self._block: LineBlock | None = None
        # The lines that are not plain, and after the last one the number of lines.
        self._breaks: Any = None

    def next(self) -> pa.RecordBatch | None:
        """The run at the cursor; None where there is none that is worth it."""
        lines = self._lines
        if not self._usable or lines.block is None:
            return None
        if self._block is not lines.block:
            self._block = lines.block
            self._breaks = self._find_breaks(lines.block)
        first = lines.at
        last = int(self._breaks[self._breaks.searchsorted(first)])
        if last - first < _SHORTEST_RUN:
            return None
        lines.at = last
        return self._read(lines.block, first, last)

    def _find_breaks(self, block: LineBlock) -> Any:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        small = pc.less_equal(pc.binary_length(block.contents), self._max_bytes)
        matches = pc.match_substring_regex(block.contents, self._pattern)
        plain = pc.and_(matches, small).to_numpy(zero_copy_only=False)
        try:
            block.contents.cast(pa.string())
        except pa.ArrowInvalid:
            plain = plain & np.array([_is_utf8(line) for line in block.lines])
        return np.append(np.flatnonzero(~plain), len(plain))

    def _read(self, block: LineBlock, first: int, last: int) -> pa.RecordBatch:
        """The rows of a run of plain lines."""
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow import csv

        blob = block.between(first, last)
        contents = block.contents.slice(first, last - first)
        if b"\r" in blob:
            blob = blob.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            contents, _ = split(blob, b"\n")
        lengths = pc.binary_length(contents)
        if pc.min(lengths).as_py() == 0:
            lengths = lengths.filter(pc.greater(lengths, 0))
        if not len(lengths):
            return records.text_batch(pa.array([], pa.string()), lengths)
        columns = [str(index) for index in range(len(self._names))]
        table = csv.read_csv(
            pa.py_buffer(blob),
            read_options=csv.ReadOptions(column_names=columns, use_threads=False, block_size=len(blob) + 1),
            parse_options=csv.ParseOptions(delimiter=self._delimiter),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
        # The run's line ends are its only control characters, and no quote or backslash is inside a value.
        escaped = _controls(blob) == last - first - 1 and b"\\" not in blob and b'""' not in blob
        values = [column.combine_chunks() for column in table.columns]
        return records.text_batch(json_text.objects(self._names, values, escaped=escaped), lengths)


def _controls(blob: bytes) -> int:
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(blob, np.uint8) < 32))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
