"""What Dagster's pages show of a raw file is a table with the text that came, and nothing that passes for more."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from activity_audit.raw.files import preview
from activity_audit.raw.store import LocalStore

_HOSTILE = "a | b ` <img src=x>\n| 9 | c\r\x1b[2J \u202e d \u2028 e \x0b f \x85"


def test_a_preview_has_a_row_for_each_record_whatever_is_in_it(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"source_record": [1, 2], "record": [_HOSTILE, "plain"]}), tmp_path / "raw.parquet")
    rows = preview(LocalStore(tmp_path), "raw.parquet").splitlines()
    assert len(rows) == 4
    assert all(row.isprintable() and row.count("|") == 3 for row in rows)
    assert rows[2].count("`") == 2
    assert "\u27e8U+202E\u27e9" in rows[2]
