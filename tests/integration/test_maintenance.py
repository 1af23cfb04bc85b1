"""Upkeep changes the files, never what the warehouse says."""

from __future__ import annotations

from datetime import timedelta

from orchestration import lake
from orchestration.maintenance import maintain
from orchestration.settings import Settings
from tests.integration.support import deliver, dump, event, lines, one, run


def test_upkeep_merges_files_and_expires_snapshots(settings: Settings) -> None:
    for hour in range(4):
        deliver(settings, lines([event(f"{hour}-{n}") for n in range(20)]), hour=hour)
        outcome = run(settings, hour)
    before = dump(settings, set())
    with lake.reader(settings) as reading:
        assert reading.execute("select count(*) from fact_activity_event").fetchall() == [(80,)]
        kept = maintain(settings)
        assert reading.execute("select count(*) from fact_activity_event").fetchall() == [(80,)]
    assert kept["snapshots after"] >= kept["snapshots before"]
    assert dump(settings, set()) == before
    assert one(settings, "select count(*) from fact_activity_event", outcome.run_id) == 80

    expired = maintain(settings.model_copy(update={"snapshot_retention": timedelta(0)}))
    assert expired["snapshots after"] < expired["snapshots before"]
    assert expired["data files after"] <= kept["data files before"]
    assert dump(settings, set()) == before
    deliver(settings, lines([event("after")]), hour=5)
    run(settings, 5)
    assert one(settings, "select count(*) from fact_activity_event") == 81
