"""The Dagster code location: the only place where everything meets."""

from __future__ import annotations

from typing import Any

import dagster as dg

from orchestration import transform
from orchestration.private_files import keep_private
from orchestration.schedules import build_schedule
from orchestration.sensors import build_sensor
from orchestration.settings import Settings, load_settings


def build_definitions(settings: Settings, *, watching: bool = True, **resources: Any) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors for these settings; `resources` replace the usual ones.

    Without `watching` there are no schedules, sensors and freshness checks: only what a run itself needs.
    """
    from orchestration.assets.raw import raw_feeds
    from orchestration.assets.warehouse import build_warehouse_asset
    from orchestration.freshness import build_freshness
    from orchestration.jobs import build_job
    from orchestration.progress import Silent
    from orchestration.replay_job import build_replay_job
    from orchestration.upkeep import build_upkeep

    freshness = build_freshness(settings) if watching else None
    checks = [freshness.checks] if freshness else []
    given = {
        name: dg.ResourceDefinition.hardcoded_resource(value)
        for name, value in ({"settings": settings, "progress": Silent()} | resources).items()
    }
    return dg.Definitions(
        assets=[raw_feeds, build_warehouse_asset(transform.manifest())],
        asset_checks=checks,
        jobs=[build_job(checks), build_replay_job(given), *([freshness.job] if freshness else [])],
        schedules=[build_schedule(settings), freshness.schedule, build_upkeep(settings)] if freshness else [],
        sensors=[build_sensor(settings)] if watching else [],
        resources=given,
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` and `dagster dev` load, for the settings of the environment."""
    settings = load_settings()
    keep_private(settings)
    return build_definitions(settings)
