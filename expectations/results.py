"""The result of one expectation, as plain data. No Great Expectations in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["warning", "error"]


class ExpectationNotEvaluated(RuntimeError):
    """An expectation could not be evaluated at all, so nothing is known about the batch."""


@dataclass(frozen=True)
class ExpectationResult:
    """One expectation's outcome in one run; the columns of `quality.validation_result`.

    Attributes:
        run_id: the pipeline run.
        suite: `feed_contract` or `conformance`.
        expectation: the expectation's id, snake_case and unique over both suites.
        title: one line for people.
        column: the column that is judged, or None where it is more than one or none.
        severity: the level at which this outcome counts. Of a failure: `warning` when no more than the
            tolerated share is unexpected, else `error`. Of a pass: `warning` where the expectation can never
            be more than a warning, else `error`.
        blocking: True if a failure must keep the batch from being published.
        success: True only if there was nothing unexpected at all, whatever is tolerated.
        evaluated_count: how many items were judged: records, rows, deliveries, feed hours, or columns.
        unexpected_count: how many of them were unexpected.
        sample: JSON array text of at most five of the unexpected items, each an object.
        docs_link: where the result is in the data docs, relative to their folder.
    """

    run_id: str
    suite: str
    expectation: str
    title: str
    column: str | None
    severity: Severity
    blocking: bool
    success: bool
    evaluated_count: int
    unexpected_count: int
    sample: str
    docs_link: str
