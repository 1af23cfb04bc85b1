"""How a command ends that meets a fault of the machine, of a file, of its user, or of its own."""

from __future__ import annotations

import errno
import io
import shutil
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import duckdb
import pytest

from activity_audit.base.faults import DamagedError, damaged, sentence, sentence_of
from activity_audit.cli import exit_codes
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from activity_audit.warehouse.transactions import cause

HOME = "/srv/home"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/srv/home/x"), "the disk is full: /srv/home/x cannot be"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: something below /srv/home cannot be"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/srv/home/x"), "the disk is full: /srv/home/x"),
        (
            OSError(errno.EROFS, "Read-only file system", "/srv/home/x"),
            "/srv/home/x cannot be written: the file system",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/srv/home/x"),
            "this user has no right to read or write /srv/home/x",
        ),
        (OSError(errno.EMFILE, "Too many open files", "/srv/home/x"), "too many files are open at once"),
        (OSError(errno.EFBIG, "File too large"), "something below /srv/home cannot grow"),
        (OSError(errno.EIO, "Input/output error", "/srv/home/x"), "the disk of /srv/home/x fails"),
        (FileExistsError(errno.EEXIST, "File exists", "/srv/home/x"), "/srv/home/x is in the way"),
        (MemoryError(), "there is too little memory"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (sqlite3.DatabaseError("file is not a database"), "something below /srv/home is damaged"),
        (duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block"), "there is too little memory"),
        (
            duckdb.IOException('IO Error: Cannot write "/x/y": No space left on device'),
            "the disk is full: /x/y",
        ),
        (OSError(errno.EROFS, "Read-only file system", "/srv/it's/x"), "/srv/it's/x cannot be written"),
        (sqlite3.OperationalError("unable to open database file '/srv/it's/x'"), "/srv/it's/x cannot be opened"),
    ],
)
def test_a_fault_of_the_machine_says_what_where_and_what_to_do(error: Exception, said: str) -> None:
    wrapped = RuntimeError("a library failed")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        told = sentence_of(one, HOME)
        assert told is not None
        assert told.startswith(said)
        assert "Error" not in told.replace("Errno", "")


@pytest.mark.parametrize("content", [b"", b"no Parquet file, and longer than its end"])
def test_a_data_file_that_is_not_as_it_was_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(content)
    with pytest.raises(duckdb.Error) as raised:
        duckdb.execute(f"from read_parquet('{path}')")
    told = sentence_of(raised.value, HOME)
    assert told is not None
    assert told.startswith(f"{path} is damaged or missing. `audit verify`")


def test_a_home_that_is_a_file_is_said_in_words_of_ours(settings: Settings) -> None:
    settings.home.write_text("")
    with pytest.raises(lake.WarehouseError, match="is in the way"), lake.reader(settings):
        pass


def test_a_fault_of_ours_is_no_fault_of_the_machine() -> None:
    for error in (KeyError("x"), ValueError("no space left on device"), OSError(errno.ENOENT, "No such file", "/x")):
        assert sentence_of(error, HOME) is None


def test_a_database_that_is_busy_is_not_called_damaged() -> None:
    busy = sqlite3.OperationalError("database is locked")
    assert not isinstance(damaged("/x", busy, "Remove it"), DamagedError)
    assert isinstance(damaged("/x", sqlite3.DatabaseError("file is not a database"), "Remove it"), DamagedError)


def _ended(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    @click.command()
    def cli() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["audit"])
    monkeypatch.setattr(exit_codes._Ctrl, "listen", lambda _: None)
    return exit_codes.run(cli)  # type: ignore[arg-type]


def test_an_unexpected_error_is_shown_whole_and_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ended(monkeypatch, ZeroDivisionError("\x1b[2Jboom")) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "boom" in said
    assert "\x1b" not in said
    assert said.splitlines()[-1].startswith("This is a fault of the product")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (click.ClickException("no"), 1, "Error: no\n"),
        (click.UsageError("no"), 2, "Error: no\n"),
        (click.exceptions.Exit(1), 1, ""),
        (SystemExit(3), 3, ""),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 1, "Error: the disk is full: /x cannot be written"),
    ],
)
def test_how_a_command_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    assert _ended(monkeypatch, error) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_stream_without_a_file_stays_as_it_is() -> None:
    text = io.StringIO()
    assert exit_codes._unhindered(text) is text
    assert exit_codes._unhindered(None) is None


def test_output_goes_nowhere_once_its_reader_has_gone(tmp_path: Path) -> None:
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115
    stream = exit_codes._unhindered(full)
    with pytest.raises(RuntimeError, match="output cannot be written: no space left on device"):
        print("x", file=stream, flush=True)
    print("y", file=stream, flush=True)
    full.close()


def test_a_home_that_cannot_be_made_is_named() -> None:
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/nohome/raw")
    said = "/proc/nohome does not exist and cannot be created; set AUDIT_HOME to a folder that this user can create"
    assert sentence_of(missing, "/proc/nohome") == said
    assert sentence_of(missing, "/srv/home") is None
    assert sentence_of(FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), "/proc/nohome") is None


def test_a_place_of_a_home_that_is_full_is_no_disk_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SQLite says so of its shared memory, also where the home itself has room and this place is a disk of its own."""
    free = {"/home": 1 << 30, "/home/dagster": 0}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
    said = sentence("OperationalError", "disk I/O error '/home/dagster'", "/home")
    assert said
    assert said.startswith("the disk is full: /home/dagster")


def test_a_run_that_cannot_publish_says_that_the_disk_is_full_and_what_to_do() -> None:
    error = duckdb.IOException('IO Error: Could not write file "/x/y.parquet": No space left on device')
    assert cause(error).startswith("the disk is full: /x/y.parquet cannot be written. Make room there.")
    assert cause(duckdb.IOException("IO Error: something else\n\nmore")) == "IO Error: something else"
