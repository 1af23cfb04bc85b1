"""What a home holds: rows of every table of its databases, files and folders of every place."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from activity_audit.warehouse.lake_catalog import CATALOG


def holdings(settings: Settings) -> Counter[str]:
    """How many there are of each, without the landing folder; a run's own database counts as a file only."""
    found: Counter[str] = Counter()
    for path in sorted(settings.home.rglob("*")):
        place = path.relative_to(settings.home)
        if path.is_relative_to(settings.feed_root):
            continue
        if path.is_dir():
            found[f"folders of {place.parts[0]}"] += 1
        elif path.suffix in (".sqlite", ".db") and "-" not in path.stem and path != settings.catalog_file:
            found.update(_rows(path, str(place)))
        else:
            found[f"files of {place.parts[0]}"] += 1
    return found + _catalog(settings)


def _rows(database: Path, place: str) -> Counter[str]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        return Counter(
            {f"{place} {name}": connection.execute(f'select count(*) from "{name}"').fetchone()[0] for name in tables}
        )


def _catalog(settings: Settings) -> Counter[str]:
    # By DuckDB, which may have it open in this process: another SQLite would take its locks away.
    with lake.reader(settings) as connection:
        tables = connection.execute(
            "select table_name from duckdb_tables() where database_name = ?", [CATALOG]
        ).fetchall()
        return Counter(
            {
                f"catalog {name}": connection.execute(f'select count(*) from {CATALOG}."{name}"').fetchall()[0][0]
                for (name,) in tables
            }
        )
