"""Tables on a terminal: nothing that must be read whole is broken, and nothing floods it; a file gets all of it."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from datetime import datetime

import click
import pytest
from rich.cells import cell_len

from activity_audit.cli.output import print_csv, print_table

_HASH = "af7f2089d9e12b5fb11c7365ac59a28f57c737bfee2b3c8ac4b1d5c8215e5545"
_ID = "db499052-2d33-44e3-981b-9b3be883c770"
_AT = datetime(2026, 5, 1, 10, 15, 3)  # noqa: DTZ001 - as the warehouse has times
_RECORD = '{"application":"Analytics","comments":"' + "very long " * 100_000 + '"}'
_MANY = 123_456_789_012
_SENTENCE = "The application, entity and activity are in the catalogue of the vendor, or in one's own"

Printed = Callable[..., str]


@pytest.fixture(params=[80, 120])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


@pytest.fixture
def printed(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Printed:
    """What is printed on a terminal; no line of a table is wider than it."""

    def on_terminal(columns: list[str], rows: list[list[object]], **extra: object) -> str:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        print_table(columns, rows, **extra)  # type: ignore[arg-type]
        text = click.unstyle(capsys.readouterr().out)
        table = text.split("\nValues with …")[0].split("\nNot shown")[0]
        assert max(map(cell_len, table.splitlines())) <= width
        return text

    return on_terminal


@pytest.mark.parametrize(
    "row",
    [
        [_HASH, 1],
        [_ID, _AT, 1154],
        [_HASH, _ID, _AT, _AT, "SUCCESS", _SENTENCE],
        [_AT, "storage_of_a_long_name", '["event_time_zone_unknown"]', _MANY, _SENTENCE, _ID],
    ],
)
def test_no_hash_id_time_number_or_word_is_broken(printed: Printed, row: list[object]) -> None:
    lines = printed([f"column_{index}" for index in range(len(row))], [row, row]).splitlines()
    for value in row:
        for whole in _SENTENCE.split() if value == _SENTENCE else [f"{value:,}" if value == _MANY else str(value)]:
            assert any(whole in line for line in lines), (whole, lines)


@pytest.mark.parametrize("record", [_RECORD, "x" * 1_000_000, "word " * 200_000, "漢" * 1_000_000])
def test_what_is_very_long_is_cut_and_it_is_said_how_to_see_it_whole(printed: Printed, record: str) -> None:
    text = printed(["feed", "reasons", "record"], [["search", '["unparseable"]', record]] * 10, whole="`--output csv`")
    assert len(text.splitlines()) < 80
    assert text.count("…") > 10
    assert text.endswith(
        f"Values with … are cut to the width of the terminal, the longest of {len(record):,} characters; "
        "`--output csv` shows them whole.\n"
    )
    assert text.count('["unparseable"]') == 10


def test_columns_that_matter_less_give_way(printed: Printed, width: int) -> None:
    columns = [
        "feed",
        "received",
        "accepted",
        "duplicate",
        "quarantined",
        "offset_normalised",
        "late",
        "hours balanced",
    ]
    text = printed(columns, [["Quality Management (qm)", *range(7)]], optional=("offset_normalised", "late"))
    assert ("Not shown, for lack of room: offset_normalised, late; `--output json` shows all columns." in text) == (
        width == 80
    )
    assert "row 1" not in text


def test_nothing_is_said_of_a_table_that_is_whole(printed: Printed) -> None:
    assert "…" not in printed(["check", "level"], [[_SENTENCE, "warning"]])


def test_a_file_gets_each_row_whole_and_in_one_line(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    row = [_HASH, _ID, _AT, _SENTENCE, "x" * 300, '{"a": ' + "1" * 500 + "}"]
    print_table([f"column_{index}" for index in range(len(row))], [row, row])
    lines = capsys.readouterr().out.splitlines()
    assert sum(all(str(value) in line for value in row) for line in lines) == 2
    print_table(["n", "record"], [[1, _RECORD], [2, "b"]])
    text = capsys.readouterr().out
    assert _RECORD in text
    assert len(text) < 2 * len(_RECORD)


def test_what_is_cut_says_its_size_and_takes_few_lines(printed: Printed) -> None:
    text = printed(["id", "comments"], [[_HASH, "word " * 1000]])
    assert "(5,000 characters)" in " ".join(text.split())
    assert len(text.splitlines()) < 12


def test_numbers_have_their_thousands_apart_but_for_years(printed: Printed) -> None:
    lines = printed(["events", "year", "share"], [[48_000, 2026, 12345.5], [-1_234_567, 1999, None]]).splitlines()
    assert [line.split() for line in lines if "2026" in line or "1999" in line] == [
        ["48,000", "2026", "12345.5"],
        ["-1,234,567", "1999"],
    ]


def test_a_file_has_numbers_as_programs_read_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["events"], [[48_000]])
    assert "48000" in capsys.readouterr().out


def test_no_value_is_told_from_the_empty_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_table(["a", "b"], [[None, ""], [1, "x"]], null="NULL") == 2
    assert [line.split() for line in capsys.readouterr().out.splitlines() if "NULL" in line] == [["NULL"]]
    print_csv(["a", "b"], [[None, ""], [1, 'x"y'], [1.5, "a,b\nc"]])
    text = capsys.readouterr().out
    assert text == 'a,b\n,""\n1,"x""y"\n1.5,"a,b\nc"\n'
    assert list(csv.reader(io.StringIO(text)))[1:] == [["", ""], ["1", 'x"y'], ["1.5", "a,b\nc"]]
    print_csv(["a"], [[None]])
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [["a"], [""]]
