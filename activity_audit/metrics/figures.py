"""The metrics: `audit status` as numbers, with the records of each feed, and what the home remembers.

What is in order, late or stale is decided where `audit status` decides it. Labels are names of the catalogue, of
checks, reasons and stages, so their number is bounded, and they say nothing of a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from activity_audit.alerts.causes import KINDS
from activity_audit.alerts.rounds import known
from activity_audit.base.faults import FaultError
from activity_audit.base.hours import HOUR, aware, now_utc
from activity_audit.base.vocabulary import DISPOSITIONS
from activity_audit.pipeline import notes
from activity_audit.pipeline.status import status
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from activity_audit.warehouse.quarantine import REASONS
from activity_audit.warehouse.verdicts import WORDS

Rows = Sequence[tuple[Sequence[str], float]]


class Figures(Collector):
    """What a registry collects: the figures of one look at the home and its warehouse."""

    def __init__(self, settings: Settings) -> None:
        self._metrics = list(_all(settings))

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield from self._metrics


def registry(settings: Settings) -> CollectorRegistry:
    """The figures now, in a registry of their own.

    A warehouse that cannot be read is a figure too: `audit_warehouse_readable` is 0.
    """
    found = CollectorRegistry()
    found.register(Figures(settings))
    return found


def _all(settings: Settings) -> Iterator[Metric]:
    yield _metric("build_info", "The version that is installed.", ["version"], [([version("activity-audit")], 1)])
    yield _metric("metrics_timestamp_seconds", "When these figures were taken.", [], [([], now_utc().timestamp())])
    is_readable, of_warehouse = True, list[Metric]()
    try:
        of_warehouse += _of_warehouse(settings, status(settings), _records(settings))
    except lake.NothingPublishedError:
        pass
    except (lake.WarehouseError, FaultError):
        is_readable = False
    yield _metric("warehouse_readable", "Whether the warehouse can be read.", [], [([], is_readable)])
    yield from of_warehouse
    yield from _of_home(settings)


def _of_warehouse(settings: Settings, report: dict[str, Any], by_feed: list[tuple[Any, ...]]) -> Iterator[Metric]:
    levels = list(WORDS)
    yield _metric(
        "area_level",
        "How each area of `audit status` is: 0 in order, 1 to look at, 2 not known, 3 not in order.",
        ["area"],
        [([one["area"]], levels.index(one["level"])) for one in report["verdicts"]],
    )
    if last := report["last_feed_hour_utc"]:
        through = (aware(last) + HOUR).timestamp()
        yield _metric(
            "data_through_timestamp_seconds", "The end of the newest published feed hour.", [], [([], through)]
        )
        lag = now_utc().timestamp() - through
        yield _metric("data_lag_seconds", "How long ago that hour ended, when the figures were taken.", [], [([], lag)])
    yield _metric("freshness_seconds", "AUDIT_FRESHNESS.", [], [([], settings.freshness.total_seconds())])
    yield _metric("events", "Events in the warehouse.", [], [([], report["events"])])
    yield _metric(
        "records",
        "Records by what became of them.",
        ["feed", "disposition"],
        [([feed, name], n) for feed, *ns in by_feed for name, n in zip(DISPOSITIONS, ns, strict=True)],
    )
    reasons = {one["reason"]: one["records"] for one in report["reasons"]}
    yield _metric(
        "quarantined_records",
        "Records in quarantine now, by reason; a record may have several.",
        ["reason"],
        [([reason], reasons.get(reason, 0)) for reason in REASONS],
    )
    lacking = Counter((gap["feed"], gap["status"]) for gap in report["gaps"])
    feeds = sorted({*settings.expected_feeds, *(feed for feed, _ in lacking)})
    yield _metric(
        "feed_hours_lacking",
        "Feed hours of the newest 7 days that are missing or incomplete.",
        ["feed", "status"],
        [([feed, word], lacking[feed, word]) for feed in feeds for word in ("missing", "incomplete")],
    )
    yield _metric(
        "check_failed",
        "Whether a check of the last run over feed hours found something; blocking ones stop it.",
        ["check", "severity"],
        [
            ([one["title"], "blocking" if one["is_blocking"] else one["severity"]], not one["success"])
            for one in report["checks"]
        ],
    )
    for name, text, number in (
        ("catalogue_drift", "Names that the catalogue does not have.", report["catalogue_drift"]),
        ("deliveries_set_aside", "Deliveries that cannot be processed.", len(report["set_aside"])),
        ("deliveries_unpublished", "Deliveries landed long ago and not published.", report["unpublished_deliveries"]),
    ):
        yield _metric(name, text, [], [([], number)])


def _of_home(settings: Settings) -> Iterator[Metric]:
    last = notes.read(settings)
    if run := last.get("run"):
        yield _metric("last_run_timestamp_seconds", "When the last run of this home ended.", [], [([], _time(run))])
        yield _metric(
            "last_run_outcome",
            "How the last run of this home ended.",
            ["outcome"],
            [([name], run["outcome"] == name) for name in notes.OUTCOMES],
        )
    seconds = {**(run or {}).get("seconds", {})}
    if landing := last.get("landing"):
        seconds["landing"] = landing["seconds"]
    yield _metric(
        "last_run_stage_seconds",
        "How long each stage of the last run of this home took.",
        ["stage"],
        [([name], value) for name, value in sorted(seconds.items())],
    )
    if verify := last.get("verify"):
        yield _metric("verify_timestamp_seconds", "When `audit verify` last ended.", [], [([], _time(verify))])
        yield _metric("verify_findings", "What it found that differs.", [], [([], verify["findings"])])
    if backup := last.get("backup"):
        yield _metric("backup_timestamp_seconds", "When `audit backup` last made one.", [], [([], _time(backup))])
    if settings.alert_urls:
        try:
            alerts = known(settings)
        except FaultError:
            return
        kinds = Counter(alert.kind for alert in alerts if alert.over_at is None)
        rows: Rows = [([kind], kinds[kind]) for kind in KINDS]
        yield _metric("alerts_open", "Alerts that are open.", ["kind"], rows)
        untold = sum(alert.untold for alert in alerts)
        yield _metric("alerts_untold", "Messages that could not be sent yet.", [], [([], untold)])


def _records(settings: Settings) -> list[tuple[Any, ...]]:
    sums = ", ".join(f"cast(sum({name}) as bigint)" for name in DISPOSITIONS)
    with lake.reader(settings) as connection:
        return connection.execute(
            f"select feed, {sums} from quality.feed_reconciliation group by feed order by feed"
        ).fetchall()


def _metric(name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
    metric = GaugeMetricFamily(f"audit_{name}", text, labels=list(labels))
    for values, number in rows:
        metric.add_metric(list(values), float(number))
    return metric


def _time(note: dict[str, Any]) -> float:
    return datetime.fromisoformat(note["at"]).timestamp()
