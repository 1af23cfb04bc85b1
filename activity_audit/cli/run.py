"""`audit run`: materialise feed hours as Dagster runs, and say what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from activity_audit.base import catalogue
from activity_audit.base.hours import EARLIEST_YEAR, HOUR, floor_hour, iso, now_utc
from activity_audit.cli.dagster_runs import bury_dead_runs, error_of, execute
from activity_audit.cli.options import TIME, known_feeds, window
from activity_audit.cli.output import OUTPUT, print_json, warn
from activity_audit.cli.run_report import collect, print_report
from activity_audit.ingest.sources.source import SourceError
from activity_audit.metrics.exposition import write_file
from activity_audit.pipeline.status import set_aside, shown
from activity_audit.settings.core import Settings
from activity_audit.warehouse.lake import WarehouseError


@click.command("run")
@click.option("--from", "start", type=TIME, help="The first feed hour, ISO 8601 UTC.")
@click.option("--to", "end", type=TIME, help="The end of the last feed hour (exclusive).")
@click.option("--feed", "feeds", multiple=True, metavar="SLUG", help="Only this feed; may be repeated.")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(
    settings: Settings, start: datetime | None, end: datetime | None, feeds: tuple[str, ...], output: str
) -> None:
    """Ingest, check and publish feed hours.

    Without a range it runs every feed hour that has a new or changed delivery.

    The exit code is 1 if a run failed, or a delivery of the range is set aside.
    """
    chosen = known_feeds(feeds) or catalogue.slugs()
    asked = window(start, end)
    with _alerting(settings):
        ranges, warnings = _ranges(settings, chosen, asked)
        bury_dead_runs(settings)
        runs = _execute(settings, chosen, ranges, warnings) if ranges else []
    report = collect(settings, runs, ranges, chosen, warnings)
    warn(write_file(settings))
    _follow(settings)
    report["set_aside"] = [shown(one) for one in set_aside(settings, chosen, asked)]
    if output == "json":
        print_json(report)
    else:
        print_report(settings, report)
    if report["set_aside"] or any(not run["success"] for run in runs):
        raise click.exceptions.Exit(1)


def _follow(settings: Settings) -> None:
    """Ask the questions of readers, and deliver what they subscribed to; what goes wrong is a warning."""
    if settings.deliveries_file.exists():
        from activity_audit.report.delivery.follow import follow

        warn(follow(settings).warnings)


@contextmanager
def _alerting(settings: Settings) -> Iterator[None]:
    """Tell of what goes wrong in the block, in these runs and those before, and of feeds that are late."""
    if not settings.alert_urls:
        yield
        return
    from activity_audit.alerts.looks import look_at_feeds
    from activity_audit.alerts.rounds import deliver_all
    from orchestration import instance as dagster_instance
    from orchestration.run_alerts import tell_of_runs, told_if_it_fails

    with told_if_it_fails(settings, "`audit run`"):
        yield
    with dagster_instance.instance(settings) as instance:
        told = tell_of_runs(settings, instance)
    warn(dict.fromkeys([*told, *look_at_feeds(settings), *deliver_all(settings)]))


def _ranges(
    settings: Settings, feeds: Sequence[str], asked: tuple[datetime, datetime] | None
) -> tuple[list[tuple[datetime, datetime]], list[str]]:
    """The ranges of feed hours to run, and warnings."""
    if asked is None:
        from activity_audit.ingest.planning import newest_hour, plan
        from activity_audit.warehouse import older_release

        try:
            planned = plan(settings, feeds)
            # What this release adds to the warehouse comes with a run, and the newest hour is as good as any.
            if not planned.ranges and older_release.is_older(settings):
                return newest_hour(settings), planned.warnings
        except (SourceError, WarehouseError) as error:
            raise click.ClickException(str(error)) from None
        return planned.ranges, planned.warnings
    start, end = asked
    after_current = floor_hour(now_utc()) + HOUR
    if start.year < EARLIEST_YEAR:
        raise click.UsageError(f"--from must not be before {EARLIEST_YEAR}")
    if start >= after_current:
        raise click.UsageError(f"--from must not be later than the hour that is under way, {iso(after_current - HOUR)}")
    if end > after_current:
        return [(start, after_current)], [
            f"hours that have not begun are left out: the range ends at {iso(after_current)}"
        ]
    return [asked], []


def _execute(
    settings: Settings, feeds: Sequence[str], ranges: list[tuple[datetime, datetime]], warnings: list[str]
) -> list[dict[str, Any]]:
    from activity_audit.cli.dagster_runs import ProgressBar
    from activity_audit.ingest.beginning import beginning
    from orchestration import instance as dagster_instance
    from orchestration.assets.raw import asset_key
    from orchestration.assets.warehouse import FEEDS_TAG
    from orchestration.definitions import build_definitions
    from orchestration.jobs import HOURLY
    from orchestration.partitions import planned, range_tags

    with ProgressBar(len(ranges)) as bar, dagster_instance.instance(settings) as instance:
        begin = beginning(settings, [start for start, _ in ranges])
        definitions = build_definitions(settings, begin=begin, watching=False, progress=bar)
        job = definitions.resolve_job_def(HOURLY)
        left_out = {asset_key(slug) for slug in catalogue.slugs() if slug not in feeds}
        selection = [key for key in job.asset_layer.executable_asset_keys if key not in left_out]
        runs = []
        for start, end in ranges:
            bar.begin(start, end)
            with planned(start, end):
                result = execute(
                    job,
                    instance,
                    asset_selection=selection,
                    tags={**range_tags(start, end), FEEDS_TAG: ",".join(feeds)},
                )
            runs.append(
                {
                    "run_id": result.run_id,
                    "from": iso(start),
                    "to": iso(end),
                    "success": result.success,
                    "error": None if result.success else error_of(result, settings),
                }
            )
        warnings += [warning for warning in bar.warnings if warning not in warnings]
    return runs
