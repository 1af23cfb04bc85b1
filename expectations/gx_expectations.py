"""Rules as Great Expectations' expectations. Imports Great Expectations: import late."""

from __future__ import annotations

import html
import logging
import re
from abc import ABC
from typing import Any, ClassVar

import great_expectations.expectations as gxe
import sqlalchemy as sa
from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics.metric_provider import metric_partial
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from expectations.rules import InSet, NotNull, Rule, Unique

# What SQLAlchemy's text() would take for a bind parameter: a colon before a word.
_BIND_PARAMETER = re.compile(r"(?<![:\w\\]):(?=\w)")
_REGISTRY = logging.getLogger("great_expectations.expectations.registry")


class _Configured(Expectation, ABC):
    """An expectation that keeps its configuration, which GX's own works out each of the fifty times that GX asks it."""

    _configuration: ExpectationConfiguration | None = pydantic.PrivateAttr(default=None)

    @property
    def configuration(self) -> ExpectationConfiguration:
        """As GX's own; an expectation does not change once it is made."""
        if self._configuration is None:
            self._configuration = super().configuration
        return self._configuration


# In place of GX's own, under their names, by which its renderers know them; it would warn of each one.
_REGISTRY.disabled = True


class ExpectColumnValuesToNotBeNull(_Configured, gxe.ExpectColumnValuesToNotBeNull):
    """GX's own, which keeps its configuration."""


class ExpectColumnValuesToBeInSet(_Configured, gxe.ExpectColumnValuesToBeInSet):
    """GX's own, which keeps its configuration."""


class ExpectColumnValuesToBeUnique(_Configured, gxe.ExpectColumnValuesToBeUnique):
    """GX's own, which keeps its configuration."""


_REGISTRY.disabled = False


class ExpectNoUnexpectedRows(_Configured, gxe.UnexpectedRowsExpectation):
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
        return ExpectColumnValuesToNotBeNull(column=check.column, **about)
    if isinstance(check, InSet):
        return ExpectColumnValuesToBeInSet(column=check.column, value_set=list(check.values), **about)
    if isinstance(check, Unique):
        return ExpectColumnValuesToBeUnique(column=check.column, **about)
    if check.predicate:
        return ExpectNoUnexpectedRow(
            unexpected_rows_query=_literal(check.query), predicate=check.predicate, evaluated=check.evaluated, **about
        )
    return ExpectNoUnexpectedRows(unexpected_rows_query=_literal(check.query), **about)


def _literal(query: str) -> str:
    """`query` so that neither GX's str.format nor SQLAlchemy's text() reads anything into it."""
    return _BIND_PARAMETER.sub(r"\:", query.replace("{", "{{").replace("}", "}}"))
