"""DuckDB's extensions, put where DuckDB looks for them, from the installed packages that carry them.

`python -m orchestration.extensions` does it once at installation; `orchestration.lake` does it again where a
home folder lacks one.
"""

from __future__ import annotations

NAMES = ("ducklake", "sqlite_scanner", "postgres_scanner", "httpfs")


def install(name: str) -> None:
    """Copy the official binary of an extension from its package into DuckDB's extension folder."""
    import duckdb_extensions

    duckdb_extensions.import_extension(name)


if __name__ == "__main__":
    for extension in NAMES:
        install(extension)
