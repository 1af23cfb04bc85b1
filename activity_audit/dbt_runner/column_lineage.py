"""Column lineage of the dbt models, read out of their compiled SQL: which parent columns each column comes from.

It is worked out once for each version of the dbt project, after a build (which compiles the SQL and knows every
relation's columns), and kept beside dbt's manifest for Dagster to show.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import duckdb
from pydantic import TypeAdapter

from activity_audit.base.files import rewrite
from activity_audit.dbt_runner.project import target_dir

_DIALECT = "duckdb"

# {unique id of a model: {column: [[unique id of a parent, its column], ...]}}
Lineage = dict[str, dict[str, list[list[str]]]]


def load() -> Lineage:
    """The lineage that was worked out last; empty before the first build of this version of the project."""
    return _read() or {}


def refresh(connection: duckdb.DuckDBPyConnection, compiled_manifest: Path) -> None:
    """Work the lineage out from a build's manifest."""
    nodes = json.loads(compiled_manifest.read_text(encoding="utf-8"))["nodes"]
    lineage = of_models(nodes, _schema(connection))
    try:
        rewrite(_file(), json.dumps(lineage))
    except OSError as error:
        # It is for Dagster's pages; the next run works it out again.
        logging.getLogger(__name__).warning("the column lineage cannot be kept in %s: %s", _file(), error.strerror)


def of_models(nodes: dict[str, Any], schema: dict[str, Any]) -> Lineage:
    """The lineage of every model among dbt's compiled `nodes`; `schema` is sqlglot's nested mapping of columns.

    Where sqlglot does not understand a model's SQL, that model has no lineage; that is logged and harms nothing.
    """
    from sqlglot.errors import SqlglotError

    relations = {_plain(node["relation_name"]): key for key, node in nodes.items() if node.get("relation_name")}
    # A source of what was published before is the same model, at an earlier time.
    relations |= {name.replace("work.", "audit.", 1): key for name, key in relations.items()}
    lineage: Lineage = {}
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    for key, node in nodes.items():
        if node["resource_type"] != "model" or not node.get("compiled_code"):
            continue
        try:
            lineage[key] = _of_model(node, schema, relations)
        except (SqlglotError, ValueError) as error:
            logging.getLogger(__name__).info("no column lineage for %s: %s", key, error)
    return lineage


def _of_model(node: dict[str, Any], schema: dict[str, Any], relations: dict[str, str]) -> dict[str, list[list[str]]]:
    from sqlglot import exp
    from sqlglot.lineage import lineage

    found: dict[str, list[list[str]]] = {}
    for column, root in lineage(None, node["compiled_code"], schema, dialect=_DIALECT).items():
        parents = {
            (relations[name], leaf.name.rsplit(".", 1)[-1].strip('"'))
            for leaf in root.walk()
            if not leaf.downstream and isinstance(leaf.expression, exp.Table)
            for name in [_plain(".".join(part.name for part in leaf.expression.parts))]
            if name in relations
        }
        if parents:
            found[column] = [list(parent) for parent in sorted(parents)]
    return found


def _schema(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    query = "select database_name, schema_name, table_name, column_name, data_type from duckdb_columns()"
    for database, schema_name, table, column, data_type in connection.execute(query).fetchall():
        if database in ("work", "audit"):
            schema.setdefault(database, {}).setdefault(schema_name, {}).setdefault(table, {})[column] = data_type
    return schema


def _plain(relation: str) -> str:
    return relation.replace('"', "").lower()


def is_current() -> bool:
    """Whether the lineage was worked out for this version of the project, and can be read."""
    return _read() is not None


def _read() -> Lineage | None:
    try:
        return TypeAdapter(Lineage).validate_json(_file().read_bytes())
    except (OSError, ValueError):
        return None


def _file() -> Path:
    return target_dir() / "column_lineage.json"
