"""The Dagster code location: the only place where everything meets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orchestration import transform
from orchestration.schedules import build_schedule
from orchestration.sensors import build_sensor
from orchestration.settings import Settings, load_settings


def build_definitions(settings: Settings, *, watching: bool = True, **resources: Any) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors for these settings; `resources` replace the usual ones.

    Without `watching` there are no schedules, sensors and freshness checks: only what a run itself needs.
    """
    from orchestration.assets.raw import raw_feeds
    from orchestration.assets.warehouse import build_warehouse_asset
    from orchestration.jobs import build_job
    from orchestration.progress import Silent

    freshness = _freshness_checks(settings) if watching else []
    return dg.Definitions(
        assets=[raw_feeds, build_warehouse_asset(transform.manifest())],
        asset_checks=freshness,
        jobs=[build_job(freshness)],
        schedules=[build_schedule(settings)] if watching else [],
        sensors=[build_sensor(settings), _freshness_sensor(freshness)] if watching else [],
        resources={
            name: dg.ResourceDefinition.hardcoded_resource(value)
            for name, value in ({"settings": settings, "progress": Silent()} | resources).items()
        },
        executor=dg.in_process_executor,
    )


def _freshness_checks(settings: Settings) -> Sequence[dg.AssetChecksDefinition]:
    from orchestration.assets.raw import asset_key
    from orchestration.checks import freshness_checks

    return freshness_checks([asset_key(slug) for slug in settings.expected_feeds], settings.schedule_lag)


def _freshness_sensor(freshness: Sequence[dg.AssetChecksDefinition]) -> dg.SensorDefinition:
    return dg.build_sensor_for_freshness_checks(
        freshness_checks=freshness,
        minimum_interval_seconds=600,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` and `dagster dev` load, for the settings of the environment."""
    return build_definitions(load_settings())
