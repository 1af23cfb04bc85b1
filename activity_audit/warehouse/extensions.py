"""DuckDB's extensions, from the installed packages that carry them, and never from the internet.

`python -m activity_audit.warehouse.extensions` puts them where DuckDB looks for them, for other programs of the user.
"""

from __future__ import annotations

import importlib
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

NAMES = ("ducklake", "sqlite_scanner", "postgres_scanner", "httpfs")
# What every DuckDB is opened with. It takes longer to hash the files of extensions, for the signature, than an hour's
# records to judge; their hashes are in `uv.lock`, as those of all other code are. And by itself DuckDB would put what
# does not fit into memory into the working directory; a caller with a folder for that names it.
CONFIG: dict[str, Any] = {"allow_unsigned_extensions": True, "temp_directory": ""}
_open: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()


class ExtensionError(RuntimeError):
    """An extension is not installed."""


def connect(database: str = ":memory:", **config: Any) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB on which `load` takes no time; without a `temp_directory` it spills nothing to disk."""
    connection = duckdb.connect(database, config=CONFIG | config)
    _open.add(connection)
    return connection


def interrupt() -> None:
    """Have every query end that runs on what `connect` opened, with an error."""
    for connection in list(_open):
        with suppress(duckdb.ConnectionException):  # It is closed.
            connection.interrupt()


def load(connection: duckdb.DuckDBPyConnection, names: tuple[str, ...]) -> None:
    """Load these extensions. From then on the connection's DuckDB loads no others that are not signed.

    Raises:
        ExtensionError: if one is not installed for this version of DuckDB.
        duckdb.Error: if it cannot be loaded.
    """
    for name in names:
        connection.load_extension(str(_binary(name)))
    connection.execute("set allow_unsigned_extensions = false")


def _binary(name: str) -> Path:
    try:
        package = importlib.import_module(f"duckdb_extension_{name}")
    except ModuleNotFoundError:
        raise ExtensionError(f"DuckDB's extension {name} is not installed; `make setup` installs it") from None
    folder = Path(package.__path__[0]) / "extensions"
    path = folder / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.exists():
        there = ", ".join(sorted(found.name for found in folder.glob("v*"))) or "none"
        raise ExtensionError(
            f"DuckDB's extension {name} is installed for {there}, and DuckDB is v{duckdb.__version__}; `make setup` "
            "installs what belongs together"
        )
    return path


if __name__ == "__main__":
    import duckdb_extensions

    for extension in NAMES:
        duckdb_extensions.import_extension(extension)
