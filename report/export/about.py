"""What every file of the report says about itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestration.coverage import Coverage
from orchestration.hours import iso
from orchestration.lake import Snapshot
from report.filters import CHOICES, Filters
from report.long_texts import whole_text

_NAME = "Activity Audit"
_ALL = "all"
# By field that is chosen by: what people call the list of its values.
_LISTS = {
    "application": "Applications",
    "entity": "Entities",
    "activity": "Activities",
    "outcome": "Outcomes",
    "triggered_by": "Triggered by",
    "instance": "Instances",
    "event_id": "Event IDs",
}
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
        chosen = chosen_texts(self.filters)
        whole = {"Comments": chosen["Comments"]} if "Comments" in chosen else {}
        return {
            "Report": _NAME,
            "From (UTC)": iso(self.filters.start),
            "To (UTC, not included)": iso(self.filters.end),
            **{title: chosen.get(title, _ALL) for title in _LISTS.values()},
            "Comments contain": chosen.get("Comments contain", "anything"),
            **whole,
            "Excluded": chosen.get("Excluded", "nothing"),
            "Rows": str(self.rows),
            COMPLETENESS: self.coverage.says,
            "Snapshot": str(self.snapshot.snapshot_id),
            "Snapshot taken at (UTC)": iso(self.snapshot.taken_at),
            "Newest run": self.snapshot.run_id or "",
            "Made at (UTC)": iso(self.made_at),
        }


def chosen_texts(filters: Filters) -> dict[str, str]:
    """What the filters choose and exclude by, for people: each list or text that says something, under its name."""
    said = {title: getattr(filters, CHOICES[field]) for field, title in _LISTS.items()}
    texts = {title: _listed(map(whole_text, values)) for title, values in said.items() if values}
    if filters.comments:
        texts["Comments contain"] = filters.comments
    if filters.comments_are:
        texts["Comments"] = _listed(map(whole_text, filters.comments_are))
    if filters.excluded:
        texts["Excluded"] = _listed(f"{field}: {whole_text(value)}" for field, value in filters.excluded)
    return texts


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values)
