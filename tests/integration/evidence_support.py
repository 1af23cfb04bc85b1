"""What the tests of evidence share: a hard text, making a pack, and checking it as a stranger does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import duckdb

from activity_audit.base.hours import parse_time
from activity_audit.evidence.pack.pack import Options, Pack, make_pack
from activity_audit.settings.core import Settings
from activity_audit.warehouse.events.filters import Filters

HARD = 'say "hi",\r\nthen\n"";\'\\ \t — 😀 \x0b \u2028 \u202e =1+1 \x7f \0'
PERIOD = ("--from", "2026-05-01T10:00:00Z", "--to", "2026-05-01T12:00:00Z")
# What a stranger types, but for the name of their Python; -I leaves out everything of ours.
STRANGER = "import duckdb, json; print(json.dumps(duckdb.sql(open('check.sql').read()).fetchall()))"


def pack_of(home: Settings, target: Path, at: str | None = None, options: Options | None = None, **chosen: Any) -> Pack:
    """A pack of PERIOD."""
    filters = Filters(parse_time(PERIOD[1]), parse_time(PERIOD[3]), **chosen)
    return make_pack(home, lambda _: filters, target, at, options)


def check_pack(folder: Path) -> dict[str, tuple[bool, str]]:
    """The stranger's check, in this process, which has DuckDB already: each row that it gives."""
    with chdir(folder), duckdb.connect() as connection:
        rows = connection.execute(Path("check.sql").read_text()).fetchall()
    return {name: (ok, detail) for name, ok, detail in rows}


def check_pack_as_a_stranger(folder: Path) -> dict[str, tuple[bool, str]]:
    """The same by a process that has nothing of ours."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER], cwd=folder, env={}, capture_output=True, text=True, check=True
    )
    return {name: (ok, detail) for name, ok, detail in json.loads(done.stdout)}


def failed_checks(folder: Path) -> dict[str, str]:
    """The checks that found something, and what."""
    return {name: detail for name, (ok, detail) in check_pack(folder).items() if not ok}


def check_sums(folder: Path) -> subprocess.CompletedProcess[str]:
    """The files against their sums, as a stranger compares them."""
    return subprocess.run(
        ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False
    )


def rewrite(folder: Path, name: str, query: str, *, both: bool = True, count: bool = True) -> None:
    """Write a table of the pack anew, as somebody would who knows how it is made: CSV and row count follow."""
    path = folder / f"{name}.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"create table t as from '{path}'")
        connection.execute(f"copy ({query}) to '{path}' (format parquet)")
        if both and (folder / f"{name}.csv").exists():
            connection.execute(f"copy (from '{path}') to '{folder}/{name}.csv' (header, force_quote *)")
        rows = connection.execute(f"select count(*) from '{path}'").fetchall()[0][0]
    if count:
        edit_about(folder, lambda about: about["rows"].update({name: rows}))


def edit_about(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit what pack.json has."""
    about = json.loads((folder / "pack.json").read_text())
    edit(about)
    (folder / "pack.json").write_text(json.dumps(about, indent=2))
