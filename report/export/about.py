"""What every file of the report says about itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestration.coverage import Coverage
from orchestration.hours import iso
from orchestration.lake import Snapshot
from report.filters import Filters
from report.long_texts import Value

_NAME = "Activity Audit"
_ALL = "all"
COMPLETENESS = "Feed hours of the period"


@dataclass(frozen=True)
class About:
    """The filters, the state of the warehouse, when the file was made (UTC), its rows, and its coverage."""

    filters: Filters
    snapshot: Snapshot
    made_at: datetime
    rows: int
    coverage: Coverage

    def as_dict(self) -> dict[str, Any]:
        """For programs: times are ISO 8601, UTC; no values of a filter are an empty list."""
        return {
            "report": _NAME,
            "filters": self.filters.as_dict(),
            "rows": self.rows,
            "coverage": self.coverage.as_dict(),
            "snapshot_id": self.snapshot.snapshot_id,
            "snapshot_taken_at": iso(self.snapshot.taken_at),
            "newest_run_id": self.snapshot.run_id,
            "made_at": iso(self.made_at),
        }

    def as_texts(self) -> dict[str, str]:
        """For people: each fact under its name."""
        chosen = self.filters
        whole = {"Comments": _listed(chosen.comments_are)} if chosen.comments_are else {}
        return {
            "Report": _NAME,
            "From (UTC)": iso(chosen.start),
            "To (UTC, not included)": iso(chosen.end),
            "Applications": _listed(chosen.applications) or _ALL,
            "Entities": _listed(chosen.entities) or _ALL,
            "Activities": _listed(chosen.activities) or _ALL,
            "Outcomes": _listed(chosen.outcomes) or _ALL,
            "Triggered by": _listed(chosen.triggered_by) or _ALL,
            "Instances": _listed(chosen.instances) or _ALL,
            "Event IDs": _listed(chosen.event_ids) or _ALL,
            "Comments contain": chosen.comments or "anything",
            **whole,
            "Excluded": _listed(f"{field}: {_shown(value)}" for field, value in chosen.excluded) or "nothing",
            "Rows": str(self.rows),
            COMPLETENESS: self.coverage.says,
            "Snapshot": str(self.snapshot.snapshot_id),
            "Snapshot taken at (UTC)": iso(self.snapshot.taken_at),
            "Newest run": self.snapshot.run_id or "",
            "Made at (UTC)": iso(self.made_at),
        }


def _listed(values: Iterable[Value]) -> str:
    return ", ".join(map(_shown, values))


def _shown(value: Value) -> str:
    return "(none)" if value is None else str(value)
