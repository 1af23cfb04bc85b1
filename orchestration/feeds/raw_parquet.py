"""The Parquet files of the raw lake: how one is written from a delivery, and what it says about itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.feeds import records
from orchestration.feeds.formats import FeedFormat
from orchestration.feeds.raw_index import METADATA_KEY, LandedDelivery, from_metadata
from orchestration.feeds.read_csv import read_csv
from orchestration.feeds.read_json import read_json
from orchestration.feeds.read_lines import read_lines
from orchestration.feeds.streams import decompressed

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_READERS = {"lines": read_lines, "json": read_json, "csv": read_csv}


def write_parquet(
    connection: duckdb.DuckDBPyConnection,
    content: Path,
    declared: FeedFormat,
    target: Path,
    metadata: str,
    max_record_bytes: int,
) -> None:
    """Write every record of the file `content` to the Parquet file `target`, with `metadata` in its footer."""
    import pyarrow as pa

    with content.open("rb") as stream:
        if declared.shape == "parquet":
            batches = _read_parquet(connection, content, max_record_bytes)
        else:
            batches = _READERS[declared.shape](decompressed(stream, declared.compression), max_record_bytes)
        reader = pa.RecordBatchReader.from_batches(records.schema(), batches)
        connection.register("incoming", reader)
        try:
            connection.execute(
                f"copy incoming to {_literal(str(target))} (format parquet, compression zstd, "
                f"kv_metadata {{{METADATA_KEY}: {_literal(metadata)}}})"
            )
        finally:
            connection.unregister("incoming")


def delivery_in(path: Path) -> LandedDelivery:
    """The delivery that a file of the raw lake holds, from its footer."""
    import pyarrow.parquet as pq

    footer = pq.read_metadata(path)
    return from_metadata(footer.metadata[METADATA_KEY.encode()].decode(), footer.num_rows)


def preview(path: Path, records_shown: int = 5) -> str:
    """The first records of a raw file as a Markdown table."""
    import duckdb

    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select source_record, left(record, 300) from read_parquet({_literal(str(path))}) order by 1 limit ?",
            [records_shown],
        ).fetchall()
    lines = [f"| {position} | `{text.replace('|', '¦').replace('`', '´')}` |" for position, text in rows]
    return "\n".join(["| record | as it came |", "|---|---|", *lines])


def _read_parquet(
    connection: duckdb.DuckDBPyConnection, content: Path, max_record_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a delivered Parquet file, each as a JSON object of texts.

    A file that is no Parquet file, or breaks off, is one unparseable record: the format is all or nothing.
    """
    import duckdb

    cursor = connection.cursor()
    source = f"read_parquet({_literal(str(content))}, file_row_number = true)"
    try:
        columns = [row[0] for row in cursor.execute(f"describe select * from {source}").fetchall()]
        pairs = ", ".join(
            f"{_literal(name)}, cast({_identifier(name)} as varchar)"
            for name in columns
            if name != "file_row_number"
        )
        rows = cursor.execute(
            f"""
            with rows as (
                select file_row_number + 1 as position, cast(json_object({pairs}) as varchar) as record from {source}
            ), measured as (select *, strlen(record) as length from rows)
            select
                position as source_record,
                case when length > {max_record_bytes} then left(record, {records.KEPT_BYTES}) else record end as record,
                case when length > {max_record_bytes} then 'too_large' end as problem,
                cast(null as blob) as record_bytes,
                length as record_length,
                case when length > {max_record_bytes} then sha256(record) end as record_sha256
            from measured
            order by position
            """
        ).fetch_record_batch(100_000)
        checked = list(rows) if content.stat().st_size < _SMALL else rows
    except duckdb.Error:
        yield from records.to_batches(iter([_unreadable(content, max_record_bytes)]))
        return
    for batch in checked:
        yield batch.cast(records.schema())


_SMALL = 64 << 20


def _unreadable(content: Path, max_record_bytes: int) -> records.Record:
    if content.stat().st_size > max_record_bytes:
        import hashlib

        with content.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            return records.too_large(file.read(records.KEPT_BYTES), content.stat().st_size, digest)
    return records.from_bytes(content.read_bytes(), max_record_bytes, "unparseable")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
