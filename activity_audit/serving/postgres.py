"""A serving copy in a PostgreSQL database, brought to the newest snapshot of the warehouse in one transaction.

Its readers see one snapshot or the next, also after a failure: PostgreSQL itself takes back what is not committed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import duckdb

from activity_audit.base.sql_text import literal
from activity_audit.base.vocabulary import FACT_NAME
from activity_audit.serving import postgres_ddl as ddl
from activity_audit.serving import rows
from activity_audit.serving.published import How, Published, ServingError
from activity_audit.serving.state import COPY, DEFAULT_DAYS, TABLE, State, can_follow, columns_of, of_copy, of_warehouse
from activity_audit.serving.target import Target
from activity_audit.settings.core import Settings
from activity_audit.warehouse import extensions, lake
from activity_audit.warehouse.contract import PublishedModel
from activity_audit.warehouse.run_lock import OnStage
from activity_audit.warehouse.transactions import cause, in_transaction

_EXTENSION = "postgres_scanner"
# The number of the lock of a database's serving copy; only that it is always the same matters.
_LOCK = 4_702_111_232
_PAUSE = 0.5
# PostgreSQL has no character NUL, which a text of the warehouse may have.
_IN_PLACE_OF_NUL = "\N{REPLACEMENT CHARACTER}"


def bring_up_to_date(
    settings: Settings, manifest: dict[str, Any], target: Target, how: How, progress: OnStage
) -> Published:
    """Bring the copy to the newest snapshot, as `how` says.

    Raises:
        ServingError: if PostgreSQL refuses or fails, others hold the copy, or the database has other people's tables.
        WarehouseError: if the warehouse cannot be read.
    """
    try:
        with _alone(target, settings.lock_timeout, progress), lake.reader(settings, pinned=True) as connection:
            _attach(connection, target)
            progress("copying")
            with in_transaction(connection):
                return _bring(connection, manifest, target, how)
    except duckdb.Error as error:
        why = cause(error).rstrip(".?")
        raise ServingError(
            f"{target} could not be brought up to date: {why}. Its readers go on to see one whole snapshot; "
            "run `audit publish` again when the cause is gone, with --whole if somebody changed the copy"
        ) from None


@contextmanager
def _alone(target: Target, patience: timedelta, progress: OnStage) -> Iterator[None]:
    """Only one process at a time changes the copy; the next one begins with what this one leaves.

    The lock is of a transaction of its own, so that the copy's begins after the lock is held, and sees all before it.
    """
    connection = extensions.connect()
    try:
        extensions.load(connection, (_EXTENSION,))
        _attach(connection, target)
        until = time.monotonic() + patience.total_seconds()
        with in_transaction(connection):
            while not _try_lock(connection):
                progress("waiting for another publication into the same copy")
                if time.monotonic() > until:
                    raise ServingError(f"another process has been bringing {target} up to date for {patience}")
                time.sleep(_PAUSE)
            yield
    finally:
        connection.close()


def _try_lock(connection: duckdb.DuckDBPyConnection) -> bool:
    query = f"select pg_try_advisory_xact_lock({_LOCK})"
    return connection.execute("from postgres_query(?, ?)", [COPY, query]).fetchall() == [(True,)]


def _attach(connection: duckdb.DuckDBPyConnection, target: Target) -> None:
    extensions.load(connection, (_EXTENSION,))
    connection.execute(f"set pg_null_byte_replacement = {literal(_IN_PLACE_OF_NUL)}")
    connection.execute(f"attach {literal(target.postgres or '')} as {COPY} (type postgres)")


def _bring(connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any], target: Target, how: How) -> Published:
    models = list(filter(rows.is_copied_by_rows, rows.served_models(connection, manifest)))
    before = of_copy(connection)
    after = of_warehouse(connection, how.days or (before.days if before else DEFAULT_DAYS))
    if before is None:
        _require_empty(connection, models, target)
        _do(connection, ["create schema if not exists main", "create schema if not exists quality"])
        _do(connection, ddl.create_state())
    elif before.is_as_new_as(after) and not how.whole:
        return Published(str(target), before)
    base = before if before and not how.whole and can_follow(connection, before, after) else None
    done = Published(str(target), after, is_whole=base is None)
    for model in models:
        _table(connection, model, base, after, done)
    if before is None:
        _do(connection, [ddl.report_view()])
    _write_state(connection, after)
    return done


def _require_empty(connection: duckdb.DuckDBPyConnection, models: Iterable[PublishedModel], target: Target) -> None:
    for schema, name in [*((model.schema, model.name) for model in models), ("main", ddl.REPORT_VIEW)]:
        if columns_of(connection, schema, name):
            raise ServingError(
                f"{target} has a table {schema}.{name} that `audit publish` did not make; name another database, or "
                "move that table away"
            )


def _table(
    connection: duckdb.DuckDBPyConnection, model: PublishedModel, base: State | None, after: State, done: Published
) -> None:
    """Bring one table to the state `after`, from `base` or, without one, all of it."""
    name = f"{model.schema}.{model.name}"
    known = columns_of(connection, model.schema, model.name)
    missing = [column.name for column in model.columns if column.name not in known]
    if not known:
        _do(connection, ddl.create(model))
    elif missing:
        _do(connection, ddl.add_columns(model, missing))
    if base is not None and not missing and model.is_table:
        _follow(connection, model, base, after, done)
    else:
        if known:
            _do(connection, [f"delete from {name}"])
        added = _insert(connection, model, rows.all_rows(model, after))
        # The rows of a view are always written again, and tell nothing of what changed.
        if added and model.is_table:
            done.added[name] = added
        if not known:
            _do(connection, ddl.keys(model))


def _follow(
    connection: duckdb.DuckDBPyConnection, model: PublishedModel, base: State, after: State, done: Published
) -> None:
    name = f"{model.schema}.{model.name}"
    too_old = _drop_too_old(connection, model, after) if model.name == FACT_NAME else 0
    removed = added = 0
    if rows.stage_changes(connection, model, base, after):
        if removed := rows.count(connection, -1):
            _delete(connection, model)
        if added := rows.count(connection, 1):
            _insert(connection, model, f"from {rows.CHANGED} where sign = 1")
    rows.drop(connection)
    done.removed |= {name: removed + too_old} if removed + too_old else {}
    done.added |= {name: added} if added else {}


def _drop_too_old(connection: duckdb.DuckDBPyConnection, model: PublishedModel, after: State) -> int:
    """Remove the events from before the days that the copy has now; how many."""
    name, condition = f"{model.schema}.{model.name}", f"not {rows.in_window(model, after)}"
    number = connection.execute(f"select count(*) from {COPY}.{name} where {condition}").fetchall()[0][0]
    if number:
        _do(connection, [f"delete from {name} where {condition}"])
    return number


def _delete(connection: duckdb.DuckDBPyConnection, model: PublishedModel) -> None:
    """Remove the rows that are gone; PostgreSQL finds them by their keys, which it is sent as a table."""
    gone = f"{model.schema}.serving_gone"
    keys = ", ".join(model.grain)
    connection.execute(f"create table {COPY}.{gone} as select {keys} from {rows.CHANGED} where sign = -1")
    matches = rows.matches(model.grain, "kept", "gone")
    _do(
        connection,
        [
            f"delete from {model.schema}.{model.name} as kept using {gone} as gone where {matches}",
            f"drop table {gone}",
        ],
    )
    connection.execute("call pg_clear_cache()")


def _insert(connection: duckdb.DuckDBPyConnection, model: PublishedModel, query: str) -> int:
    statement = f"insert into {COPY}.{model.schema}.{model.name} ({rows.names(model)}) select {ddl.values(model)}"
    return connection.execute(f"{statement} from ({query})").fetchall()[0][0]


def _write_state(connection: duckdb.DuckDBPyConnection, state: State) -> None:
    _do(connection, [f"delete from main.{TABLE}"])
    fields = vars(state)
    marks = ", ".join("?" for _ in fields)
    connection.execute(f"insert into {COPY}.main.{TABLE} ({', '.join(fields)}) values ({marks})", [*fields.values()])


def _do(connection: duckdb.DuckDBPyConnection, statements: Iterable[str]) -> None:
    """Have PostgreSQL itself execute these statements, in the copy's transaction."""
    connection.execute("call postgres_execute(?, ?)", [COPY, ";\n".join(statements)])
    # DuckDB does not see what PostgreSQL made.
    connection.execute("call pg_clear_cache()")
