"""`audit sql`: a read-only query on the warehouse, beside a running pipeline."""

from __future__ import annotations

import re

import click

from orchestration import lake
from orchestration.cli.output import plain, print_csv, print_json, print_table, unique
from orchestration.masking import without_secrets
from orchestration.settings import Settings

_GAP = r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"
# Functions that can be called in a SELECT and do more than read: they delete or write files beside the catalog.
_NOT_READING = re.compile(
    rf"""\b(?:ducklake_)?(?:expire_snapshots|cleanup_old_files|delete_orphaned_files|merge_adjacent_files|
    rewrite_data_files|flush_inlined_data|add_data_files|set_option|set_commit_message|checkpoint|force_checkpoint)"?{_GAP}\(
    |\b(?:sqlite|postgres)_\w+"?{_GAP}\(""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
# EXPLAIN ANALYZE runs what it explains.
_EXPLAIN = re.compile(r"\A\s*explain\s+(?:analyze\s+)?(?:\([^)]*\)\s*)?", re.IGNORECASE)


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
            read = connection.extract_statements(_EXPLAIN.sub("", query, count=1))
            if len(statements) != 1 or [statement.type for statement in read] != [duckdb.StatementType.SELECT]:
                raise click.ClickException("only one query can be asked, and only one that reads: a SELECT")
            if _NOT_READING.search(query):
                raise click.ClickException("the query calls a function that does more than read the warehouse")
            cursor = connection.execute(statements[0])
            columns = unique([column[0] for column in cursor.description or []])
            rows = cursor.fetchall()
    except lake.WarehouseError as error:
        raise click.ClickException(str(error)) from None
    except duckdb.Error as error:
        raise click.ClickException(f"the query failed: {without_secrets(str(error))}") from None
    if output == "json":
        print_json([dict(zip(columns, map(plain, row), strict=True)) for row in rows])
    elif output == "csv":
        print_csv(columns, rows)
    else:
        print_table(columns, rows)
