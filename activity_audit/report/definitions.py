"""What the figures of the report mean, in a sentence each, for its help page. Columns say it of themselves."""

from __future__ import annotations

# By the words that the pages use.
FIGURES = {
    "Feed": "What one application delivers.",
    "Feed hour": "The hour, in UTC, in which something was delivered. An event may have happened in an earlier one.",
    "Received": "Records that were delivered. Each is accepted, a duplicate, or in quarantine: the three sum up to it.",
    "Accepted": "Records that became an event of this report.",
    "Duplicate": "Records that repeat an accepted event: the same id and the same content.",
    "Quarantine": "Records that cannot be an event as they came. They are kept whole, with every reason.",
    "Late": "Accepted events that happened before the hour in which they were delivered.",
    "Data through": "The end of the newest feed hour that brought something.",
    "Refreshed": "When the newest run that published something began.",
    "Coverage": "How many feed hours of the period were looked at, and whether they are complete.",
    "Snapshot": "The state of the warehouse that the page shows. It stays as it is while a run publishes the next.",
}
# By the areas of the verdicts.
AREAS = {
    "Freshness": "Whether the newest feed hour that is due is published.",
    "Completeness": "Whether each expected feed delivered each hour, and all that its manifest says.",
    "Checks": "What the newest run checked before it published. A blocking check that fails keeps the old state.",
    "Quarantine": "Whether records wait in quarantine.",
    "Catalogue drift": "Whether events name what the vendor's documentation does not have.",
}
