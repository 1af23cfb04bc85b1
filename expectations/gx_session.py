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
import sqlalchemy as sa
from great_expectations.core.batch import Batch
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
from great_expectations.expectations.expectation import Expectation
from great_expectations.validator.validator import Validator
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


class _Validator(Validator):
    """GX's validator without a data context, whose assets, suites and stores cost more than the evaluation."""

    def _determine_progress_bars(self) -> bool:
        return False


class Session:
    """One run's Great Expectations engine; open it with `open_session`."""

    def __init__(self, key: str) -> None:
        self._engine = SqlAlchemyExecutionEngine(
            name="warehouse", engine=sa.create_engine(f"duckdb+session:///{key}"), create_temp_table=False
        )

    def validate(self, relation: str, expectations: Sequence[Expectation]) -> list[ExpectationValidationResult]:
        """Evaluate `expectations` on `relation` (`database.schema.name`), in any order: counts only, no values."""
        schema, table = relation.rsplit(".", 1)
        data = SqlAlchemyBatchData(self._engine, schema_name=schema, table_name=table, create_temp_table=False)
        # GX's annotation names the classes that a batch's data may have, where it means their instances.
        validator = _Validator(self._engine, batches=[Batch(data=data)])  # type: ignore[arg-type]
        return validator.graph_validate(
            [expectation.configuration for expectation in expectations], {"result_format": _COUNTS_ONLY}
        )

    def close(self) -> None:
        """Give back the cursors."""
        self._engine.engine.dispose()


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
