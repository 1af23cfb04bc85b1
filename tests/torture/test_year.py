"""A year of hourly feeds makes a look of the sensor no slower, and files that nobody moves away make it rarer."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import dagster as dg
import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import now_utc
from activity_audit.ingest.landing import open_index
from activity_audit.ingest.sources.files import FileSource
from activity_audit.ingest.sweeps import Reach, Sweeps, list_changes
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from orchestration import automation
from orchestration.pace import Pace
from tests.integration.support import HOUR, begin, deliver, event, lines
from tests.torture.figures import Figures
from tests.torture.year import add_history, add_runs, cost

FEEDS = catalogue.slugs()[:10]


def test_a_look_holds_the_files_of_one_feed_at_a_time(settings: Settings) -> None:
    """Those of all feeds of a year would be hundreds of megabytes; of each feed only what is new is kept."""
    for feed in FEEDS:
        for hour in range(40):
            deliver(settings, b"", feed=feed, hour=hour)
    source, raw = FileSource(settings.feed_root, FEEDS), raw_lake(settings)
    index = open_index(raw)
    whole = source.list(FEEDS, None)
    index.add(seen=[(offer.uri, offer.token) for offer in whole.offers])
    deliver(settings, b"x", feed=FEEDS[3], hour=7)
    reach, sweeps = Reach(settings.lookback, settings.sweep_every), Sweeps(raw.notes, settings.feed_root)

    def look() -> int:
        listing, offers = list_changes(source, index, FEEDS, now_utc(), reach, sweeps)
        assert listing.offers == []
        return len(offers)

    assert len(whole.offers) == 400
    assert look() == 1
    assert _peak(look) < 0.5 * _peak(lambda: source.list(FEEDS, None))


def _peak(what: Callable[[], object]) -> int:
    """The most bytes of Python's that it held at once."""
    tracemalloc.start()
    try:
        what()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_look_is_followed_by_a_pause(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks take a sixtieth of a processor at most. The first one of a process imports, which does not count."""
    now, spent = 0.0, 0.0

    def cpu() -> float:
        nonlocal spent
        spent += 3.0
        return spent

    monkeypatch.setattr(automation, "Pace", lambda: Pace(lambda: now, cpu))
    sensor = automation.build_sensor(settings, HOUR)
    with dg.DagsterInstance.ephemeral() as ephemeral:

        def tick() -> dg.sensor_definition.SensorExecutionData:
            return sensor.evaluate_tick(dg.build_sensor_context(instance=ephemeral))

        said = []
        for seconds in (0, 60, 120, 180, 240):
            now = seconds
            said.append(tick().skip_message or "")
        deliver(settings, lines([event("late")]))
        now = 420
        assert len(tick().run_requests or []) == 1
    paused = [f"the last look took long, so the next is in {left} s" for left in (120, 60)]
    assert [one.split(";")[0] for one in said[2:4]] == paused
    assert {said[0], said[1], said[4]} == {"no closed feed hour has a new or changed delivery"}


@pytest.mark.torture
@pytest.mark.parametrize(("what", "more_cpu"), [("look", 0.25), ("status", 0.5)])
def test_a_year_of_hourly_feeds_makes_it_no_slower(settings: Settings, what: str, more_cpu: float) -> None:
    """Against a week, on a machine with other work. The first one after that many deliveries compares all of them."""
    begin(settings)
    costs = []
    for back in (range(1, 7 * 24), range(7 * 24, 365 * 24)):
        add_history(settings, back)
        add_runs(settings, back)
        costs.append((cost(settings, what), cost(settings, what)))
    (first_week, week), (first_year, year) = costs
    Figures(f"a year of hourly feeds: {what}").most(
        week_cpu_s=week.cpu, year_cpu_s=year.cpu, week_memory_mib=week.mib, year_memory_mib=year.mib,
        first_of_year_memory_mib=first_year.mib,
    )  # fmt: skip
    assert year.cpu - week.cpu < more_cpu
    assert year.mib - week.mib < 64
    assert first_year.mib - first_week.mib < 128
