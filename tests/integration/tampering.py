"""What the tests of integrity do to a home, as somebody would who can write to all of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from activity_audit.evidence.verify.findings import Finding
from activity_audit.evidence.verify.verify import verify
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import Entry
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake, lake_writer

FACT = "fact_activity_event"
LEDGER = "quality.integrity_ledger"


def copied(settings: Settings, home: Path) -> Settings:
    """A copy of a home, with an empty folder for feeds beside it."""
    shutil.copytree(settings.home, home)
    feeds = home.with_name("landing")
    feeds.mkdir()
    return settings.model_copy(update={"home": home, "feed_url": str(feeds)})


@contextmanager
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that may write to the warehouse, as its current catalog."""
    with duckdb.connect() as connection:
        lake_writer.attach(connection, settings)
        connection.execute("use audit")
        yield connection


def change(settings: Settings, *statements: str) -> None:
    """Run statements on the warehouse."""
    with warehouse(settings) as connection:
        for statement in statements:
            connection.execute(statement)


def entries(settings: Settings) -> list[Entry]:
    """The ledger."""
    with lake.reader(settings) as connection:
        return list(ledger.entries(connection))


def raw_file(settings: Settings, feed: str, hour: int) -> Path:
    """The one raw file of a feed and an hour of the day."""
    (path,) = (settings.raw_dir / feed).glob(f"*/{hour:02}/*.parquet")
    return path


def fact_files(settings: Settings) -> list[Path]:
    """The fact's data files."""
    return sorted((settings.home / "warehouse/data/main/fact_activity_event").rglob("*.parquet"))


def flip(path: Path, at: int) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def edit_column(path: Path, column: str, old: str, new: str) -> None:
    """Replace a text in one column of a Parquet file, and leave everything else as it is."""
    table, kept = pq.read_table(path, partitioning=None), pq.read_metadata(path).metadata or {}
    edited = pc.replace_substring(table[column], old, new)
    assert not edited.equals(table[column])
    index = table.schema.get_field_index(column)
    edited_table = table.set_column(index, table.schema.field(index), edited.cast(pa.string()))
    with pq.ParquetWriter(path, edited_table.schema) as writer:
        writer.write_table(edited_table)
        writer.add_key_value_metadata({key: value for key, value in kept.items() if key != b"ARROW:schema"})


def findings(settings: Settings, expected_head: str | None = None) -> list[Finding]:
    """What verify finds."""
    return verify(settings, None, expected_head).findings


def named(found: list[Finding]) -> list[tuple[str, str]]:
    """Layer and problem of each finding."""
    return [(finding.layer, finding.problem) for finding in found]
