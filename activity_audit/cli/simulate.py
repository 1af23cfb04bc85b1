"""`audit simulate`: write feeds to try the product with, and say what must become of their records."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from activity_audit.base.hours import floor_hour, now_utc
from activity_audit.cli.options import TIME
from activity_audit.cli.output import print_json
from activity_audit.settings.core import Settings


@click.command("simulate")
@click.option("--hours", type=click.IntRange(min=1), required=True, help="How many feed hours to write.")
@click.option("--until", type=TIME, help="The end of the last hour; default: the current hour.")
@click.option("--events-per-hour", type=click.IntRange(min=0), default=2000, show_default=True,
              help="How many records all feeds together have in an hour.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed writes the same feeds.")
@click.option("--defects/--no-defects", default=True, show_default=True,
              help="Whether to mix every kind of defect into the feeds.")  # fmt: skip
@click.pass_obj
def command(
    settings: Settings, hours: int, until: datetime | None, events_per_hour: int, seed: int, defects: bool
) -> None:
    """Write feeds to try the product with.

    It prints as JSON what must become of their records.
    """
    from activity_audit.simulator.simulate import simulate

    if "://" in settings.feed_root:
        raise click.UsageError(f"feeds can be simulated only in a folder, not in AUDIT_FEED_URL={settings.feed_root}")
    report = simulate(
        Path(settings.feed_root),
        hours=hours,
        until=floor_hour(until or now_utc()),
        events_per_hour=events_per_hour,
        seed=seed,
        defects=defects,
    )
    print_json(report)
