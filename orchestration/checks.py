"""The asset checks that a run makes: what Great Expectations found in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import dagster as dg

from activity_audit.settings.core import Settings
from expectations import conformance, feed_contract
from expectations.results import ExpectationResult
from expectations.rules import Rule

# The asset that a suite's checks are shown at.
_ASSETS = {
    feed_contract.NAME: dg.AssetKey(["intermediate", "int_judged_record"]),
    conformance.NAME: dg.AssetKey(["main", "fact_activity_event"]),
}


def specs() -> list[dg.AssetCheckSpec]:
    """A check for every expectation of every suite."""
    suites: dict[str, list[Rule]] = {
        feed_contract.NAME: feed_contract.rules(),
        # The values belong to a run; here only the names and reasons of the rules are of interest.
        conformance.NAME: conformance.rules(
            record_sha256_sql="null", event_id_key_sql="null", future_tolerance_seconds=0
        ),
    }
    return [
        dg.AssetCheckSpec(
            name=rule.id,
            asset=_ASSETS[suite],
            description=f"{rule.title}. {rule.why}",
            blocking=suite == conformance.NAME,
        )
        for suite, rules in suites.items()
        for rule in rules
    ]


def results(settings: Settings, found: Iterable[ExpectationResult]) -> Iterator[dg.AssetCheckResult]:
    """What was found, as Dagster shows it, each with its page in the data docs, and with the auditor's page if made."""
    review = {"review": dg.MetadataValue.path(str(settings.review_file))} if settings.review_file.exists() else {}
    for result in found:
        severity = dg.AssetCheckSeverity.ERROR if result.severity == "error" else dg.AssetCheckSeverity.WARN
        yield dg.AssetCheckResult(
            asset_key=_ASSETS[result.suite],
            check_name=result.expectation,
            passed=result.success,
            severity=severity,
            metadata={
                "evaluated": dg.MetadataValue.int(result.evaluated_count),
                "unexpected": dg.MetadataValue.int(result.unexpected_count),
                "sample": dg.MetadataValue.text(result.sample),
                # A path, which has no place in a page.
                "data_docs": dg.MetadataValue.path(str(settings.docs_dir / result.docs_link.partition("#")[0])),
                **review,
            },
        )
