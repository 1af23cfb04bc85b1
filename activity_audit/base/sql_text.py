"""Text inside SQL, where DuckDB takes no parameter: paths of ATTACH and of table functions, comments, settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What a DuckDB function that reads files expands in a path.
PATTERN = "*?["
_PATTERN = re.compile(f"[{re.escape(PATTERN)}]")


def literal(text: str) -> str:
    """The text as an SQL string, quotes and all."""
    return "'" + text.replace("'", "''") + "'"


def file_literal(path: str | Path) -> str:
    """The path of one file as an SQL string for a function that reads files, which would expand a pattern in it."""
    text = str(path)
    # To such a function a backslash is a slash, so that no pattern fits; it then takes the text as it is.
    return literal(text if "\\" in text else _PATTERN.sub(r"[\g<0>]", text))


def parquet_rows(*paths: str | Path, options: str = "") -> str:
    """What reads the rows of these Parquet files, in a FROM; a folder named `feed=x` gives them no column."""
    files = ", ".join(map(file_literal, paths))
    return f"read_parquet([{files}], hive_partitioning = false{options})"
