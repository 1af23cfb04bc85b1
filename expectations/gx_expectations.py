"""Rules as Great Expectations' expectations. Imports Great Expectations: import late."""

from __future__ import annotations

import html
import re
from typing import Any, ClassVar

import great_expectations.expectations as gxe
import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.metrics.metric_provider import metric_partial
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from expectations.rules import InSet, NotNull, Rule, Unique

# What SQLAlchemy's text() would take for a bind parameter: a colon before a word.
_BIND_PARAMETER = re.compile(r"(?<![:\w\\]):(?=\w)")


class ExpectNoUnexpectedRows(gxe.UnexpectedRowsExpectation):
    """GX's expectation that a query returns no row, evaluated by counting alone.

    GX's own runs the query a second time for its rows.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.row_count",)

    def _validate(self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None) -> dict:
        count = metrics["unexpected_rows_query.row_count"]
        return {"success": count == 0, "result": {"observed_value": count}}


class RowsCounted(TableMetricProvider):
    """How many rows are unexpected and how many are judged, as an aggregate: GX has those of all rules in one scan."""

    metric_name = "table.rows_counted"
    value_keys = ("predicate", "evaluated")

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls,
        execution_engine: Any,
        metric_domain_kwargs: dict,
        metric_value_kwargs: dict,
        metrics: dict,
        runtime_configuration: dict,
    ) -> tuple[Any, dict, dict]:
        counts = f"[count(*) filter (where {metric_value_kwargs['predicate']}), {metric_value_kwargs['evaluated']}]"
        return sa.literal_column(counts), metric_domain_kwargs, {}


class ExpectNoUnexpectedRow(ExpectNoUnexpectedRows):
    """The same of a query of single rows, whose condition is `predicate`: counted with all others in one scan."""

    predicate: str
    evaluated: str
    metric_dependencies: ClassVar[tuple[str, ...]] = (RowsCounted.metric_name,)
    success_keys: ClassVar[tuple[str, ...]] = ("predicate", "evaluated")

    def _validate(self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None) -> dict:
        unexpected, evaluated = metrics[RowsCounted.metric_name]
        return {"success": unexpected == 0, "result": {"observed_value": unexpected, "evaluated": evaluated}}


def to_expectation(rule: Rule, *, blocking: bool, policy: str, plain: bool = False) -> Expectation:
    """The rule as an expectation; `policy` says in a sentence what a failure means.

    With `plain` it is of GX's own classes, for where this product is not installed.
    """
    # GX puts both texts into its pages as they are.
    title, why = html.escape(rule.title, quote=False), html.escape(rule.why, quote=False)
    about: dict[str, Any] = {
        "description": f"<strong>{title}</strong>\n{why}",
        "notes": [f"`{rule.id}`: {policy}", f"    {rule.unexpected_query}"],
        "meta": {"id": rule.id, "relation": rule.relation},
        "severity": "critical" if blocking else "warning",
    }
    check = rule.check
    if isinstance(check, NotNull):
        return gxe.ExpectColumnValuesToNotBeNull(column=check.column, **about)
    if isinstance(check, InSet):
        return gxe.ExpectColumnValuesToBeInSet(column=check.column, value_set=list(check.values), **about)
    if isinstance(check, Unique):
        return gxe.ExpectColumnValuesToBeUnique(column=check.column, **about)
    about["unexpected_rows_query"] = _of_batch(check.query, rule.relation)
    if plain:
        return gxe.UnexpectedRowsExpectation(**about)
    if check.predicate:
        return ExpectNoUnexpectedRow(predicate=check.predicate, evaluated=check.evaluated, **about)
    return ExpectNoUnexpectedRows(**about)


def _of_batch(query: str, relation: str) -> str:
    """`query` on the batch it is asked of; str.format and SQLAlchemy's text() read nothing else into it."""
    escaped = _BIND_PARAMETER.sub(r"\:", query.replace("{", "{{").replace("}", "}}"))
    return escaped.replace(relation, "{batch}")
