"""The core of the feed contract with dlt and dbt: dlt lands the lines in DuckDB, dbt's models judge and compare them.

The lines reach dlt as Arrow tables, which it loads without looking at each row. Whether a line is text and strict JSON
is decided here, as DuckDB's own test lets a comma at the end and NaN pass.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path

import dlt
import orjson
import pyarrow as pa

PROJECT = Path(__file__).parent
TOO_LARGE = 1_048_576
KEPT_OF_TOO_LARGE = 65_536
BATCH_BYTES = 64_000_000
# What only a lenient parser takes has one of these; so few lines do that each of them can be parsed here.
SUSPECT = re.compile(rb",\s*[}\]]|NaN|Inf")
SCHEMA = pa.schema(
    {
        "feed": pa.string(),
        "feed_hour": pa.timestamp("us"),
        "source_uri": pa.string(),
        "source_record": pa.int64(),
        "record": pa.string(),
        "problem": pa.string(),
    }
)


def problem_of(line: bytes) -> str | None:
    """Why a line is no record to be judged further, as far as DuckDB would not find it."""
    if len(line) > TOO_LARGE:
        return "too_large"
    try:
        line.decode()
        if SUSPECT.search(line):
            orjson.loads(line)
    except (UnicodeDecodeError, orjson.JSONDecodeError):
        return "unparseable"
    return None


def table_of(path: Path) -> pa.Table:
    """The records of a file."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = [line for line in content.split(b"\n") if line.strip()]
    problems: list[str | None] = [None] * len(lines)
    if not is_usual(content, lines):
        problems = [problem_of(line) for line in lines]
        lines = [
            line[:KEPT_OF_TOO_LARGE].decode(errors="backslashreplace").encode() if problem else line
            for line, problem in zip(lines, problems, strict=True)
        ]
    feed, date, hour = path.parts[-4:-1]
    moment = pa.scalar(f"{date} {hour}:00:00").cast(pa.timestamp("us"))
    columns = [
        pa.repeat(feed, len(lines)),
        pa.repeat(moment, len(lines)),
        pa.repeat(path.as_posix(), len(lines)),
        pa.array(range(1, len(lines) + 1), pa.int64()),
        pa.array(lines, pa.binary()).cast(pa.string()),
        pa.array(problems, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def is_usual(content: bytes, lines: list[bytes]) -> bool:
    """Whether a whole file is text, has no line that is too large, and nothing that a lenient parser would take."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return max(map(len, lines), default=0) <= TOO_LARGE and not SUSPECT.search(content)


@dlt.resource(name="record", write_disposition="append")
def records(feeds: Path) -> Iterator[pa.Table]:
    """The lines of all files, in tables of some size."""
    tables: list[pa.Table] = []
    size = 0
    for path in sorted(feeds.glob("*/*/*/*.ndjson*")):
        table = table_of(path)
        tables.append(table)
        size += table.nbytes
        if size >= BATCH_BYTES:
            yield pa.concat_tables(tables)
            tables, size = [], 0
    if tables:
        yield pa.concat_tables(tables)


def main() -> None:
    """Land with dlt, build with dbt."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("feeds", "catalogue", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    database = options.out / "warehouse.duckdb"
    for name in ("fact", "quarantine"):
        (options.out / name).mkdir(parents=True)
    os.environ.update(
        RUNTIME__DLTHUB_TELEMETRY="false",
        DO_NOT_TRACK="1",
        OUT=str(options.out),
        CATALOGUE=str(options.catalogue.resolve()),
    )
    pipeline = dlt.pipeline(
        "audit",
        pipelines_dir=str(options.out / "dlt"),
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="landed",
    )
    pipeline.run(records(options.feeds), loader_file_format="parquet").raise_on_failed_jobs()
    from dbt.cli.main import dbtRunner

    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(options.out / "dbt")]
    built = dbtRunner().invoke(["run", *folders, "--log-path", str(options.out / "dbt")])
    if not built.success:
        raise SystemExit(f"dbt failed: {built.exception or [result.message for result in built.result]}")


if __name__ == "__main__":
    main()
