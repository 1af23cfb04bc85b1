"""Brings serving copies up to date, wherever they are."""

from __future__ import annotations

from activity_audit.base.masking import masked_errors
from activity_audit.dbt_runner import project
from activity_audit.serving import duckdb_file, postgres
from activity_audit.serving.published import AS_BEFORE, How, Published, ServingError
from activity_audit.serving.target import Target
from activity_audit.settings.core import Settings
from activity_audit.warehouse.lake import WarehouseError
from activity_audit.warehouse.run_lock import OnStage


@masked_errors(ServingError, WarehouseError)
def bring_up_to_date(
    settings: Settings, target: Target, how: How = AS_BEFORE, progress: OnStage = lambda _: None
) -> Published:
    """Bring a copy to the newest snapshot of the warehouse; without a number of days, a new one has 90.

    Raises:
        ServingError: if the copy could not be brought up to date.
        WarehouseError: if the warehouse cannot be read.
    """
    if target.iceberg:
        from activity_audit.serving import iceberg

        return iceberg.bring_up_to_date(settings, project.manifest(), target, how, progress)
    bring = postgres.bring_up_to_date if target.postgres else duckdb_file.bring_up_to_date
    return bring(settings, project.manifest(), target, how, progress)
