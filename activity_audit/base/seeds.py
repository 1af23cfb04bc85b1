"""Reads the dbt seeds that people edit; a wrong row is reported before anything runs with it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

_ADVICE = "in a spreadsheet, save it as 'CSV UTF-8', separated by commas"


class SeedError(ValueError):
    """A seed is wrong; the message names each row that is, and says what it must be."""


Row = dict[str, str]


def read(
    path: Path,
    columns: Sequence[str],
    problem: Callable[[Row], str | None],
    identity: Callable[[Row], Hashable],
) -> list[Row]:
    """The rows of a seed, in its order; a byte order mark is no part of it.

    `problem` says what is wrong with a row, or None. No two rows may have the same `identity`.

    Raises:
        SeedError: if it cannot be read, has other columns, or has a wrong row; all wrong rows are named.
    """
    header, *rows = _lines(path)
    if tuple(header[1]) != tuple(columns):
        raise SeedError(f"{path}: its first line must be {','.join(columns)}; {_ADVICE}")
    wrong: list[str] = []
    found: list[Row] = []
    lines: dict[Hashable, int] = {}
    for line, values in rows:
        row = dict(zip(columns, (value.strip() for value in values), strict=False))
        why = _misfit(values, columns) or problem(row)
        if why is None and (first := lines.setdefault(identity(row), line)) != line:
            why = f"it names the same as line {first}"
        if why:
            wrong.append(f"{path} line {line}: {why}")
        found.append(row)
    if wrong:
        raise SeedError("\n".join(wrong))
    return found


def blank(row: Row, names: Sequence[str]) -> str | None:
    """What is wrong with a row in which one of these fields is blank; None where none is."""
    missing = [name for name in names if not row[name]]
    return f"{' and '.join(missing)} must not be blank" if missing else None


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The header and the rows that are not blank, each with its line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader if row]
    except UnicodeDecodeError:
        raise SeedError(f"{path} cannot be read: it is not UTF-8; {_ADVICE}") from None
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SeedError(f"{path} cannot be read: {reason}") from None
    return rows or [(1, [])]


def _misfit(values: Sequence[str], columns: Sequence[str]) -> str | None:
    if len(values) == len(columns):
        return None
    return f"it must have {len(columns)} fields ({', '.join(columns)}); put a text with a comma in quotes"
