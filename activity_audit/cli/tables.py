"""Lays out tables for people: as wide as the terminal, without breaking a name, hash, id, time or number.

What does not fit beside each other is written one below the other, a block for each row. In a file or a pipe
nothing is cut and no cell is broken.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

# Between two columns, where there is room and where there is little; and before the first and behind the last.
_GAPS, _EDGE = (3, 2), 1
# What is longer than a SHA-256 may be cut, JSON and running text beyond so much; in characters of a terminal.
_LONGEST_WORD, _LEAST_JSON, _LONGEST_TEXT = 64, 24, 240
# Running text in a narrower column, or on more lines of one, is hard to read.
_LEAST_TEXT, _MOST_LINES = 24, 4
# From so much room on, what is cut says its size.
_LEAST_WITH_SIZE = 48
# Beyond it a row of a file is no line that anything can show.
_LONGEST_LINE = 4_000


@dataclass(frozen=True)
class Column:
    """A column, with its cells as they are shown; `least` and `natural` are its widths in characters of a terminal."""

    name: str
    cells: Sequence[str]
    is_text: bool
    is_number: bool
    least: int
    natural: int


@dataclass(frozen=True)
class Layout:
    """What to write on so many characters, and what of it is missing.

    `longest_cut` is the length of the longest cell that is not shown whole, in characters; 0 if all are.
    """

    parts: list[Table | Text]
    width: int
    longest_cut: int = 0
    left_out: tuple[str, ...] = ()


def column(name: str, cells: Sequence[str], *, is_whole: bool = False, is_number: bool = False) -> Column:
    """A column of these cells; those of one that `is_whole`, such as times, are one piece although they have blanks."""
    is_json = any(cell.startswith(("{", "[")) for cell in cells)
    is_text = not is_whole and not is_json and any(" " in cell for cell in cells)
    words = [word for cell in cells for word in (cell[:_LONGEST_TEXT].split() if is_text else [cell])]
    longest = min(_widest(words), _LEAST_JSON if is_json else _LONGEST_WORD)
    natural = _widest([name, *cells])
    return Column(
        name,
        cells,
        is_text=is_text,
        is_number=is_number,
        least=max(_widest(name.split()), longest, min(natural, _LEAST_TEXT) if is_text else 0),
        natural=natural,
    )


def on_terminal(
    columns: Sequence[Column], width: int, colours: Mapping[str, str], optional: Sequence[str] = ()
) -> Layout:
    """The table on a terminal of so many characters; the `optional` columns go first where there is no room."""
    for leave_out, gap in itertools.product(range(len(optional) + 1), _GAPS):
        left_out = tuple(optional[:leave_out])
        chosen = [one for one in columns if one.name not in left_out]
        if (widths := _widths(chosen, width, gap)) is not None:
            shown = [_shown(one, room) for one, room in zip(chosen, widths, strict=True)]
            return Layout([_grid(chosen, shown, widths, gap, colours)], width, _longest_cut(chosen, shown), left_out)
    # Below each other there is room for all.
    room = max(width - _widest([one.name for one in columns]) - 1, 1)
    shown = [_shown(one, room) for one in columns]
    return Layout(_blocks(columns, shown, colours), width, _longest_cut(columns, shown))


def in_file(columns: Sequence[Column], colours: Mapping[str, str]) -> Layout:
    """The table in a file or a pipe: a line for each row, unless that would be too long for anything to show."""
    cells = [one.cells for one in columns]
    widths = [one.natural for one in columns]
    if (width := _sum(widths, _GAPS[0])) <= _LONGEST_LINE:
        return Layout([_grid(columns, cells, widths, _GAPS[0], colours)], width)
    room = _widest([one.name for one in columns])
    names = [f"{one.name:<{room}} " for one in columns]
    rows = [[Text(name + cell) for name, cell in zip(names, row, strict=True)] for row in zip(*cells, strict=True)]
    return Layout([line for row in rows for line in (*row, Text())], width)


def _longest_cut(columns: Sequence[Column], shown: Sequence[Sequence[str]]) -> int:
    pairs = (pair for one, cells in zip(columns, shown, strict=True) for pair in zip(one.cells, cells, strict=True))
    return max((len(cell) for cell, text in pairs if cell != text), default=0)


def _widths(columns: Sequence[Column], width: int, gap: int) -> list[int] | None:
    """How wide each column is, the widest ones narrowed to their least; None where that is not enough."""
    if _sum([one.least for one in columns], gap) > width:
        return None
    widths = [one.natural for one in columns]
    while (excess := _sum(widths, gap) - width) > 0:
        wide = [index for index, one in enumerate(columns) if widths[index] > one.least]
        widest = max(wide, key=lambda index: widths[index])
        next_to_it = max((widths[index] for index in wide if widths[index] < widths[widest]), default=0)
        lower = max(widths[widest] - excess, min(next_to_it, widths[widest] - 1))
        widths[widest] = max(columns[widest].least, lower)
    return widths


def _sum(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1) + 2 * _EDGE


def _widest(texts: Sequence[str]) -> int:
    """The width of the widest, of its beginning if that is wider than any line."""
    return max((cell_len(text[: _LONGEST_LINE + 1]) for text in texts), default=0)


def _shown(one: Column, room: int) -> list[str]:
    """The cells as they have room. Running text may wrap at its words, but is not endless: some is megabytes long."""
    if not one.is_text:
        return [_cut(cell, room) for cell in one.cells]
    shown = [_cut(cell, min(_LONGEST_TEXT, _MOST_LINES * room)) for cell in one.cells]
    return [" ".join(_cut(word, room) for word in cell.split(" ")) for cell in shown]


def _cut(text: str, room: int) -> str:
    if cell_len(text[: room + 1]) <= room:
        return text
    size = f" ({len(text):,} characters)"
    if room < _LEAST_WITH_SIZE:
        size = ""
    shown = Text(text[: room + 1])
    shown.truncate(room - len(size), overflow="ellipsis")
    return shown.plain + size


def _grid(
    columns: Sequence[Column],
    cells: Sequence[Sequence[str]],
    widths: Sequence[int],
    gap: int,
    colours: Mapping[str, str],
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=gap == _GAPS[1])
    for one, width in zip(columns, widths, strict=True):
        table.add_column(Text(one.name), justify="right" if one.is_number else "left", width=width)
    for row in zip(*cells, strict=True):
        table.add_row(*(_text(one, cell, colours) for one, cell in zip(columns, row, strict=True)))
    return table


def _blocks(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], colours: Mapping[str, str]
) -> list[Table | Text]:
    parts: list[Table | Text] = []
    rows = list(zip(*cells, strict=True))
    for number, row in enumerate(rows, 1):
        if len(rows) > 1:
            parts.append(Text(f"row {number}", "bold"))
        block = Table.grid(padding=(0, 1), pad_edge=False)
        block.add_column(no_wrap=True)
        block.add_column()
        for one, cell in zip(columns, row, strict=True):
            block.add_row(Text(one.name, "bold"), _text(one, cell, colours))
        parts += [block, Text()]
    return parts


def _text(one: Column, cell: str, colours: Mapping[str, str]) -> Text:
    return Text(cell, colours.get(cell, "") if one.name == "level" else "", no_wrap=not one.is_text)
