"""Validates a staged batch: the one entry point of this package. Great Expectations is imported inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from expectations import conformance, feed_contract
from expectations.late_imports import put_off
from expectations.results import ExpectationNotEvaluated, ExpectationResult, Severity
from expectations.rules import RUN_CONTEXT, Rule
from expectations.tolerances import load_tolerances, policy, severity

if TYPE_CHECKING:
    from decimal import Decimal

    import duckdb
    from great_expectations.expectations.expectation import Expectation

    from expectations.docs_runs import Level
    from expectations.evaluation import Evaluation
    from expectations.gx_session import Session

SUITES = (feed_contract.NAME, conformance.NAME)

TITLES = {
    feed_contract.NAME: "What the sources sent",
    conformance.NAME: "What was about to be published",
}
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
    event_id_key_sql: str,
    docs_dir: Path,
    keep_runs: int,
    warn: Callable[[str], None],
) -> list[ExpectationResult]:
    """Evaluate the suites on the batch that is staged in `work`, and write the run into the data docs.

    Data docs that cannot be written change no result: `warn` is called with what is wrong, and what to do.

    Args:
        connection: open, with `work` (the staged batch) and `audit` (the published warehouse) attached. Only
            cursors of it are used, so the batch must be committed.
        run_id: the pipeline run, as it is shown in the data docs; one call for each.
        run_time: when the run started; a time without a zone is UTC.
        suites: names out of `SUITES`.
        record_sha256_sql: the warehouse's SQL expression for the hash of a row of `fact_activity_event`.
        event_id_key_sql: its SQL expression for the key of `event_id` in `quality.known_event_id`.
        docs_dir: the folder of the data docs site. One process at a time may write it; any may read.
        keep_runs: how many runs' pages the site keeps, at least 1.
        warn: called at most once, with a sentence or two.

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
    try:
        _write_docs(docs_dir, run_id, run_time, judged, tolerances, keep_runs)
    except OSError as error:
        warn(
            f"the data docs have no page of this run, because {error.filename or docs_dir} cannot be written: "
            f"{error.strerror or error}; the results are in quality.validation_result, and the next run that can write "
            "there has its page again"
        )
    return [_result(run_id, suite, *item) for suite, found in judged.items() for item in found]


def _rules(cursor: duckdb.DuckDBPyConnection, suite: str, record_sha256_sql: str, event_id_key_sql: str) -> list[Rule]:
    if suite == feed_contract.NAME:
        return feed_contract.rules()
    rows = cursor.execute(f"select future_tolerance_seconds from {RUN_CONTEXT}").fetchall()
    if len(rows) != 1 or rows[0][0] is None:
        raise ExpectationNotEvaluated(f"{RUN_CONTEXT} must hold the run's one row; it holds {rows}")
    return conformance.rules(
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

    expectations = _expectations(suite, rules, tolerances)
    evaluations = evaluate(session, cursor, suite, list(zip(rules, expectations, strict=True)))
    tolerated = {} if suite == conformance.NAME else tolerances
    return [(found, severity(found.rule, tolerated, found.evaluated, found.unexpected)) for found in evaluations]


def _expectations(suite: str, rules: Sequence[Rule], tolerances: Mapping[str, Decimal]) -> list[Expectation]:
    from expectations.gx_expectations import to_expectation

    blocking = suite == conformance.NAME
    return [
        to_expectation(rule, blocking=blocking, policy=policy(rule, tolerances, blocking=blocking)) for rule in rules
    ]


def _write_docs(
    docs_dir: Path,
    run_id: str,
    run_time: datetime,
    judged: Mapping[str, Sequence[tuple[Evaluation, Severity]]],
    tolerances: Mapping[str, Decimal],
    keep_runs: int,
) -> None:
    from expectations.docs_pages import result_page
    from expectations.docs_runs import LEVELS, Found, SuiteSummary, summarise
    from expectations.docs_site import DocsSite

    site = DocsSite(docs_dir, TITLES)
    shown: dict[str, list[tuple[Evaluation, Level]]] = {
        suite: [(evaluation, "passed" if evaluation.success else level) for evaluation, level in found]
        for suite, found in judged.items()
    }
    suites = []
    for suite, found in shown.items():
        rules = tuple(evaluation.rule for evaluation, _ in found)
        site.write_suite_page(suite, _suite_page(suite, rules, tuple(tolerances.items())))
        failed = [
            Found(evaluation.rule.title, level, evaluation.unexpected, evaluation.evaluated)
            for evaluation, level in sorted(found, key=lambda item: LEVELS.index(item[1]))
            if not evaluation.success
        ]
        suites.append(SuiteSummary(suite, len(found) - len(failed), tuple(failed)))
    summary = summarise(run_id, run_time, tuple(suites))
    site.publish(summary, result_page(summary, TITLES, shown), keep_runs)


@cache
def _suite_page(suite: str, rules: tuple[Rule, ...], tolerances: tuple[tuple[str, Decimal], ...]) -> str:
    from expectations.docs_pages import suite_page

    return suite_page(suite, _PURPOSES[suite], _expectations(suite, rules, dict(tolerances)))


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
