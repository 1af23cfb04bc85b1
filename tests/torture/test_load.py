"""Much at once: ten times the usual hour, the deliveries of a day's outage together, and fifty readers meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from activity_audit.evidence.verify.verify import verify
from activity_audit.settings.core import Settings
from activity_audit.simulator.simulate import simulate
from tests.integration.support import HOUR, audit, one, query
from tests.torture.figures import Figures
from tests.torture.load import reading

# Fifty readers without a pause leave a run a small part of two processors.
_LONGEST_RUN = 3600
# As in docs/performance.md.
_USUAL = 20_000
_PUBLISHED = "select sum(accepted) over (order by started_at_utc)::bigint from quality.pipeline_run"


def _arrives(
    settings: Settings, figures: Figures, hours: Sequence[tuple[int, int, int]], readers: tuple[int, int, int, float]
) -> None:
    """Hours arrive together, each time as (how many, the hour after the last, records an hour), and are run at once.

    The first are there before the readers are.
    """
    accepted = 0
    for number, (count, end, events) in enumerate(hours):
        said = simulate(
            Path(settings.feed_root), hours=count, until=HOUR + timedelta(hours=end), events_per_hour=events, seed=3,
            defects=False,
        )  # fmt: skip
        accepted += said["accepted"]
        if number == 0:
            audit(settings, "run")
            continue
        with reading(settings, *readers) as found:
            report = json.loads(audit(settings, "run", "--output", "json", timeout=_LONGEST_RUN).stdout)
        assert report["new"]["received"] == said["received"]
        published = {row[0] for row in query(settings, _PUBLISHED)}
        for kind, read in found.items():
            if read.seconds:
                assert read.events <= published, kind
                figures.add(**{f"{kind.replace(' ', '_')}_answers": len(read.seconds)})
                figures.most(**{f"{kind.replace(' ', '_')}_p95_s": read.p95})
    events = one(settings, "select count(*) from fact_activity_event")
    distinct = one(settings, "select count(distinct event_id) from fact_activity_event")
    figures.add(rounds=1, events=events, lost=max(0, accepted - events), doubled=events - distinct)
    assert (events, distinct) == (accepted, accepted)
    assert verify(settings).findings == []


def test_hours_that_arrive_at_once_beside_readers(settings: Settings) -> None:
    _arrives(settings, Figures("an outage's hours at once, short"), [(1, 0, 100), (2, 2, 100)], (1, 1, 1, 1.0))


@pytest.mark.torture
def test_ten_times_the_usual_hour_beside_fifty_readers(settings: Settings) -> None:
    _arrives(
        settings,
        Figures("ten times the usual hour, 50 readers"),
        [(1, 0, _USUAL), (1, 1, 10 * _USUAL)],
        (10, 20, 20, 0),
    )


@pytest.mark.torture
def test_a_days_outage_arrives_at_once_beside_fifty_readers(settings: Settings) -> None:
    _arrives(
        settings, Figures("a day's outage at once, 50 readers"), [(1, 0, _USUAL), (24, 24, _USUAL)], (10, 20, 20, 0)
    )
