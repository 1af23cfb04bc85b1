"""What filters choose, in words that people read: in files, in packs."""

from __future__ import annotations

from collections.abc import Iterable

from activity_audit.warehouse.events.filters import CHOICES, Filters
from activity_audit.warehouse.events.long_texts import whole_text

# By field that is chosen by: what people call the list of its values.
LISTS = {
    "application": "Applications",
    "entity": "Entities",
    "activity": "Activities",
    "outcome": "Outcomes",
    "triggered_by": "Triggered by",
    "instance": "Instances",
    "event_id": "Event IDs",
}


def chosen_texts(filters: Filters) -> dict[str, str]:
    """What the filters choose and exclude by, for people: each list or text that says something, under its name."""
    said = {title: getattr(filters, CHOICES[field]) for field, title in LISTS.items()}
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
