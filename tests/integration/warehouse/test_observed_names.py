"""The one label of each name: the same in dimension, drift and report, over runs, an upgrade and retention."""

from __future__ import annotations

from pathlib import Path

import pytest

from activity_audit.evidence.verify.verify import verify
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.settings.core import Settings, load_settings
from activity_audit.upkeep.maintenance import maintain
from tests.integration.retention_support import keeping
from tests.integration.support import deliver, event, lines, one, query, run
from tests.integration.tampering import change, copied

COUNTED = """
    select 'application', application, count(*) from fact_activity_event group by all
    union all select 'entity', entity, count(*) from fact_activity_event group by all
    union all select 'activity', activity, count(*) from fact_activity_event group by all
"""
SHOWN = "select application, entity, activity, event_count from {} where event_count > 0 order by all"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Names that nobody documented, in several spellings, over two hours; the tests work on copies."""
    folder = tmp_path_factory.mktemp("names")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search,qm")
    old = [event(f"a{n}", entity="gizmo", activity="SPIN") for n in range(2)]
    old += [event("doc", entity="ADVANCELIFECYCLERULE", activity="spin"), event("one", entity="Once", activity="SPIN")]
    deliver(settings, lines(old))
    run(settings)
    return settings


@pytest.fixture(scope="module")
def grown(published: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same after `_more`; the tests work on copies."""
    settings = copied(published, tmp_path_factory.mktemp("grown") / "home")
    _more(settings)
    return settings


@pytest.fixture
def home(published: Settings, tmp_path: Path) -> Settings:
    return copied(published, tmp_path / "home")


def _more(settings: Settings) -> None:
    """Another hour and feed, after which other spellings are the most frequent."""
    new = [event(f"b{n}", entity="Giz-Mo", activity="spin", eventTime="2026-05-01T11:15:00Z") for n in range(3)]
    deliver(settings, lines(new), feed="qm", hour=1)
    run(settings, 1)


def _consistent(settings: Settings, *names: tuple[str, str, str, int]) -> None:
    """What is observed has these names everywhere, and the spellings are counted as the events have them."""
    observed = [row for row in query(settings, SHOWN.format("dim_entity_activity")) if row[1] != "Search"]
    assert observed == sorted(names)
    assert query(settings, SHOWN.format("quality.catalogue_drift")) == observed
    table = "select field, spelling, event_count from quality.observed_name"
    assert query(settings, f"(({COUNTED}) except all {table}) union all ({table} except all ({COUNTED}))") == []
    warehouse = Warehouse(settings)
    try:
        with warehouse.query() as asked:
            for shown in observed:
                named = zip(("application", "entity", "activity"), shown, strict=False)
                assert [asked.labels.of(field, name) for field, name in named] == list(shown[:3])
    finally:
        warehouse.close()
    assert verify(settings).findings == []


BEFORE = (
    ("Search", "AdvanceLifecycleRule", "SPIN", 1), ("Search", "Once", "SPIN", 1), ("Search", "gizmo", "SPIN", 2),
)  # fmt: skip
AFTER = (
    ("Search", "AdvanceLifecycleRule", "spin", 1), ("Search", "Once", "spin", 1), ("Search", "Giz-Mo", "spin", 5),
)  # fmt: skip


@pytest.mark.slow
def test_the_label_follows_the_events_of_later_runs(published: Settings, grown: Settings) -> None:
    _consistent(published, *BEFORE)
    # Four events are spelled `spin`, and three `SPIN`: also that of a key without new events.
    _consistent(grown, *AFTER)


@pytest.mark.slow
def test_a_home_of_an_earlier_release_is_counted_once(home: Settings) -> None:
    change(home, "drop table quality.observed_name",
           "update dim_entity_activity set entity = upper(entity) where not is_documented")  # fmt: skip
    assert verify(home).findings == []
    _more(home)
    _consistent(home, *AFTER)
    snapshots = one(home, "select count(*) from audit.snapshots() where commit_message like 'spellings%'")
    deliver(home, lines([event("late", eventTime="2026-05-01T12:15:00Z")]), feed="qm", hour=2)
    run(home, 2)
    assert one(home, "select count(*) from audit.snapshots() where commit_message like 'spellings%'") == snapshots == 1


@pytest.mark.slow
def test_retention_leaves_the_labels_of_the_events_that_stay(grown: Settings, tmp_path: Path) -> None:
    home = copied(grown, tmp_path / "home")
    done = maintain(keeping(home, "forever, qm=30d"))
    assert [(due.digest.feed, due.digest.accepted) for due in done.retention.due] == [("qm", 3)]
    _consistent(home, *BEFORE)


def test_wrong_names_and_counts_are_found(home: Settings) -> None:
    change(home, "update dim_entity_activity set entity = 'GIZMO' where entity = 'gizmo'")
    assert [one.what for one in verify(home).findings] == ["dim_entity_activity, the names of 1 rows"]
    change(home, "update dim_entity_activity set entity = 'gizmo' where entity = 'GIZMO'",
           "update quality.observed_name set event_count = event_count + 1 where spelling = 'Once'")  # fmt: skip
    assert [one.what for one in verify(home).findings] == ["observed_name, 1 rows"]
