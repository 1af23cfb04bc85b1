"""The asset checks: what Great Expectations found in a run, and whether each expected feed has delivered in time."""

from collections.abc import Iterable, Iterator

import dagster as dg

from activity_audit.base.hours import HOUR, iso, now_utc
from activity_audit.base.shown_text import visible
from activity_audit.base.vocabulary import FACT_NAME
from activity_audit.ingest.landing import open_index
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from activity_audit.warehouse.coverage import due
from expectations import conformance, feed_contract
from expectations.results import ExpectationResult
from expectations.rules import Rule
from orchestration.assets.raw import asset_key
from orchestration.resources import Home

FRESHNESS = "newest_hour_is_there"
# The asset that a suite's checks are shown at.
ASSETS = {
    feed_contract.NAME: dg.AssetKey(["intermediate", "int_judged_record"]),
    conformance.NAME: dg.AssetKey(["main", FACT_NAME]),
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
            asset=ASSETS[suite],
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
            asset_key=ASSETS[result.suite],
            check_name=result.expectation,
            passed=result.success,
            severity=severity,
            metadata={
                "evaluated": dg.MetadataValue.int(result.evaluated_count),
                "unexpected": dg.MetadataValue.int(result.unexpected_count),
                "sample": dg.MetadataValue.text(visible(result.sample)),
                # A path, which has no place in a page.
                "data_docs": dg.MetadataValue.path(str(settings.docs_dir / result.docs_link.partition("#")[0])),
                **review,
            },
        )


def build_freshness(settings: Settings) -> dg.AssetChecksDefinition:
    """A check for each expected feed: whether the newest feed hour that is due has a delivery. It warns.

    It looks at that hour alone, so that a backfill of old hours makes no feed look fresh; Dagster's freshness policies
    ask when an asset was materialised last, whatever its partition.
    """

    @dg.multi_asset_check(
        name="freshness",
        specs=[
            dg.AssetCheckSpec(
                FRESHNESS,
                asset=asset_key(slug),
                description="The newest feed hour that is due has a delivery of this feed in the raw lake.",
            )
            for slug in settings.expected_feeds
        ],
        can_subset=True,
    )
    def freshness(context: dg.AssetCheckExecutionContext, home: Home) -> Iterator[dg.AssetCheckResult]:
        hour = due(now_utc(), home.settings.freshness) - HOUR
        landed = open_index(raw_lake(home.settings)).deliveries(settings.expected_feeds, (hour, hour + HOUR))
        fresh = {delivery.feed for delivery in landed}
        for slug in settings.expected_feeds:
            if dg.AssetCheckKey(asset_key(slug), FRESHNESS) in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=asset_key(slug),
                    check_name=FRESHNESS,
                    passed=slug in fresh,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"feed_hour_due": iso(hour)},
                )

    return freshness
