"""Faults of the machine as sentences: what is wrong, where, and what to do.

An error is known by the name of its class and its text, because that is all that Dagster keeps of one.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from activity_audit.base.error_chain import error_chain

# A quote inside a word is of the path itself.
_PATH = re.compile(r"""(['"])(/.+?)\1(?!\w)""")
_AGAIN = "Nothing is half done: run the same command again to continue"
# The kinds of errors that come from outside the product. Another one may say the same and mean a fault of its own.
_KINDS = re.compile(
    r"OSError|PermissionError|FileExistsError|NotADirectoryError|IsADirectoryError|BlockingIOError|MemoryError"
    r"|ArrowMemoryError|DatabaseError|OperationalError|IOException|OutOfMemoryException|TransactionException"
    r"|FatalException|InvalidInputException|Error|TransformError|ExpectationNotEvaluated"
)
_FAILS = r"input/output error|disk i/o error|\[errno 5\]"
_LITTLE_SPACE = 1 << 20
# What DuckDB says of a Parquet file that is not as it was written: with its name, and without it.
_DAMAGED_FILE = (
    r"too small to be a parquet file|no magic bytes found|cannot open file .*no such file"
    r"|(?:could not read|failed to read|footer length|encoding found in|no longer exists).*(?:parquet|file) ['\"]"
)
_DAMAGED_DATA = (
    r"tprotocolexception|ttransportexception|out of buffer|don't know what type|invalid ttype|corrupted file"
    r"|might be corrupted|bit width too large|dbp decode|delta_binary_packed|incorrect stats size"
    r"|converted type can only|invalid unicode \(byte sequence"
)
_OF_DATA = (
    (
        _DAMAGED_FILE,
        "{where} is damaged or missing. `audit verify` lists everything that changed; restore it from a backup",
    ),
    (_DAMAGED_DATA, "a data file of the warehouse is damaged. `audit verify` names it; restore it from a backup"),
)
_DAGSTER = (
    "Dagster's records of runs in {home}/dagster are damaged: {error}. The warehouse does not "
    "need them. Move that folder away and run the command again; a new history of runs begins"
)
_SENTENCES: tuple[tuple[str, str], ...] = (
    (
        r"no space left on device|database or disk is full|\[errno 28\]|disk quota exceeded|\[errno 122\]",
        f"the disk is full: {{where}} cannot be written. Make room there. {_AGAIN}",
    ),
    (
        r"file too large|\[errno 27\]",
        f"{{where}} cannot grow: the system allows no larger file. Raise the limit (`ulimit -f`). {_AGAIN}",
    ),
    (
        r"read-only file system|\[errno 30\]|attempt to write a readonly database",
        "{where} cannot be written: the file system is read-only. Mount it for writing, or put AUDIT_HOME elsewhere",
    ),
    (
        r"permission denied|\[errno 13\]|operation not permitted|\[errno 1\]",
        "this user has no right to read or write {where}. Grant the right, or run as the owner of the home",
    ),
    (
        r"too many open files|\[errno 24\]|\[errno 23\]",
        f"too many files are open at once. Raise the limit (`ulimit -n`). {_AGAIN}",
    ),
    (
        _FAILS,
        (
            "the disk of {where} fails: {where} cannot be read or written. Look at the system's log, and "
            "restore from a backup"
        ),
    ),
    (
        r"out of memory|unable to allocate|malloc of size|cannot allocate memory|\[errno 12\]",
        f"there is too little memory. Raise AUDIT_MEMORY_LIMIT, if the machine has more, or ask for less. {_AGAIN}",
    ),
    (
        r"server closed the connection|unable to connect to postgres|connection to server|terminating connection"
        r"|no connection to the server|database system is (?:starting up|shutting down|in recovery)",
        f"PostgreSQL went away, or cannot be reached. Start it, or check AUDIT_CATALOG. {_AGAIN}",
    ),
    (
        r"unable to open database file",
        "{where} cannot be opened for writing. Give this user the rights on it and on its folder, or free some space",
    ),
    (
        r"file is not a database|disk image is malformed|malformed database schema",
        "{where} is damaged, or is not a database. Restore it from a backup",
    ),
    *_OF_DATA,
    (
        r"not a directory|\[errno 20\]|is a directory|\[errno 21\]|file exists|\[errno 17\]",
        "{where} is in the way: a file is where a folder should be, or a folder where a file should be. Move it away",
    ),
)


class FaultError(RuntimeError):
    """Something outside the product is not as it must be; the message says what, where, and what to do."""


class DamagedError(FaultError):
    """A file that the product wrote is not as it wrote it."""


def sentence_of(error: BaseException, home: object) -> str | None:
    """What a person is told of the error, or of what caused it; None where it is none of the known kinds."""
    for found in error_chain(error):
        if isinstance(found, FaultError):
            return str(found)
        text = str(found)
        if isinstance(getattr(found, "orig", None), sqlite3.Error):
            # Dagster alone speaks to SQLite through SQLAlchemy.
            text = f"{found.orig} '{home}/dagster'"  # type: ignore[attr-defined]
            if isinstance(found.orig, sqlite3.DatabaseError) and _is_damage(found.orig):  # type: ignore[attr-defined]
                return _DAGSTER.format(home=home, error=found.orig)  # type: ignore[attr-defined]
        is_below = isinstance(found, FileNotFoundError) and str(found.filename).startswith(str(home))
        if is_below and not Path(str(home)).exists():
            return f"{home} does not exist and cannot be created; set AUDIT_HOME to a folder that this user can create"
        if (said := sentence(_name(found), text, home)) is not None:
            return said
    return None


def sentence(kind: str, text: str, home: object) -> str | None:
    """The same of an error by the name of its class; `home` is named where the text has no path."""
    if kind == "MemoryError":
        text = "out of memory"
    if not _KINDS.fullmatch(kind):
        return None
    named = _PATH.search(text)
    # A place of a home may be a disk of its own.
    if re.search(_FAILS, text, re.IGNORECASE) and (_is_full(home) or (named and _is_full(named[2]))):
        # SQLite says so of its shared memory, which it maps.
        text += " (no space left on device)"
    return _first(_SENTENCES, text, f"something below {home}")


def _first(sentences: Iterable[tuple[str, str]], text: str, otherwise: str) -> str | None:
    """The first sentence whose pattern the text has, about the path in it, or about `otherwise`."""
    for pattern, said in sentences:
        if re.search(pattern, text, re.IGNORECASE):
            path = _PATH.search(text)
            return said.format(where=path[2] if path else otherwise)
    return None


def damaged_data(error: Exception) -> str | None:
    """What a person is told of an error of DuckDB that a damaged data file causes; None for any other error."""
    return _first(_OF_DATA, str(error), "a data file of the warehouse") if _KINDS.fullmatch(_name(error)) else None


def damaged(path: object, error: Exception, what_to_do: str) -> FaultError:
    """The error of a SQLite file of the product that cannot be used, from SQLite's own."""
    if _is_damage(error):
        return DamagedError(f"{path} is damaged: {error}. {what_to_do}")
    said = sentence("OperationalError", f"{error} '{path}'", path)
    return FaultError(said or f"{path} cannot be used: {error}. Wait until nothing else uses it, and try again")


def _is_full(home: object) -> bool:
    try:
        return shutil.disk_usage(str(home)).free < _LITTLE_SPACE
    except OSError:
        return False


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or not isinstance(error, sqlite3.OperationalError)


def _name(error: BaseException) -> str:
    # A PermissionError is an OSError, and so on; what is raised of a library may be named as it likes.
    return "OSError" if isinstance(error, OSError) else type(error).__name__
