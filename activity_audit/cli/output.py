"""Writes results and messages: tables and sentences for people, JSON and CSV for programs.

Nothing else of the command line writes. What a source sent must not reach a terminal as it is: escape sequences in it
would clear the screen, set the clipboard, or write lines that pass for ours.
"""

from __future__ import annotations

import base64
import csv
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import click

from activity_audit.base.shown_text import FORMULA, visible

OUTPUT = click.Choice(["table", "json"])


def plain(value: Any) -> Any:
    """A value as JSON can carry it; times are ISO 8601, UTC ones of the warehouse without a zone.

    JSON has neither infinity nor NaN: they are null.
    """
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def unique(columns: Sequence[str]) -> list[str]:
    """The names of a result's columns, told apart where several are the same: `n`, `n_1`, `n_2`."""
    names: list[str] = []
    for column in columns:
        name, number = column, 0
        while name in names or (number and name in columns):
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def say(*lines: str, fg: str | None = None, err: bool = False) -> None:
    """Lines of text for people, on standard output or standard error; a line break inside of one is shown as such."""
    for line in lines:
        click.secho(visible(line), fg=fg, err=err)


def visible_lines(text: str) -> str:
    """`text` with every character that a reader could not see as its code point, but for its line breaks.

    Its second line and the rest are indented, lest a line of what it quotes passes for one of ours.
    """
    return "\n  ".join(map(visible, text.split("\n")))


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON of the same value, in which characters that a reader could not see are escaped."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=indent, allow_nan=False)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    # A line break is JSON's own: those of texts are escaped already.
    return char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    _write_json(as_json(value, indent=2))


def print_json_rows(rows: Iterable[Any]) -> None:
    """The same of a list, whose items are written as they come."""
    before = "["
    for row in rows:
        text = as_json(row, indent=2).replace("\n", "\n  ")
        _write_json(f"{before}\n  {text}", nl=False)
        before = ","
    _write_json("[]" if before == "[" else "\n]")


def _write_json(text: str, *, nl: bool = True) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in text)
    # click would flush each row of a long result.
    sys.stdout.write(f"{text}\n" if nl else text)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    title: str | None = None,
    *,
    fg: str | None = None,
    colours: Mapping[str, str] = MappingProxyType({}),
    optional: Sequence[str] = (),
    whole: str = "`--output json`",
) -> None:
    """A table on standard output: as wide as the terminal, or as its content in a file or a pipe.

    `fg` is the colour of its title; a cell of the column `level` has its colour of `colours`. Where a terminal has no
    room, the `optional` columns are left out first, and what is long is cut; then it says that `whole` has all of it.
    """
    from rich.console import Console
    from rich.text import Text

    from activity_audit.cli import tables

    body = [list(row) for row in rows]
    laid_out = [
        tables.column(
            visible(name),
            [visible(_cell(row[index])) for row in body],
            is_whole=any(isinstance(row[index], datetime | date) for row in body),
        )
        for index, name in enumerate(columns)
    ]
    console = Console(highlight=False)
    if sys.stdout.isatty():
        layout = tables.on_terminal(laid_out, console.width, colours, optional)
    else:
        layout = tables.in_file(laid_out, colours)
        console = Console(highlight=False, width=layout.width)
    if title:
        click.secho(visible(title), bold=True, fg=fg)
    for part in layout.parts:
        console.print(part, soft_wrap=isinstance(part, Text))
    if layout.left_out:
        say(f"Not shown, for lack of room: {', '.join(layout.left_out)}; {whole} shows all columns.")
    if layout.is_cut:
        say(f"Values that end in … are cut to the width of the terminal; {whole} shows them whole.")


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a header on standard output; a null is an empty field.

    A text that a spreadsheet would run as a formula begins with an apostrophe, as in the report's files. All others are
    as they are, for a program to read; a terminal gets them in their visible form.
    """
    shown = visible if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(shown, columns))
    for row in rows:
        cells = ("" if value is None else _csv_cell(value) for value in row)
        writer.writerow([shown(cell) if isinstance(cell, str) else cell for cell in cells])


def _csv_cell(value: Any) -> Any:
    if isinstance(value, float):
        return value
    value = plain(value)
    if isinstance(value, str):
        return re.sub(FORMULA, r"'\1", value)
    return as_json(value) if isinstance(value, dict | list) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    value = plain(value)
    return as_json(value) if isinstance(value, dict | list) else str(value)


def say_if_empty(events: int) -> None:
    """Say it of a file or a pack that was written without any event, which is seldom what was wanted."""
    if not events:
        say("The file has no events: nothing in the warehouse matches the filters.", fg="yellow")
