"""Validates a staged batch: the one entry point of this package. Great Expectations is imported inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from expectations import conformance, feed_contract
from expectations.results import ExpectationNotEvaluated, ExpectationResult
from expectations.rules import RUN_CONTEXT, Rule
from expectations.tolerances import load_tolerances, policy, severity

if TYPE_CHECKING:
    from decimal import Decimal

    import duckdb
    from great_expectations.core.run_identifier import RunIdentifier

    from expectations.docs_index import Level
    from expectations.docs_site import DocsSite
    from expectations.evaluation import Evaluation
    from expectations.gx_session import Session

SUITES = (feed_contract.NAME, conformance.NAME)

_PURPOSES = {
    feed_contract.NAME: "What the sources sent. It warns and reports; it never keeps a batch from being published.",
    conformance.NAME: "What is about to be published. Every failure keeps the batch from being published.",
}


def validate(
    connection: duckdb.DuckDBPyConnection,
    *,
    run_id: str,
    run_time: datetime,
    suites: Sequence[str] = SUITES,
    record_sha256_sql: str,
    docs_dir: Path,
    keep_runs: int,
) -> list[ExpectationResult]:
    """Evaluate the suites on the batch that is staged in `work`, and write the run into the data docs.

    Args:
        connection: open, with `work` (the staged batch) and `audit` (the published warehouse) attached. Only
            cursors of it are used, so the batch must be committed.
        run_id: the pipeline run, as it is shown in the data docs.
        run_time: when the run started; a time without a zone is UTC.
        suites: names out of `SUITES`; a second call for the same run adds its suites to the run's pages.
        record_sha256_sql: the warehouse's SQL expression for the hash of a row of `fact_activity_event`.
        docs_dir: the folder of the data docs site. One process at a time may write it; any may read.
        keep_runs: how many runs' pages the site keeps, at least 1.

    Returns:
        One result per expectation, suites in the order given, expectations in their suite's order.

    Raises:
        ExpectationNotEvaluated: an expectation could not be evaluated, so nothing is known about the batch.
        TolerancesError: the tolerances file is wrong.
        ValueError: an unknown suite, or `keep_runs` below 1.
    """
    unknown = [name for name in suites if name not in SUITES]
    if unknown:
        raise ValueError(f"unknown suites: {', '.join(unknown)}; known are {', '.join(SUITES)}")
    if keep_runs < 1:
        raise ValueError(f"keep_runs is {keep_runs}; it must be at least 1")
    run_time = run_time.replace(tzinfo=UTC) if run_time.tzinfo is None else run_time.astimezone(UTC)
    tolerances = load_tolerances(feed_contract.rules())

    from great_expectations.core.run_identifier import RunIdentifier

    from expectations.docs_site import DocsSite
    from expectations.gx_session import open_session

    run = RunIdentifier(run_name=run_id, run_time=run_time)
    site = DocsSite(docs_dir)
    results: list[ExpectationResult] = []
    cursor = connection.cursor()
    try:
        with open_session(connection) as session:
            for suite in suites:
                rules = _rules(cursor, suite, record_sha256_sql)
                results += _validate_suite(session, cursor, site, run, suite, rules, tolerances)
    finally:
        cursor.close()
    site.publish(run_id, SUITES, keep_runs)
    return results


def _rules(cursor: duckdb.DuckDBPyConnection, suite: str, record_sha256_sql: str) -> list[Rule]:
    if suite == feed_contract.NAME:
        return feed_contract.rules()
    rows = cursor.execute(f"select future_tolerance_seconds from {RUN_CONTEXT}").fetchall()
    if len(rows) != 1 or rows[0][0] is None:
        raise ExpectationNotEvaluated(f"{RUN_CONTEXT} must hold the run's one row; it holds {rows}")
    return conformance.rules(record_sha256_sql=record_sha256_sql, future_tolerance_seconds=rows[0][0])


def _validate_suite(
    session: Session,
    cursor: duckdb.DuckDBPyConnection,
    site: DocsSite,
    run: RunIdentifier,
    suite: str,
    rules: Sequence[Rule],
    tolerances: Mapping[str, Decimal],
) -> list[ExpectationResult]:
    from expectations.docs_index import summarise
    from expectations.docs_pages import result_page, suite_page
    from expectations.evaluation import evaluate
    from expectations.gx_expectations import to_expectation

    blocking = suite == conformance.NAME
    if blocking:
        tolerances = {}
    expectations = [
        to_expectation(rule, blocking=blocking, policy=policy(rule, tolerances, blocking=blocking)) for rule in rules
    ]
    judged = [
        (evaluation, severity(evaluation.rule, tolerances, evaluation.evaluated, evaluation.unexpected))
        for evaluation in evaluate(session, cursor, suite, list(zip(rules, expectations, strict=True)), run)
    ]
    site.write_suite_page(suite, suite_page(suite, _PURPOSES[suite], expectations))
    shown: list[tuple[Evaluation, Level]] = [
        (evaluation, "passed" if evaluation.success else level) for evaluation, level in judged
    ]
    page = site.page_of(run.run_name, suite)
    summary = summarise(run.run_name, run.run_time, suite, page, [level for _, level in shown])
    site.write_result_page(summary, result_page(summary, shown))
    return [
        ExpectationResult(
            run_id=run.run_name,
            suite=suite,
            expectation=evaluation.rule.id,
            title=evaluation.rule.title,
            column=evaluation.rule.check.column,
            severity=level,
            blocking=blocking,
            success=evaluation.success,
            evaluated_count=evaluation.evaluated,
            unexpected_count=evaluation.unexpected,
            sample=f"[{', '.join(evaluation.sample)}]",
            docs_link=page,
        )
        for evaluation, level in judged
    ]
