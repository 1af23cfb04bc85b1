"""Validates a staged batch: the one entry point of this package. Great Expectations is imported inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import duckdb

from activity_audit.base.vocabulary import FACT
from expectations import conformance, feed_contract
from expectations.late_imports import put_off
from expectations.results import ExpectationNotEvaluated, ExpectationResult, Severity
from expectations.rules import RUN_CONTEXT, Rule
from expectations.tolerances import load_tolerances, policy, severity

if TYPE_CHECKING:
    from decimal import Decimal

    from great_expectations.expectations.expectation import Expectation

    from expectations.evaluation import Evaluation
    from expectations.gx_session import Session

SUITES = (feed_contract.NAME, conformance.NAME)

TITLES = {
    feed_contract.NAME: "What the sources sent",
    conformance.NAME: "What was about to be published",
}


def validate(
    connection: duckdb.DuckDBPyConnection,
    *,
    run_id: str,
    suites: Sequence[str] = SUITES,
    record_sha256_sql: str,
    event_id_key_sql: str,
) -> list[ExpectationResult]:
    """Evaluate the suites on the batch that is staged in `work`.

    Args:
        connection: open, with `work` (the staged batch) and `audit` (the published warehouse) attached. Only
            cursors of it are used, so the batch must be committed.
        run_id: the pipeline run; one call for each.
        suites: names out of `SUITES`.
        record_sha256_sql: the warehouse's SQL expression for the hash of a row of `fact_activity_event`.
        event_id_key_sql: its SQL expression for the key of `event_id` in `quality.known_event_id`.

    Returns:
        One result per expectation, suites in the order given, expectations in their suite's order.

    Raises:
        ExpectationNotEvaluated: an expectation could not be evaluated, so nothing is known about the batch.
        TolerancesError: the tolerances file is wrong.
        ValueError: an unknown suite.
    """
    unknown = [name for name in suites if name not in SUITES]
    if unknown:
        raise ValueError(f"unknown suites: {', '.join(unknown)}; known are {', '.join(SUITES)}")
    tolerances = load_tolerances(feed_contract.rules())

    put_off()
    from expectations.gx_session import open_session

    cursor = connection.cursor()
    judged: dict[str, list[tuple[Evaluation, Severity]]] = {}
    try:
        with open_session(connection) as session:
            for suite in suites:
                rules = _rules(cursor, suite, record_sha256_sql, event_id_key_sql)
                judged[suite] = _evaluate(session, cursor, suite, rules, tolerances)
    finally:
        cursor.close()
    return [_result(run_id, suite, *item) for suite, found in judged.items() for item in found]


def _rules(cursor: duckdb.DuckDBPyConnection, suite: str, record_sha256_sql: str, event_id_key_sql: str) -> list[Rule]:
    if suite == feed_contract.NAME:
        return feed_contract.rules()
    rows = cursor.execute(f"select future_tolerance_seconds from {RUN_CONTEXT}").fetchall()
    if len(rows) != 1 or rows[0][0] is None:
        raise ExpectationNotEvaluated(f"{RUN_CONTEXT} must hold the run's one row; it holds {rows}")
    try:
        ((published,),) = cursor.execute(f"select count(*) from {FACT}").fetchall()
    except duckdb.Error as error:
        raise ExpectationNotEvaluated(
            f"the expectation event_id_is_not_published_yet could not be evaluated: {error}"
        ) from error
    return conformance.rules(
        has_history=published > 0,
        record_sha256_sql=record_sha256_sql,
        event_id_key_sql=event_id_key_sql,
        future_tolerance_seconds=rows[0][0],
    )


def _evaluate(
    session: Session,
    cursor: duckdb.DuckDBPyConnection,
    suite: str,
    rules: Sequence[Rule],
    tolerances: Mapping[str, Decimal],
) -> list[tuple[Evaluation, Severity]]:
    from expectations.evaluation import evaluate

    expectations = expectations_of(suite, rules, tolerances)
    evaluations = evaluate(session, cursor, suite, list(zip(rules, expectations, strict=True)))
    tolerated = {} if suite == conformance.NAME else tolerances
    return [(found, severity(found.rule, tolerated, found.evaluated, found.unexpected)) for found in evaluations]


def expectations_of(
    suite: str, rules: Sequence[Rule], tolerances: Mapping[str, Decimal], *, plain: bool = False
) -> list[Expectation]:
    """The rules of a suite as Great Expectations has them; `plain` ones are of its own classes alone."""
    from expectations.gx_expectations import to_expectation

    blocking = suite == conformance.NAME
    return [
        to_expectation(rule, blocking=blocking, policy=policy(rule, tolerances, blocking=blocking), plain=plain)
        for rule in rules
    ]


def _result(run_id: str, suite: str, evaluation: Evaluation, level: Severity) -> ExpectationResult:
    from expectations.docs_site import DocsSite

    return ExpectationResult(
        run_id=run_id,
        suite=suite,
        expectation=evaluation.rule.id,
        title=evaluation.rule.title,
        column=evaluation.rule.check.column,
        severity=level,
        blocking=suite == conformance.NAME,
        success=evaluation.success,
        evaluated_count=evaluation.evaluated,
        unexpected_count=evaluation.unexpected,
        sample=f"[{', '.join(evaluation.sample)}]",
        docs_link=DocsSite.page_of(run_id, suite),
    )
