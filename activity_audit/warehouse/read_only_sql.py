"""Allows only SQL that reads the warehouse, decided on DuckDB's own parse and lists of what is allowed.

What DuckDB cannot hand over as a parse, what is unknown here and what is not on a list is refused.
"""

from __future__ import annotations

import json
import re
from typing import Any

import duckdb

from activity_audit.warehouse.lake import ALIAS
from activity_audit.warehouse.sql_functions import SCALARS, SYSTEM_VIEWS, TABLES

# What DuckDB gives no parse of, though a query is all that it explains (and, with `analyze`, runs).
_OPTION = r"\s*(?:analyze|format\s+[a-z]+)\s*"
_EXPLAIN = re.compile(
    rf"\A\s*explain\s+(?P<analyze>analyze\s+)?(?:\((?P<options>{_OPTION}(?:,{_OPTION})*)\)\s*)?(?P<query>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_EXPRESSIONS = """
    BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT DEFAULT FUNCTION LAMBDA OPERATOR PARAMETER
    POSITIONAL_REFERENCE STAR SUBQUERY WINDOW
"""
_NODES = """
    SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE
    DISTINCT_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER ORDER_MODIFIER ORDER_DEFAULT ASCENDING DESCENDING
    BASE_TABLE EMPTY EXPRESSION_LIST JOIN PIVOT SHOW_REF SUBQUERY TABLE_FUNCTION
"""
# What `show` lists by name; `show tables from` has none.
_SHOWN = frozenset(["", "__show_tables_expanded", '"databases"', '"schemas"', '"tables"'])
_ONE_QUERY = "only one query can be asked, and only one that reads: a SELECT"


class NotReadingError(ValueError):
    """The SQL is not one query that only reads the warehouse; the message says why."""


def reading(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The one statement that `sql` is, to be executed as it is, if it does nothing but read the attached warehouse.

    Raises:
        NotReadingError: if it is not one query, or calls or reads what is not known to be harmless.
        duckdb.Error: if it cannot be parsed.
    """
    explained = _EXPLAIN.match(sql)
    query = explained["query"] if explained else sql
    _Check(connection).all_of(_parsed(connection, query))
    if explained:
        # Put together here, so that nothing is explained that was not looked at.
        sql, expected = f"{_explain(explained)} {query}", duckdb.StatementType.EXPLAIN
    else:
        expected = duckdb.StatementType.SELECT
    statements = connection.extract_statements(sql)
    if [statement.type for statement in statements] != [expected]:
        raise NotReadingError(_ONE_QUERY)
    return statements[0]


def _explain(explained: re.Match[str]) -> str:
    options = [option.strip() for option in (explained["options"] or "").split(",") if option.strip()]
    if explained["analyze"]:
        options.append("analyze")
    return f"explain ({', '.join(options or ['format text'])})"


def _parsed(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    """DuckDB's parse of a query."""
    (text,) = connection.execute("select json_serialize_sql(?)", [query]).fetchall()[0]
    try:
        parsed = json.loads(text)
    except RecursionError:
        raise NotReadingError("the query is nested too deep; ask it in smaller parts") from None
    if parsed["error"]:
        # Says where SQL is wrong.
        connection.extract_statements(query)
        raise NotReadingError(_ONE_QUERY)
    if len(parsed["statements"]) != 1:
        raise NotReadingError(_ONE_QUERY)
    return parsed["statements"][0]


class _Check:
    """Looks at every part of a parse. What a query before it (`with`) is named, a part may take for a table."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._known: set[tuple[str, str]] | None = None
        self._left: list[tuple[Any, frozenset[str]]] = []

    def all_of(self, parsed: Any) -> None:
        """Raises NotReadingError if anything in it is not allowed. (A loop: a query may nest deeper than Python.)"""
        self._left = [(parsed, frozenset())]
        while self._left:
            part, named = self._left.pop()
            if isinstance(part, dict):
                self._part(part, named)
            elif isinstance(part, list):
                self._left += [(item, named) for item in part]

    def _part(self, part: dict[str, Any], named: frozenset[str]) -> None:
        kind = part.get("class", part.get("type"))
        if "class" in part:
            _require(kind in _EXPRESSIONS.split(), kind)
        elif isinstance(kind, str):
            _require(kind in _NODES.split() or kind.endswith("_TYPE_INFO"), kind)
        if "function_name" in part:
            _allow_function(part, SCALARS)
        if "class" not in part and kind == "BASE_TABLE":
            self._table(part, named)
        elif kind == "SHOW_REF":
            _require(part["table_name"] in _SHOWN, f"SHOW {part['table_name']}")
        elif kind == "TABLE_FUNCTION":
            _require(part["function"]["class"] == "FUNCTION", part["function"]["class"])
            _allow_function(part["function"], TABLES)
            part = {**part, "function": part["function"]["children"]}
        elif kind == "RECURSIVE_CTE_NODE":
            self._left.append((part["right"], named | {part["cte_name"].lower()}))
            part = {**part, "right": None}
        if "cte_map" in part:
            for query in part["cte_map"]["map"]:
                self._left.append((query["value"], named))
                named |= {query["key"].lower()}
        self._left += [(item, named) for name, item in part.items() if name != "cte_map"]

    def _table(self, table: dict[str, Any], named: frozenset[str]) -> None:
        """A file, a variable of Python or another database's table also stands where a table does."""
        place = [part.lower() for part in (table["catalog_name"], table["schema_name"]) if part]
        name = table["table_name"].lower()
        if not place and not table["at_clause"] and name in named:
            return
        if place in ([], ["main"], ["information_schema"], ["pg_catalog"]) and name in SYSTEM_VIEWS:
            return
        if place[:1] == [ALIAS]:
            place = place[1:]
        if len(place) > 1 or ("".join(place) or "main", name) not in self._tables():
            written = ".".join(
                part for part in (table["catalog_name"], table["schema_name"], table["table_name"]) if part
            )
            raise NotReadingError(f"the warehouse has no table or view {written}; `show all tables` lists those it has")

    def _tables(self) -> set[tuple[str, str]]:
        """The schema and the name of all that the warehouse has."""
        if self._known is None:
            query = "select distinct schema_name, table_name from duckdb_columns() where database_name = ?"
            found = self._connection.execute(query, [ALIAS]).fetchall()
            self._known = {(schema.lower(), name.lower()) for schema, name in found}
        return self._known


def _allow_function(call: dict[str, Any], allowed: frozenset[str]) -> None:
    name = call["function_name"]
    if name.lower() not in allowed:
        raise NotReadingError(
            f"a query may not call the function {name}: it can do more than read the warehouse, or it does not exist"
        )


def _require(allowed: bool, what: Any) -> None:
    if not allowed:
        raise NotReadingError(f"the query has a part that may do more than read: {what}")
