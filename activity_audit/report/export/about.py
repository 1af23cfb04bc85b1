"""What every file of the report says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activity_audit.base.hours import iso
from activity_audit.report.export.layout import AS_EVER, Layout
from activity_audit.warehouse.coverage import Coverage
from activity_audit.warehouse.events.filters import LISTS, SELDOM, Filters, chosen_texts
from activity_audit.warehouse.events.masked import FIELDS as MASKED
from activity_audit.warehouse.lake import Snapshot

_NAME = "Activity Audit"
_ALL = "all"
COMPLETENESS = "Feed hours of the period"


@dataclass(frozen=True)
class About:
    """The filters, the state of the warehouse, when the file was made (UTC), its rows, its coverage; is it masked?

    `grouped` says what by, where the rows are groups; of events `layout` says which columns and in which order.
    """

    filters: Filters
    snapshot: Snapshot
    made_at: datetime
    rows: int
    coverage: Coverage
    is_masked: bool = False
    grouped: str = ""
    layout: Layout = AS_EVER

    def as_dict(self) -> dict[str, Any]:
        """For programs: times are ISO 8601, UTC; no values of a filter are an empty list."""
        return {
            "report": _NAME,
            "filters": self.filters.as_dict(),
            "rows": self.rows,
            **({"grouped_by": self.grouped} if self.grouped else self.layout.as_dict()),
            **({"link": self.layout.link} if self.layout.link else {}),
            "coverage": self.coverage.as_dict(),
            "snapshot_id": self.snapshot.snapshot_id,
            "snapshot_taken_at": iso(self.snapshot.taken_at),
            "newest_run_id": self.snapshot.run_id,
            "made_at": iso(self.made_at),
            **({"masked": list(MASKED)} if self.is_masked else {}),
        }

    def as_texts(self) -> dict[str, str]:
        """For people: each fact under its name."""
        chosen = chosen_texts(self.filters)
        seldom = {title: chosen[title] for title in SELDOM.values() if title in chosen}
        return {
            "Report": _NAME,
            "From (UTC)": iso(self.filters.start),
            "To (UTC, not included)": iso(self.filters.end),
            **{title: chosen.get(title, _ALL) for title in LISTS.values()},
            "Comments contain": chosen.get("Comments contain", "anything"),
            **seldom,
            "Excluded": chosen.get("Excluded", "nothing"),
            "Rows": str(self.rows),
            **({"Grouped by": self.grouped} if self.grouped else self.layout.as_texts()),
            **({"Link to the view": self.layout.link} if self.layout.link else {}),
            COMPLETENESS: self.coverage.says,
            "Snapshot": str(self.snapshot.snapshot_id),
            "Snapshot taken at (UTC)": iso(self.snapshot.taken_at),
            "Newest run": self.snapshot.run_id or "",
            "Made at (UTC)": iso(self.made_at),
            **({"Masked": ", ".join(MASKED)} if self.is_masked else {}),
        }
