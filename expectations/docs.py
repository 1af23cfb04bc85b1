"""Writes runs into the data docs, from what the warehouse has of them, after their transaction.

Great Expectations draws the pages and is imported inside; it evaluates nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from expectations import conformance
from expectations.late_imports import put_off
from expectations.results import ExpectationResult
from expectations.runner import TITLES, expectations_of
from expectations.tolerances import load_tolerances

if TYPE_CHECKING:
    from decimal import Decimal

    from expectations.docs_index import Level, RunSummary
    from expectations.docs_site import DocsSite
    from expectations.evaluation import Evaluation
    from expectations.rules import Rule

_PURPOSES = {
    "feed_contract": "What the sources sent. It warns and reports; it never keeps a batch from being published.",
    conformance.NAME: "What is about to be published. Every failure keeps the batch from being published.",
}


def write(
    site: DocsSite, runs: Mapping[RunSummary, Sequence[ExpectationResult]], rules: Mapping[str, Sequence[Rule]]
) -> None:
    """Put up the pages of these runs and of their suites.

    Args:
        site: one process at a time may write it; any may read.
        runs: those to put up, each with its results.
        rules: each suite's rules, by its name; a result of a rule that is none of them is in the summary only.

    Raises:
        OSError: if the site cannot be written.
        TolerancesError: the tolerances file is wrong.
    """
    put_off()
    from expectations.docs_pages import result_page

    tolerances = load_tolerances(rules["feed_contract"])
    for run, results in runs.items():
        shown: dict[str, list[tuple[Evaluation, Level]]] = {}
        for suite in (summary.suite for summary in run.suites):
            site.write_suite_page(suite, _suite_page(suite, tuple(rules[suite]), tuple(tolerances.items())))
            of_suite = [result for result in results if result.suite == suite]
            shown[suite] = _evaluations(suite, rules[suite], tolerances, of_suite)
        site.write_run(run, result_page(run, TITLES, shown))


def _level(result: ExpectationResult) -> Level:
    return "passed" if result.success else result.severity


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
