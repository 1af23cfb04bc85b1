"""`audit sql`: a read-only query on the warehouse, beside a running pipeline."""

from __future__ import annotations

import re

import click

from orchestration import lake
from orchestration.cli.output import plain, print_csv, print_json, print_table
from orchestration.settings import Settings

# Functions that can be called in a SELECT and do more than read: they delete or write files beside the catalog.
_NOT_READING = re.compile(
    r"""\b(?:ducklake_)?(?:expire_snapshots|cleanup_old_files|delete_orphaned_files|merge_adjacent_files|
    rewrite_data_files|flush_inlined_data|add_data_files|set_option|set_commit_message|checkpoint|force_checkpoint)"?\s*\(
    |\b(?:sqlite|postgres)_\w+"?\s*\(""",
    re.IGNORECASE | re.VERBOSE,
)


@click.command("sql")
@click.argument("query")
@click.option("--output", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("--at", metavar="RUN_ID|TIME", help="The warehouse as it stood after that run, or at that time (UTC).")
@click.pass_obj
def command(settings: Settings, query: str, output: str, at: str | None) -> None:
    """Run one SELECT on the warehouse; `fact_activity_event` and `quality.feed_reconciliation` resolve."""
    import duckdb

    try:
        with lake.reader(settings, at) as connection:
            lake.lock_down(connection, settings)
            statements = connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type not in (
                duckdb.StatementType.SELECT,
                duckdb.StatementType.EXPLAIN,
            ):
                raise click.ClickException("only one query can be asked, and only one that reads: a SELECT")
            if _NOT_READING.search(query):
                raise click.ClickException("the query calls a function that does more than read the warehouse")
            cursor = connection.execute(statements[0])
            columns = [column[0] for column in cursor.description or []]
            rows = cursor.fetchall()
    except lake.WarehouseError as error:
        raise click.ClickException(str(error)) from None
    except duckdb.Error as error:
        raise click.ClickException(f"the query failed: {error}") from None
    if output == "json":
        print_json([dict(zip(columns, map(plain, row), strict=True)) for row in rows])
    elif output == "csv":
        print_csv(columns, rows)
    else:
        print_table(columns, rows)
