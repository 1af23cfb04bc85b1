"""Rules as Great Expectations' expectations. Imports Great Expectations: import late."""

from __future__ import annotations

import html
import re
from typing import Any, ClassVar

import great_expectations.expectations as gxe
from great_expectations.compatibility import pydantic
from great_expectations.expectations.expectation import Expectation

from expectations.rules import InSet, NotNull, Rule, Unique

# What SQLAlchemy's text() would take for a bind parameter: a colon before a word.
_BIND_PARAMETER = re.compile(r"(?<![:\w\\]):(?=\w)")


class ExpectNoUnexpectedRows(gxe.UnexpectedRowsExpectation):
    """GX's expectation that a query returns no row, evaluated by counting alone.

    GX's own runs the query a second time for its rows, and warns on stdout when the query names its
    relation itself instead of leaving it to GX.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.row_count",)

    @pydantic.validator("unexpected_rows_query")
    def _validate_query(cls, query: Any) -> Any:
        return query

    def _validate(self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None) -> dict:
        count = metrics["unexpected_rows_query.row_count"]
        return {"success": count == 0, "result": {"observed_value": count}}


def to_expectation(rule: Rule, *, blocking: bool, policy: str) -> Expectation:
    """The rule as an expectation; `policy` says in a sentence what a failure means."""
    # GX puts both texts into its pages as they are.
    title, why = html.escape(rule.title, quote=False), html.escape(rule.why, quote=False)
    about: dict[str, Any] = {
        "description": f"<strong>{title}</strong>\n{why}",
        "notes": [f"`{rule.id}`: {policy}", f"    {rule.unexpected_query}"],
        "meta": {"id": rule.id},
        "severity": "critical" if blocking else "warning",
    }
    check = rule.check
    if isinstance(check, NotNull):
        return gxe.ExpectColumnValuesToNotBeNull(column=check.column, **about)
    if isinstance(check, InSet):
        return gxe.ExpectColumnValuesToBeInSet(column=check.column, value_set=list(check.values), **about)
    if isinstance(check, Unique):
        return gxe.ExpectColumnValuesToBeUnique(column=check.column, **about)
    return ExpectNoUnexpectedRows(unexpected_rows_query=_literal(check.query), **about)


def _literal(query: str) -> str:
    """`query` so that neither GX's str.format nor SQLAlchemy's text() reads anything into it."""
    return _BIND_PARAMETER.sub(r"\:", query.replace("{", "{{").replace("}", "}}"))
