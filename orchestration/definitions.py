"""The Dagster code location: the only place where everything meets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import dagster as dg

from activity_audit.dbt_runner import project
from activity_audit.ingest.beginning import beginning
from activity_audit.settings.core import Settings, load_settings
from activity_audit.settings.private_files import keep_private
from orchestration.schedules import build_schedule
from orchestration.sensors import build_sensor


def build_definitions(
    settings: Settings, *, begin: datetime | None = None, watching: bool = True, **resources: Any
) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors for these settings; `resources` replace the usual ones.

    Partitions begin with the feed hour `begin` (aware, UTC), or with the first that is known. Without `watching` there
    are no schedules, sensors and freshness checks: only what a run itself needs.
    """
    from activity_audit.base.progress import Silent
    from orchestration.assets.raw import build_raw_asset
    from orchestration.assets.warehouse import build_warehouse_asset
    from orchestration.freshness import build_freshness
    from orchestration.jobs import build_job
    from orchestration.partitions import hourly
    from orchestration.replay_job import build_replay_job
    from orchestration.upkeep import build_upkeep

    begin = begin or beginning(settings)
    partitions = hourly(begin)
    freshness = build_freshness(settings) if watching else None
    checks = [freshness.checks] if freshness else []
    given = {
        name: dg.ResourceDefinition.hardcoded_resource(value)
        for name, value in ({"settings": settings, "progress": Silent()} | resources).items()
    }
    return dg.Definitions(
        assets=[build_raw_asset(partitions), build_warehouse_asset(project.manifest(), partitions)],
        asset_checks=checks,
        jobs=[build_job(checks), build_replay_job(given), *([freshness.job] if freshness else [])],
        schedules=[build_schedule(settings, begin), freshness.schedule, build_upkeep(settings)] if freshness else [],
        sensors=[build_sensor(settings, begin)] if watching else [],
        resources=given,
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` and `dagster dev` load, for the settings of the environment."""
    settings = load_settings()
    keep_private(settings)
    return build_definitions(settings)
