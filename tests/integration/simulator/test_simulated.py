"""The simulator's own numbers against the pipeline's, feed hour by feed hour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from activity_audit.base.hours import iso
from activity_audit.settings.core import Settings
from activity_audit.simulator.simulate import simulate
from tests.integration.support import HOUR, audit, dump, query, run

_COUNTS = ("received", "accepted", "duplicate", "quarantined", "offset_normalised", "late")


def _agree(settings: Settings, said: dict[str, Any]) -> None:
    found = query(
        settings,
        f"select feed, feed_hour_utc, {', '.join(_COUNTS)} from quality.feed_reconciliation where status = 'balanced'",
    )
    from datetime import UTC

    by_hour = {(row[0], iso(row[1].replace(tzinfo=UTC))): row[2:] for row in found}
    assert by_hour == {
        (hour["feed"], hour["feed_hour"]): tuple(hour[name] for name in _COUNTS) for hour in said["by_feed_hour"]
    }
    reasons = query(
        settings,
        "select reason, count(*) from (select unnest(reasons) as reason from quality.quarantined_event) group by 1",
    )
    assert dict(reasons) == {reason: count for reason, count in said["reasons"].items() if count}
    warnings = query(
        settings, "select sum(foreign_application)::int, sum(undocumented)::int from quality.feed_delivery"
    )[0]
    assert warnings == (said["warnings"]["foreign_application"], said["warnings"]["undocumented"])


def test_six_hours_with_every_defect(settings: Settings) -> None:
    said = simulate(
        Path(settings.feed_root), hours=6, until=HOUR, events_per_hour=600, seed=3, defects=True, detail=True
    )
    run(settings, -6, 6)
    _agree(settings, said)
    assert said["received"] == 3600
    assert all(said["reasons"].values())


@pytest.mark.slow
def test_a_week_balances_and_runs_again_without_a_change(settings: Settings) -> None:
    said = simulate(
        Path(settings.feed_root), hours=168, until=HOUR, events_per_hour=18_000, seed=1, defects=True, detail=True
    )
    report = json.loads(audit(settings, "run", "--output", "json").stdout)
    assert report["new"]["received"] == said["received"] == 168 * 18_000
    _agree(settings, said)
    before = dump(settings, set())
    audit(settings, "run", "--from", said["from"], "--to", said["to"])
    assert dump(settings, set()) == before
