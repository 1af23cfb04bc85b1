"""The findings of an integrity check, and their texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

import duckdb

from activity_audit.ledger.chain import BatchKey

Layer = Literal[
    "landing",
    "raw",
    "delivery",
    "fact",
    "key",
    "derived",
    "quarantine",
    "replay",
    "reconciliation",
    "deletion",
    "hold",
    "ledger",
    "warehouse",
]
Problem = Literal["changed", "added", "missing", "unreadable"]
Severity = Literal["error", "warning"]
_SHOWN = 10
_ROWS: dict[Layer, str] = {"fact": "events", "quarantine": "quarantined records", "delivery": "deliveries"}


@dataclass(frozen=True)
class Finding:
    """One thing that is not what the ledger vouches for: in which layer, what is wrong with it, which, and how."""

    layer: Layer
    problem: Problem
    what: str
    detail: str
    severity: Severity = "error"


@dataclass
class Report:
    """What `audit verify` looked at, and what it found."""

    from_hour: datetime | None
    to_hour: datetime | None
    counts: dict[str, int] = field(default_factory=dict)
    head: dict[str, Any] | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Whether nothing that the ledger vouches for differs; warnings do not count."""
        return not self.errors

    @property
    def errors(self) -> int:
        """How many differences were found."""
        return sum(finding.severity == "error" for finding in self.findings)

    def count(self, name: str, number: int) -> None:
        """Add to how many of something were looked at."""
        self.counts[name] = self.counts.get(name, 0) + number

    def add(self, other: Report) -> None:
        """Take over what another report of the same has counted and found."""
        for name, number in other.counts.items():
            self.count(name, number)
        self.findings += other.findings

    def as_dict(self) -> dict[str, Any]:
        """The report as data, as `--output json` has it."""
        return {
            "intact": self.intact,
            "from": self.from_hour,
            "to": self.to_hour,
            "head": self.head,
            "checked": self.counts,
            "findings": [asdict(finding) for finding in self.findings],
        }


def batch_name(key: BatchKey) -> str:
    """A batch as findings name it."""
    feed, hour, run_id = key
    return f"{feed} {hour:%Y-%m-%dT%H:%MZ} run {run_id}"


def rows_added(name: str, why: str, *rows: tuple[Layer, int]) -> Iterator[Finding]:
    """Rows of a batch, by layer, that are there and must not be."""
    for layer, count in rows:
        if count:
            yield Finding(layer, "added", name, f"{count} {_ROWS[layer]} {why}")


def listed(names: Iterable[str]) -> str:
    """The first of these names, and how many more there are."""
    everything = list(names)
    more = f" and {len(everything) - _SHOWN} more" if len(everything) > _SHOWN else ""
    return ", ".join(everything[:_SHOWN]) + more


def unreadable(what: str, error: duckdb.Error) -> Finding:
    """That something could not be compared."""
    return Finding("warehouse", "unreadable", what, f"this could not be checked: {error}")
