"""Great Expectations on a DuckDB connection that is already open. Imports Great Expectations: import late.

GX speaks SQLAlchemy, and duckdb-engine opens a connection of its own for that. The batch is in the caller's
connection, so the dialect here hands out cursors of that connection instead.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import duckdb_engine
import great_expectations as gx
import sqlalchemy as sa
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.expectations.expectation import Expectation
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGExecutionContext_psycopg2
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

# GX reads aggregates of one row and names of columns; nothing that it reads here is as long as this.
_MOST_ROWS = 1000

# No samples and no query texts from GX: each would cost a second scan, also where nothing is unexpected.
_COUNTS_ONLY = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "return_unexpected_index_query": False,
}

_connections: dict[str, duckdb.DuckDBPyConnection] = {}


class _ExecutionContext(PGExecutionContext_psycopg2):
    def post_exec(self) -> None:
        # GX reads a result after it gave its connection back, when DuckDB has dropped it: keep the rows.
        if self.cursor.description:
            rows = self.cursor.fetchmany(_MOST_ROWS + 1)
            if len(rows) > _MOST_ROWS:
                raise RuntimeError(f"a query of Great Expectations returned more than {_MOST_ROWS} rows")
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(self.cursor, initial_buffer=rows)


class SessionDialect(duckdb_engine.Dialect):
    """`duckdb+session:///<key>`: cursors of the open connection that is known under the key."""

    supports_statement_cache = False
    execution_ctx_cls = _ExecutionContext

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        """A cursor of the connection whose key is the URL's database."""
        key = kwargs.get("database") or args[0]
        return duckdb_engine.ConnectionWrapper(_connections[key].cursor())

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **kwargs: Any) -> list[Any]:
        """The columns of a relation; duckdb-engine's own looks into the default database only."""
        name = f"{schema}.{table_name}" if schema else table_name
        described = connection.exec_driver_sql(f"describe {name}").fetchall()
        return [{"name": row[0], "type": sa.types.NullType(), "nullable": True} for row in described]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **kwargs: Any) -> Any:
        """No primary key: what is staged has none, and to ask for it takes longer than to count."""
        return {"constrained_columns": [], "name": None}


class Session:
    """One run's Great Expectations, which keeps nothing beyond it; open it with `open_session`."""

    def __init__(self, key: str) -> None:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        self._warehouse = context.data_sources.add_sql("warehouse", connection_string=f"duckdb+session:///{key}")
        self._batches: dict[str, Batch] = {}

    def validate(self, relation: str, expectations: Sequence[Expectation]) -> list[ExpectationValidationResult]:
        """Evaluate `expectations` on `relation` (`database.schema.name`), in any order: counts only, no values."""
        if relation not in self._batches:
            schema, table = relation.rsplit(".", 1)
            asset = self._warehouse.add_table_asset(relation, table_name=table, schema_name=schema)
            self._batches[relation] = asset.add_batch_definition_whole_table("all of it").get_batch()
        suite = gx.ExpectationSuite(name=relation, expectations=list(expectations))
        return self._batches[relation].validate(suite, result_format=_COUNTS_ONLY).results

    def close(self) -> None:
        """Give back the cursors."""
        self._warehouse.get_engine().dispose()


@contextmanager
def open_session(connection: duckdb.DuckDBPyConnection) -> Iterator[Session]:
    """A session on cursors of `connection`, which stays open and is not changed.

    The cursors see what is committed, not what an open transaction of `connection` has written.
    """
    registry.register("duckdb.session", __name__, SessionDialect.__name__)
    key = secrets.token_hex(8)
    _connections[key] = connection
    try:
        session = Session(key)
        try:
            yield session
        finally:
            session.close()
    finally:
        del _connections[key]
