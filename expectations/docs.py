"""Writes runs into the data docs, out of what the warehouse has of them: after their transaction, never before.

Great Expectations draws the pages and is imported inside; it evaluates nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from expectations import conformance
from expectations.docs_site import DocsSite
from expectations.late_imports import put_off
from expectations.results import ExpectationResult
from expectations.runner import SUITES, TITLES, expectations_of
from expectations.tolerances import load_tolerances

if TYPE_CHECKING:
    from decimal import Decimal

    from expectations.docs_runs import Level, SuiteSummary
    from expectations.evaluation import Evaluation
    from expectations.rules import Rule

_PURPOSES = {
    "feed_contract": "What the sources sent. It warns and reports; it never keeps a batch from being published.",
    conformance.NAME: "What is about to be published. Every failure keeps the batch from being published.",
}


@dataclass(frozen=True)
class CheckedRun:
    """A run as the warehouse has it: when it started (aware), whether it published, and what its checks found."""

    run_id: str
    run_time: datetime
    published: bool
    results: Sequence[ExpectationResult]


def write(site: DocsSite, runs: Sequence[CheckedRun], rules: Mapping[str, Sequence[Rule]], keep_runs: int) -> None:
    """Put up the pages of these runs, the front page and the history.

    Args:
        site: one process at a time may write it; any may read.
        runs: those to put up, the oldest first.
        rules: each suite's rules, by its name; a result of a rule that is none of them is in the summary only.
        keep_runs: how many runs' pages the site keeps, at least 1.

    Raises:
        OSError: if the site cannot be written.
        TolerancesError: the tolerances file is wrong.
        ValueError: `keep_runs` is below 1.
    """
    if keep_runs < 1:
        raise ValueError(f"keep_runs is {keep_runs}; it must be at least 1")
    put_off()
    tolerances = load_tolerances(rules["feed_contract"])
    for run in runs:
        _write(site, run, rules, tolerances, keep_runs)


def _write(
    site: DocsSite,
    run: CheckedRun,
    rules: Mapping[str, Sequence[Rule]],
    tolerances: Mapping[str, Decimal],
    keep_runs: int,
) -> None:
    from expectations.docs_pages import result_page
    from expectations.docs_runs import summarise

    shown: dict[str, list[tuple[Evaluation, Level]]] = {}
    suites: list[SuiteSummary] = []
    for suite in SUITES:
        results = [result for result in run.results if result.suite == suite]
        if results:
            site.write_suite_page(suite, _suite_page(suite, tuple(rules[suite]), tuple(tolerances.items())))
            shown[suite] = _evaluations(suite, rules[suite], tolerances, results)
            suites.append(_summary(suite, results))
    summary = summarise(run.run_id, run.run_time, tuple(suites), published=run.published)
    site.publish(summary, result_page(summary, TITLES, shown), keep_runs)


def _level(result: ExpectationResult) -> Level:
    return "passed" if result.success else result.severity


def _summary(suite: str, results: Sequence[ExpectationResult]) -> SuiteSummary:
    from expectations.docs_runs import LEVELS, Found, SuiteSummary

    failed = [
        Found(result.title, _level(result), result.unexpected_count, result.evaluated_count)
        for result in sorted(results, key=lambda result: LEVELS.index(_level(result)))
        if not result.success
    ]
    return SuiteSummary(suite, len(results) - len(failed), tuple(failed))


def _evaluations(
    suite: str, rules: Sequence[Rule], tolerances: Mapping[str, Decimal], results: Sequence[ExpectationResult]
) -> list[tuple[Evaluation, Level]]:
    """The results as Great Expectations would have given them, in the order of their rules."""
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult

    from expectations.evaluation import Evaluation

    by_rule = {result.expectation: result for result in results}
    found: list[tuple[Evaluation, Level]] = []
    for rule, expectation in zip(rules, expectations_of(suite, rules, tolerances), strict=True):
        if result := by_rule.get(rule.id):
            shown = ExpectationValidationResult(
                success=result.success, expectation_config=expectation.configuration, result={}, meta={},
                exception_info={"raised_exception": False, "exception_message": None, "exception_traceback": None},
            )  # fmt: skip
            sample = tuple(json.dumps(item, ensure_ascii=False) for item in json.loads(result.sample))
            evaluation = Evaluation(rule, result.evaluated_count, result.unexpected_count, sample, shown)
            found.append((evaluation, _level(result)))
    return found


@cache
def _suite_page(suite: str, rules: tuple[Rule, ...], tolerances: tuple[tuple[str, Decimal], ...]) -> str:
    from expectations.docs_pages import suite_page

    return suite_page(suite, _PURPOSES[suite], expectations_of(suite, rules, dict(tolerances)))
