"""Evaluates a suite's rules on the batch: Great Expectations counts, and only failed rules are looked at again.

Imports Great Expectations through the session it is given.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb

from expectations.results import ExpectationNotEvaluated
from expectations.rules import Rule, UnexpectedRows

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

    from expectations.gx_session import Session

SAMPLE_SIZE = 5
_SAMPLE_TEXT = 200


@dataclass(frozen=True)
class Evaluation:
    """What came of one rule.

    Attributes:
        rule: the rule.
        evaluated: how many items were judged.
        unexpected: how many of them were unexpected.
        sample: at most `SAMPLE_SIZE` of the unexpected items, as JSON object texts.
        gx_result: Great Expectations' own result, for its renderers.
    """

    rule: Rule
    evaluated: int
    unexpected: int
    sample: tuple[str, ...]
    gx_result: Any

    @property
    def success(self) -> bool:
        """True only if nothing was unexpected."""
        return self.unexpected == 0


def evaluate(
    session: Session,
    cursor: duckdb.DuckDBPyConnection,
    suite: str,
    rules: Sequence[tuple[Rule, Expectation]],
) -> list[Evaluation]:
    """Evaluate every rule, in the order given.

    Raises:
        ExpectationNotEvaluated: an expectation could not be evaluated.
    """
    found: dict[str, Evaluation] = {}
    for relation in dict.fromkeys(rule.relation for rule, _ in rules):
        judged = [(rule, expectation) for rule, expectation in rules if rule.relation == relation]
        try:
            evaluations = _evaluate_on(session, cursor, relation, judged)
        except ExpectationNotEvaluated:
            raise
        except Exception as error:
            raise ExpectationNotEvaluated(f"{suite} could not be evaluated on {relation}: {error}") from error
        found |= {evaluation.rule.id: evaluation for evaluation in evaluations}
    return [found[rule.id] for rule, _ in rules]


def _evaluate_on(
    session: Session,
    cursor: duckdb.DuckDBPyConnection,
    relation: str,
    rules: Sequence[tuple[Rule, Expectation]],
) -> list[Evaluation]:
    results: dict[str, Any] = {}
    for result in session.validate(relation, [expectation for _, expectation in rules]):
        assert result.expectation_config is not None
        results[result.expectation_config.meta["id"]] = result
    counts = _row_rule_counts(cursor, relation, [rule for rule, _ in rules])
    return [_evaluation(cursor, rule, results[rule.id], counts.get(rule.id)) for rule, _ in rules]


def _row_rule_counts(cursor: duckdb.DuckDBPyConnection, relation: str, rules: list[Rule]) -> dict[str, int]:
    """How many items each rule judges whose query is no condition on single rows, in one scan."""
    queries = {
        rule.id: rule.check.evaluated
        for rule in rules
        if isinstance(rule.check, UnexpectedRows) and not rule.check.predicate
    }
    if not queries:
        return {}
    # The first count makes one row of them where none of the others is an aggregate.
    row = cursor.execute(f"select count(*), {', '.join(queries.values())} from {relation}").fetchone()
    return dict(zip(queries, (row or ())[1:], strict=True))


def _evaluation(cursor: duckdb.DuckDBPyConnection, rule: Rule, result: Any, row_rule_count: int | None) -> Evaluation:
    _refuse_exceptions(rule, result.exception_info)
    counted = result.result
    if "evaluated" in counted:
        unexpected, evaluated = counted["observed_value"], counted["evaluated"]
    elif row_rule_count is None:
        unexpected = counted["unexpected_count"] or 0
        evaluated = counted["element_count"] - (counted.get("missing_count") or 0)
    else:
        unexpected, evaluated = counted["observed_value"], row_rule_count
    sample = _sample(cursor, rule) if unexpected else ()
    return Evaluation(rule, int(evaluated), int(unexpected), sample, result)


def _refuse_exceptions(rule: Rule, info: dict[str, Any]) -> None:
    # GX gives either one exception's fields or a dictionary of them, by the metric that raised.
    for item in [info] if "raised_exception" in info else info.values():
        if item["raised_exception"]:
            raise ExpectationNotEvaluated(
                f"the expectation {rule.id} could not be evaluated: {item['exception_message']}"
            )


def _sample(cursor: duckdb.DuckDBPyConnection, rule: Rule) -> tuple[str, ...]:
    # Ordered, so that the same batch gives the same sample.
    cursor.execute(f"select * from ({rule.unexpected_query}) order by all limit {SAMPLE_SIZE}")
    names = [column[0] for column in cursor.description or ()]
    return tuple(
        json.dumps(dict(zip(names, map(_readable, row), strict=True)), ensure_ascii=False) for row in cursor.fetchall()
    )


def _readable(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | list):
        return value
    if isinstance(value, datetime):
        return value.isoformat() + ("" if value.tzinfo else "Z")
    text = str(value)
    return text if len(text) <= _SAMPLE_TEXT else text[:_SAMPLE_TEXT] + "…"
