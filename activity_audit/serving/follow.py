"""Copies that follow the warehouse by themselves: those of AUDIT_PUBLISH_TO, after each run, replay and upkeep."""

from __future__ import annotations

from activity_audit.serving.published import ServingError
from activity_audit.serving.serve import bring_up_to_date
from activity_audit.serving.target import parse
from activity_audit.settings.core import Settings
from activity_audit.warehouse.lake import WarehouseError
from activity_audit.warehouse.run_lock import OnStage


def follow(settings: Settings, progress: OnStage = lambda _: None) -> list[str]:
    """Bring each copy up to date; a sentence for each that could not be, which is never a reason for a run to fail."""
    warnings = []
    for text in settings.publish_to:
        try:
            bring_up_to_date(settings, parse(text), progress=progress)
        except (ServingError, WarehouseError, ValueError, OSError) as error:
            warnings.append(f"a copy of AUDIT_PUBLISH_TO is not up to date, and the next run tries again: {error}")
    return warnings
