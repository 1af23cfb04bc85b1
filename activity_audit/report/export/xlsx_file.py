"""XLSX: text stays text whatever it begins with, times are times, and a sheet `About` says what the file is about.

Excel's limits are kept without losing a row: what a sheet cannot hold goes on in the next one. A text that a cell
cannot hold is cut, and `About` says how many were.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from activity_audit.report.export.about import About
from activity_audit.warehouse.events.columns import COLUMNS

_SHEET_ROWS = 1_048_576
_CELL_CHARACTERS = 32_767
_CUT = "… [cut]"
_FIRST_YEAR = 1900
_WIDTHS = {"event_time_utc": 26, "event_id": 38, "triggered_by": 32, "entity": 28, "activity": 28, "comments": 60}
_BY_TITLE = {column.title: _WIDTHS[column.field] for column in COLUMNS if column.field in _WIDTHS}
_WIDTH = 20
# Excel follows no longer link.
_LONGEST_LINK = 2079


class XlsxFile:
    """A workbook of the report that is being written at `path`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import xlsxwriter

        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._book = xlsxwriter.Workbook(str(path), options)
        self._bold = self._book.add_format({"bold": True})
        self._time = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"})
        self._titles = schema.names
        self._sheets = 0
        self._cut = 0
        self._begin_sheet()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if self._row == _SHEET_ROWS:
                self._end_sheet()
                self._begin_sheet()
            for place, value in enumerate(row):
                self._write_cell(place, value)
            self._row += 1

    def close(self, about: About) -> None:
        """End the file with what it is about."""
        self._end_sheet()
        sheet = self._book.add_worksheet("About")
        sheet.set_column(0, 1, 30)
        facts = about.as_texts() | {"Cells cut to what Excel can hold": str(self._cut)}
        for row, (name, value) in enumerate(facts.items()):
            sheet.write_string(row, 0, name, self._bold)
            if value == about.layout.link and len(value) <= _LONGEST_LINK:
                sheet.write_url(row, 1, value)
            else:
                sheet.write_string(row, 1, self._fitting(value))
        self._book.close()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._sheet = self._book.add_worksheet(
            "Activity Audit" if self._sheets == 1 else f"Activity Audit {self._sheets}"
        )
        self._sheet.freeze_panes(1, 0)
        for place, title in enumerate(self._titles):
            self._sheet.set_column(place, place, _BY_TITLE.get(title, _WIDTH))
            self._sheet.write_string(0, place, self._fitting(title), self._bold)
        self._row = 1

    def _end_sheet(self) -> None:
        self._sheet.autofilter(0, 0, max(self._row - 1, 0), len(self._titles) - 1)

    def _write_cell(self, place: int, value: Any) -> None:
        if isinstance(value, datetime):
            if value.year >= _FIRST_YEAR:
                self._sheet.write_datetime(self._row, place, value, self._time)
                return
            # Excel knows no time before 1900.
            value = value.isoformat(sep=" ", timespec="microseconds")
        if isinstance(value, int | float):
            self._sheet.write_number(self._row, place, value)
        elif value is not None:
            self._sheet.write_string(self._row, place, self._fitting(value))

    def _fitting(self, text: str) -> str:
        # Excel counts as UTF-16 does.
        units = text.encode("utf-16-le")
        if len(units) <= 2 * _CELL_CHARACTERS:
            return text
        self._cut += 1
        return units[: 2 * (_CELL_CHARACTERS - len(_CUT))].decode("utf-16-le", errors="ignore") + _CUT
