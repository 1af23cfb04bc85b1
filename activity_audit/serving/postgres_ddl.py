"""The tables of a serving copy in PostgreSQL: types, keys, indexes and comments, as BI tools like them.

Times are `timestamp` without a zone, as in the warehouse: a type with one is shifted by every client to its own zone.
"""

from __future__ import annotations

from collections.abc import Sequence

from activity_audit.base.sql_text import literal
from activity_audit.base.vocabulary import FACT_NAME
from activity_audit.serving.state import COLUMNS, DESCRIPTION, TABLE
from activity_audit.warehouse.contract import Column, PublishedModel
from activity_audit.warehouse.events.columns import COLUMNS as REPORT
from activity_audit.warehouse.tables import quoted

_LIST = "varchar[]"
_TYPES = {
    "varchar": "text",
    "bigint": "bigint",
    "boolean": "boolean",
    "timestamp": "timestamp",
    "date": "date",
    "blob": "bytea",
    # Power BI and Tableau have no type for a list.
    _LIST: "text",
}
# What a source sends may be longer than an index of PostgreSQL takes, so these are in no key; a hash is always short.
_UNBOUNDED = ("application", "entity", "activity", "event_id")
_INDEXES = {FACT_NAME: ("event_time_utc", "entity_activity_key"), "dim_entity_activity": ("application",)}
REPORT_VIEW = "activity_audit_report"


def create(model: PublishedModel) -> list[str]:
    """The statements that make a table; its keys come when it is filled."""
    return _create(_name(model), model.columns, model.description)


def create_state() -> list[str]:
    """The statements that make the table that tells what the copy is of."""
    return _create(f"main.{TABLE}", COLUMNS, DESCRIPTION)


def add_columns(model: PublishedModel, missing: Sequence[str]) -> list[str]:
    """The statements that give a table the columns that a newer release brought."""
    return [
        f"alter table {_name(model)} add column {quoted(column.name)} {_TYPES[column.data_type]}"
        for column in model.columns
        if column.name in missing
    ] + _comments(_name(model), [column for column in model.columns if column.name in missing])


def keys(model: PublishedModel) -> list[str]:
    """The statements that make the primary key and the indexes of a new table."""
    bounded = [column for column in model.grain if column not in _UNBOUNDED]
    statements = []
    if bounded == list(model.grain):
        statements.append(f"alter table {_name(model)} add primary key ({', '.join(map(quoted, bounded))})")
    elif bounded:
        statements.append(f"create index on {_name(model)} ({', '.join(map(quoted, bounded))})")
    else:
        statements.append(f"create index on {_name(model)} using hash ({quoted(model.grain[0])})")
    for column in _INDEXES.get(model.name, ()):
        how = " using hash" if column in _UNBOUNDED else ""
        statements.append(f"create index on {_name(model)}{how} ({quoted(column)})")
    return statements


def report_view() -> str:
    """The statement that makes the report's view over the events that are copied."""
    columns = ", ".join(f"{quoted(column.field)} as {quoted(column.title)}" for column in REPORT)
    return f"create or replace view main.{REPORT_VIEW} as select {columns} from main.{FACT_NAME}"


def values(model: PublishedModel) -> str:
    """The columns of a row of the warehouse as PostgreSQL gets them, in the order of `names`."""
    return ", ".join(
        f"array_to_string({quoted(column.name)}, ', ')" if column.data_type == _LIST else quoted(column.name)
        for column in model.columns
    )


def _name(model: PublishedModel) -> str:
    return f"{model.schema}.{model.name}"


def _create(name: str, columns: Sequence[Column], description: str) -> list[str]:
    listed = ", ".join(
        f"{quoted(column.name)} {_TYPES[column.data_type]}{' not null' if column.not_null else ''}"
        for column in columns
    )
    return [
        f"create table {name} ({listed})",
        f"comment on table {name} is {literal(description)}",
        *_comments(name, columns),
    ]


def _comments(name: str, columns: Sequence[Column]) -> list[str]:
    return [f"comment on column {name}.{quoted(column.name)} is {literal(column.description)}" for column in columns]
