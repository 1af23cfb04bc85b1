"""CSV: UTF-8, a header, and no cell that a spreadsheet would run as a formula.

A CSV file has no place for what it is about, so that is in a second file beside it, `<name>.about.json`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, csv

from activity_audit.base.shown_text import FORMULA
from activity_audit.base.whole_files import rewrite
from activity_audit.report.export.about import About

_TIME = "%Y-%m-%d %H:%M:%S"


class CsvFile:
    """A CSV file of the report that is being written at `path`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = csv.CSVWriter(path, _as_text(schema.empty_table()).schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_table(_as_text(pa.Table.from_batches([batch])))

    def close(self, about: About) -> None:
        """End the file; what it is about stands beside it."""
        self._writer.close()


def about_beside(path: Path, about: About) -> Path:
    """Write the file beside the CSV file `path` that says what that is about."""
    beside = path.with_name(f"{path.name}.about.json")
    rewrite(beside, json.dumps(about.as_dict(), ensure_ascii=False, indent=2) + "\n")
    return beside


def _as_text(table: pa.Table) -> pa.Table:
    columns = [
        compute.strftime(column, format=_TIME)
        if pa.types.is_timestamp(column.type)
        else compute.replace_substring_regex(column, pattern=FORMULA, replacement=r"'\1")
        for column in table.columns
    ]
    return pa.table(dict(zip(table.column_names, columns, strict=True)))
