"""The Dagster code location: the only place where everything meets."""

from __future__ import annotations

from datetime import datetime

import dagster as dg

from activity_audit.base import json_log
from activity_audit.base.faults import FaultError
from activity_audit.base.progress import Progress
from activity_audit.dbt_runner import project
from activity_audit.ingest.beginning import beginning
from activity_audit.settings.core import Settings, load_settings
from activity_audit.settings.private_files import keep_private
from activity_audit.warehouse.home_record import why_newer
from orchestration import automation, checks, jobs
from orchestration.assets import graph
from orchestration.assets.raw import build_raw_asset
from orchestration.assets.warehouse import build_warehouse_asset
from orchestration.distributed import EXCHANGE, InExchange, distributed_run
from orchestration.partitions import hourly
from orchestration.resources import Home
from orchestration.run_log import json_console


def build_definitions(
    settings: Settings, *, begin: datetime | None = None, watching: bool = True, progress: Progress | None = None
) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors for these settings; `progress` watches the runs.

    Partitions begin with the feed hour `begin` (aware, UTC), or with the first that is known. Without `watching` there
    are no schedules, sensors and freshness checks: only what a run itself needs.
    """
    begin = begin or beginning(settings)
    partitions = hourly(begin)
    models = graph.models(project.manifest(), partitions)
    freshness = checks.build_freshness(settings) if watching else None
    always = dg.Definitions(
        assets=[
            build_raw_asset(partitions),
            build_warehouse_asset(models),
            *(model.spec for model in models if not model.has_hour),
            *graph.written_by_python(project.manifest()),
        ],
        jobs=[jobs.hourly_pipeline(freshness), jobs.replay_quarantine],
        resources={
            "home": Home.of(settings, progress),
            # What a step hands on, if anything, is for the process that it runs in.
            "io_manager": dg.mem_io_manager,
            EXCHANGE: InExchange(settings),
        },
        executor=dg.in_process_executor,
        loggers={"console": json_console} if json_log.is_on() else None,
    )
    if freshness is None:
        return always
    watched = dg.Definitions(
        asset_checks=[freshness],
        jobs=[jobs.feed_freshness(freshness), jobs.upkeep, jobs.deliveries, distributed_run(settings)],
        schedules=[
            automation.build_schedule(settings, begin),
            automation.build_freshness_schedule(settings),
            automation.build_upkeep_schedule(),
        ],
        sensors=[
            automation.build_sensor(settings, begin),
            automation.build_delivery_sensor(settings),
            *([automation.build_alert_sensor(settings)] if settings.alert_urls else []),
        ],
    )
    return dg.Definitions.merge(always, watched)


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` and `dagster dev` load, for the settings of the environment."""
    settings = load_settings()
    json_log.begin()
    keep_private(settings)
    if newer := why_newer(settings):
        raise FaultError(newer)
    return build_definitions(settings)
