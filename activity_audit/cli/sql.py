"""`audit sql`: a read-only query on the warehouse, beside a running pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click
import duckdb

from activity_audit.base.masking import without_secrets
from activity_audit.cli.output import counted, print_csv, print_json_rows, print_table, say, unique
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake, query_bounds, read_only_sql

_AT_ONCE = 10_000


# A query may begin with a comment, `--`, which is no option.
@click.command("sql", context_settings={"ignore_unknown_options": True})
@click.argument("query")
@click.option("--output", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("--at", metavar="RUN_ID|TIME", help="Read the warehouse as it was after that run, or at that time (UTC).")
@click.pass_obj
def command(settings: Settings, query: str, output: str, at: str | None) -> None:
    """Run one SELECT on the warehouse.

    Tables are `fact_activity_event`, `quality.feed_reconciliation` and others; `show all tables` lists them.
    """
    try:
        with lake.reader(settings, at) as connection:
            query_bounds.bound_spill(connection, settings)
            lake.lock_down(connection, settings)
            with query_bounds.bounded(connection, settings) as clock:
                with clock.working():
                    cursor = connection.execute(read_only_sql.reading(connection, query))
                columns = unique([column[0] for column in cursor.description or []])
                _print(columns, _rows(cursor, clock), output)
    except (lake.WarehouseError, read_only_sql.NotReadingError, query_bounds.QueryTooLargeError) as error:
        raise click.ClickException(str(error)) from None
    except duckdb.Error as error:
        raise click.ClickException(f"the query failed: {without_secrets(str(error))}") from None


def _rows(cursor: duckdb.DuckDBPyConnection, clock: query_bounds.Clock) -> Iterator[tuple[Any, ...]]:
    """The rows as they come; a long result is never held whole. Who reads them may take any time."""
    while True:
        with clock.working():
            rows = cursor.fetchmany(_AT_ONCE)
        if not rows:
            return
        yield from rows


def _print(columns: list[str], rows: Iterable[tuple[Any, ...]], output: str) -> None:
    if output == "json":
        print_json_rows(dict(zip(columns, row, strict=True)) for row in rows)
    elif output == "csv":
        print_csv(columns, rows)
    elif columns == ["explain_key", "explain_value"]:
        for _, text in rows:
            say(*text.split("\n"))
    else:
        shown = print_table(columns, rows, whole="`--output json` or `csv`", null="NULL")
        say(counted(shown, "row"))
