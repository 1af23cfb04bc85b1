"""What a file of the raw lake says of itself: the delivery in its footer, and its first records."""

from __future__ import annotations

from pathlib import Path

from activity_audit.base.faults import DamagedError
from activity_audit.base.sql_text import parquet_rows
from activity_audit.raw.index import METADATA_KEY, LandedDelivery, from_metadata
from activity_audit.warehouse.extensions import connect

# What would end a cell or its code mark, and what looks like it.
_NO_MARKDOWN = str.maketrans({"|": "\u00a6", "`": "\u00b4", "\n": " ", "\r": " "})


def delivery_in(path: Path) -> LandedDelivery:
    """The delivery that a file of the raw lake holds, from its footer.

    Raises:
        DamagedError: the file is not one that landing wrote, or not as it was written.
        OSError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
        return from_metadata(footer.metadata[METADATA_KEY.encode()].decode(), footer.num_rows)
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise DamagedError(
            f"{path} is not a file of the raw lake as landing wrote it. Restore it from a backup; or move it away, and "
            "its delivery is landed again if the source still has it"
        ) from error


def preview(path: Path, records_shown: int = 5) -> str:
    """The first records of a raw file as a Markdown table."""
    with connect() as connection:
        rows = connection.execute(
            f"select source_record, left(record, 300) from {parquet_rows(path)} order by 1 limit ?",
            [records_shown],
        ).fetchall()
    lines = [f"| {position} | `{text.translate(_NO_MARKDOWN)}` |" for position, text in rows]
    return "\n".join(["| record | as it came |", "|---|---|", *lines])
