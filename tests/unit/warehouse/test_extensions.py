"""DuckDB's extensions are those of the installed packages, and a user's SQL can load no others."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from activity_audit.warehouse.extensions import CONFIG, ExtensionError, load


def test_extensions_are_loaded_in_a_home_that_has_none(tmp_path: Path) -> None:
    with duckdb.connect(config=CONFIG | {"extension_directory": str(tmp_path)}) as connection:
        load(connection, ("ducklake", "sqlite_scanner"))
        loaded = connection.execute("select extension_name from duckdb_extensions() where loaded").fetchall()
        assert {("ducklake",), ("sqlite_scanner",)} <= set(loaded)
    assert not list(tmp_path.iterdir())


def test_nothing_unsigned_is_loaded_afterwards(tmp_path: Path) -> None:
    import duckdb_extension_httpfs

    package = Path(duckdb_extension_httpfs.__path__[0])
    content = bytearray(next(package.glob("extensions/*/httpfs.duckdb_extension")).read_bytes())
    content[1000] ^= 1
    changed = tmp_path / "httpfs.duckdb_extension"
    changed.write_bytes(content)
    with duckdb.connect(config=CONFIG) as connection:
        load(connection, ("sqlite_scanner",))
        with pytest.raises(duckdb.IOException, match="signature"):
            connection.execute(f"load '{changed}'")
        with pytest.raises(duckdb.InvalidInputException):
            connection.execute("set allow_unsigned_extensions = true")


def test_an_extension_that_is_not_installed_is_named() -> None:
    with duckdb.connect() as connection, pytest.raises(ExtensionError, match="extension spatial is not installed"):
        load(connection, ("spatial",))


def test_an_extension_for_another_duckdb_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = f"v{duckdb.__version__}"
    monkeypatch.setattr(duckdb, "__version__", "1.5.99")
    with duckdb.connect() as connection, pytest.raises(ExtensionError) as raised:
        load(connection, ("ducklake",))
    assert f"installed for {there}, and DuckDB is v1.5.99" in str(raised.value)
