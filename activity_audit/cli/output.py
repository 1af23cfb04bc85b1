"""Writes results and messages: tables and sentences for people, JSON and CSV for programs.

Nothing else of the command line writes. What a source sent must not reach a terminal as it is: escape sequences in it
would clear the screen, set the clipboard, or write lines that pass for ours.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import click

from activity_audit.base import json_log
from activity_audit.base.shown_text import FORMULA, visible

OUTPUT = click.Choice(["table", "json"])
_LEAST_APART = 10_000


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
        if err and json_log.is_on():
            json_log.said(line)
        else:
            click.secho(visible(line), fg=fg, err=err)


def pass_on(line: str) -> None:
    """A line of another process's log, on standard error; as JSON, if that is how this process logs."""
    if json_log.is_on():
        sys.stderr.write(f"{json_log.passed_on(line)}\n")
    else:
        say(line, err=True)


@contextmanager
def pinned(*lines: str) -> Iterator[None]:
    """Keep these lines at the foot of the terminal, below all that this process writes meanwhile.

    In a file or a pipe they are written once. A line that is too long is cut.
    """
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        say(*lines)
        sys.stdout.flush()
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    foot = Text("\n".join(map(visible, lines)), "bold", no_wrap=True, overflow="ellipsis")
    with Live(foot, console=Console(highlight=False), auto_refresh=False):
        yield


def warn(warnings: Iterable[str]) -> None:
    """Say on standard error what somebody should look at, though the command goes on."""
    for warning in warnings:
        say(f"warning: {warning}", fg="yellow", err=True)


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
    null: str = "",
) -> int:
    """A table on standard output: as wide as the terminal, or as its content in a file or a pipe.

    `fg` is the colour of its title; a cell of the column `level` has its colour of `colours`. `null` stands for no
    value. Where a terminal has no room, the `optional` columns are left out first, and what is long is cut; then it
    says that `whole` has all of it. Returns the number of rows.
    """
    from rich.console import Console
    from rich.text import Text

    from activity_audit.cli import tables

    body = [list(row) for row in rows]
    laid_out = [
        tables.column(
            visible(name),
            [visible(null if row[index] is None else _cell(row[index])) for row in body],
            is_whole=any(isinstance(row[index], datetime | date) for row in body),
            is_number=_are_numbers(row[index] for row in body),
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
    if layout.longest_cut:
        say(
            f"Values with … are cut to the width of the terminal, the longest of {layout.longest_cut:,} characters; "
            f"{whole} shows them whole."
        )
    return len(body)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a header on standard output; a null is an empty field, and the empty text is `""`.

    A text that a spreadsheet would run as a formula begins with an apostrophe, as in the report's files. All others are
    as they are, for a program to read; a terminal gets them in their visible form.
    """
    shown = visible if sys.stdout.isatty() else str
    for row in itertools.chain([columns], rows):
        cells = ("" if value is None else _csv_field(shown(_csv_cell(value))) for value in row)
        # A line without anything would be no row to most readers.
        sys.stdout.write((",".join(cells) or '""') + "\n")


def _csv_field(text: str) -> str:
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if not text or re.search(r'[",\r\n]', text) else text


def _csv_cell(value: Any) -> str:
    if isinstance(value, float):
        return str(value)
    value = plain(value)
    if isinstance(value, str):
        return re.sub(FORMULA, r"'\1", value)
    return as_json(value) if isinstance(value, dict | list) else str(value)


def number(value: int) -> str:
    """A number for people: on a terminal, one of five digits and more has its thousands apart (a year has not)."""
    return f"{value:,}" if abs(value) >= _LEAST_APART and sys.stdout.isatty() else str(value)


def counted(count: int, thing: str) -> str:
    """How many of a thing, in words: `1 row`, `12,345 rows`."""
    return f"{number(count)} {thing}{'' if count == 1 else 's'}"


def _are_numbers(values: Iterable[Any]) -> bool:
    kinds = {type(value) for value in values} - {type(None)}
    return bool(kinds) and kinds <= {int, float, Decimal}


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    value = plain(value)
    if isinstance(value, int):
        return number(value)
    return as_json(value) if isinstance(value, dict | list) else str(value)


def say_if_empty(events: int) -> None:
    """Say it of a file or a pack that was written without any event, which is seldom what was wanted."""
    if not events:
        say("The file has no events: nothing in the warehouse matches the filters.", fg="yellow")
