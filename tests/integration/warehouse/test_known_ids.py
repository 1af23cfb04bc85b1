"""The keys by which a run finds published events: they find what they must, and are always those of the fact."""

from __future__ import annotations

import re
import shutil
import signal
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from activity_audit.evidence.verify import check_event_ids
from activity_audit.evidence.verify.verify import verify
from activity_audit.pipeline.stages import ChecksFailedError
from activity_audit.settings.core import Settings, load_settings
from activity_audit.upkeep import compaction
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse import known_ids, lake
from activity_audit.warehouse.key_index import KeyIndex
from tests import warm_process
from tests.integration.support import (
    HOUR,
    deliver,
    dump,
    event,
    key_differences,
    lines,
    one,
    process_environment,
    query,
    run,
)
from tests.integration.tampering import change, copied, findings, warehouse

KNOWN = "quality.known_event_id"
LONG_AGO = "2025-02-28T23:59:59.999999Z"
DISPOSITIONS = "select received, accepted, duplicate, quarantined from quality.pipeline_run order by started_at_utc"
# Dies with everything written and nothing committed.
DIES = """
import os, signal, sys
from datetime import timedelta
from activity_audit.publish import publish
from activity_audit.settings.core import load_settings
from tests.integration.support import run

commit = publish.transaction.__exit__

def die(self, *error):
    if self._message not in ("set up", *sys.argv[1:]):
        os.kill(os.getpid(), signal.SIGKILL)
    return commit(self, *error)

publish.transaction.__exit__ = die
run(load_settings(), 1)
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An hour with more events than DuckLake keeps in its catalog, some of a year ago; the tests work on copies."""
    folder = tmp_path_factory.mktemp("known-ids")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search")
    records = [event(f"recent-{n}") for n in range(20)] + [event(f"old-{n}", eventTime=LONG_AGO) for n in range(20)]
    deliver(settings, lines(records))
    run(settings)
    return settings


@pytest.fixture
def home(published: Settings, tmp_path: Path) -> Settings:
    return copied(published, tmp_path / "home")


def _deliver_again(settings: Settings) -> None:
    """In the next hour: repetitions and conflicts of recent and of old events, with and without their time, and new."""
    at = "2026-05-01T11:15:00Z"
    records = [
        event("recent-1"), event("old-1", eventTime=LONG_AGO),
        event("recent-2", comments="other"), event("old-2", eventTime=LONG_AGO, outcome="FAILURE"),
        event("recent-3", eventTime=LONG_AGO), event("old-3", eventTime=at),
        # Invalid, of a published id.
        event("old-4", eventTime=None),
        *(event(f"new-{n}", eventTime=at) for n in range(20)),
    ]  # fmt: skip
    deliver(settings, lines(records), hour=1)


def _key(event_id: str) -> str:
    return known_ids.event_id_key(f"'{event_id}'")


def _published_as_it_should_be(settings: Settings) -> None:
    assert query(settings, DISPOSITIONS) == [(40, 40, 0, 0), (27, 20, 2, 5)]
    reasons = dict(query(settings, "select event_id, reasons from quality.quarantined_event"))
    assert reasons == {
        **{name: ["event_id_conflict"] for name in ("recent-2", "old-2", "recent-3", "old-3")},
        "old-4": ["missing_event_time", "event_id_conflict"],
    }
    assert key_differences(settings) == []
    assert findings(settings) == []


def test_an_id_is_found_whenever_its_event_was(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_differences(home) == []
    _deliver_again(home)
    run(home, 1)
    _published_as_it_should_be(home)
    before = dump(home, set())
    monkeypatch.setattr(compaction, "_ENOUGH", 2)
    maintain(home)
    assert dump(home, set()) == before
    assert key_differences(home) == []
    # What is in keys that were compacted is found as well.
    deliver(home, lines([event("old-1", eventTime=LONG_AGO), event("new-1", comments="other")]), hour=2)
    assert run(home, 2).warnings == []
    assert query(home, DISPOSITIONS)[2] == (2, 0, 1, 1)
    # Without a digest, only wrong keys are warned of.
    change(home, f"delete from {KNOWN}_digest")
    assert run(home, 3).warnings == []
    with warehouse(home) as connection:
        assert known_ids.are_as_written(connection)


@pytest.mark.parametrize("index", ["lost", pytest.param("of another state", marks=pytest.mark.slow)])
def test_an_index_of_the_keys_that_does_not_fit_is_made_again(home: Settings, index: str) -> None:
    state = home.key_index_dir / "index.json"
    if index == "lost":
        shutil.rmtree(home.key_index_dir)
    else:
        # As if a backup of the warehouse had been restored: the rest of the index is what was published after it.
        with warehouse(home) as connection:
            now = connection.execute("select id from audit.current_snapshot()").fetchall()[0][0]
        state.write_text(re.sub(r'"snapshot": \d+', f'"snapshot": {now}', state.read_text()))
    _deliver_again(home)
    assert run(home, 1).warnings == []
    _published_as_it_should_be(home)
    assert state.exists()


def test_an_index_that_goes_while_a_run_is_under_way_is_held_on_to(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure = known_ids.ensure

    def lost_then(connection: duckdb.DuckDBPyConnection, index: KeyIndex) -> None:
        ensure(connection, index)
        shutil.rmtree(home.key_index_dir)

    _deliver_again(home)
    with monkeypatch.context() as patch:
        patch.setattr(known_ids, "ensure", lost_then)
        run(home, 1)
    _published_as_it_should_be(home)


def test_an_event_of_its_own_hour_is_found_by_no_index(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the index fails, the check that blocks finds in the fact what came again with its time."""
    none = (np.empty(0, np.int64), np.empty(0, np.int32))
    deliver(home, lines([event("recent-1")]), hour=1)
    monkeypatch.setattr(KeyIndex, "find", lambda *_: none)
    with pytest.raises(ChecksFailedError, match="No event id is in the warehouse already"):
        run(home, 1)


@pytest.mark.slow
def test_a_warehouse_of_an_earlier_release_gets_its_keys(home: Settings) -> None:
    change(home, f"drop table {KNOWN}")
    first = one(home, "select run_id from quality.pipeline_run")
    assert findings(home) == []
    _deliver_again(home)
    run(home, 1)
    _published_as_it_should_be(home)
    assert one(home, "select count(*) from fact_activity_event", at=first) == 40
    messages = query(home, "select commit_message from audit.snapshots() order by snapshot_id")
    assert [row[0] for row in messages].count("keys of the published event ids") == 1


@pytest.mark.slow
def test_an_upgrade_that_dies_begins_again_and_so_does_a_run(home: Settings) -> None:
    change(home, f"drop table {KNOWN}")
    _deliver_again(home)
    environment = process_environment(home)
    upgrade = "keys of the published event ids"
    for lets_pass, keys in (((), 0), ((upgrade,), 40)):
        dead = warm_process.run([sys.executable, "-c", DIES, *lets_pass], env=environment)
        assert dead.returncode == -signal.SIGKILL
        assert one(home, f"select count(*) from {KNOWN}") == keys
        assert one(home, "select count(*) from fact_activity_event") == 40
    run(home, 1)
    _published_as_it_should_be(home)


def test_a_key_that_is_gone_or_too_many_is_named_and_made_again(home: Settings) -> None:
    change(home, f"delete from {KNOWN} where event_id_key = {_key('old-7')}")
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("key", "missing", "event hour 2025-02-28T23:00Z")
    assert found.detail == "1 events have no key: old-7"

    change(home, f"insert into {KNOWN} values (5, '2026-05-01 10:00'), (5, '1999-05-01 10:00')")
    assert [(f.layer, f.problem, f.what, f.detail) for f in findings(home)] == [
        ("key", "added", "event hour 1999-05-01T10:00Z", "1 keys belong to no event: 5"),
        ("key", "missing", "event hour 2025-02-28T23:00Z", "1 events have no key: old-7"),
        ("key", "added", "event hour 2026-05-01T10:00Z", "1 keys belong to no event: 5"),
    ]
    run(home, 1)
    assert findings(home) == key_differences(home) == []


def test_keys_that_are_others_are_named(home: Settings) -> None:
    change(
        home,
        f"update {KNOWN} set event_id_key = 5 where event_id_key = {_key('old-7')}",
        f"update {KNOWN} set event_hour_utc = '2026-05-01 11:00' where event_id_key = {_key('recent-7')}",
    )
    assert [(f.problem, f.what, f.detail.split(":")[0]) for f in findings(home)] == [
        ("changed", "event hour 2025-02-28T23:00Z", "1 events have no key"),
        ("missing", "event hour 2026-05-01T10:00Z", "1 events have no key"),
        ("added", "event hour 2026-05-01T11:00Z", "1 keys belong to no event"),
    ]
    # Where the fact is not what was published, that is what there is to say.
    change(home, "delete from fact_activity_event where event_id = 'old-7'")
    assert {finding.layer for finding in findings(home)} == {"fact"}


@pytest.mark.parametrize(
    "changed",
    ["the key", *(pytest.param(one, marks=pytest.mark.slow) for one in ("the hour", "none is recorded, the key"))],
)
def test_a_run_makes_keys_again_that_are_wrong_and_right_in_number(home: Settings, changed: str) -> None:
    columns = "event_hour_utc = '1999-05-01 10:00'" if changed == "the hour" else "event_id_key = event_id_key // 2 + 5"
    change(
        home, *([f"delete from {KNOWN}_digest"] if changed.startswith("none") else []), f"update {KNOWN} set {columns}"
    )
    _deliver_again(home)
    outcome = run(home, 1)
    (warning,) = outcome.warnings
    assert warning.startswith("the keys of the published event ids differed from the fact")
    _published_as_it_should_be(home)
    # What was made again is trusted, and what the run added is in the digest.
    with warehouse(home) as connection:
        assert known_ids.are_as_written(connection)
        assert known_ids.complete(connection) == []


@pytest.mark.slow
@pytest.mark.parametrize("with_keys", [True, False])
def test_an_id_that_is_in_the_fact_twice_is_named(
    home: Settings, with_keys: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the ledger vouches for both, as where a run accepted it again because it found no key."""
    _deliver_again(home)
    with pytest.MonkeyPatch.context() as patch:
        # A run of before, that trusted keys which were wrong and right in number.
        patch.setattr(known_ids, "complete", lambda _: [])
        change(home, f"update {KNOWN} set event_id_key = event_id_key // 2 + 5")
        run(home, 1)
    if with_keys:
        # As the documents say; the next run makes them again.
        change(home, f"delete from {KNOWN}")
        deliver(home, lines([event("later")]), hour=2)
        run(home, 2)
        assert key_differences(home) == []
    # Slices that are smaller than what there is find the same.
    monkeypatch.setattr(check_event_ids, "_KEYS_AT_A_TIME", 7)
    found = {finding.layer: finding for finding in findings(home)}
    assert found.keys() == ({"fact"} if with_keys else {"fact", "key"})
    assert (found["fact"].problem, found["fact"].what) == ("added", "6 event ids")
    for name in ("old-1", "old-2", "old-3", "recent-1", "recent-2", "recent-3"):
        assert f"{name} (2 times: search 2026-05-01T10:00Z run " in found["fact"].detail
    # Of a period, its ids are looked up in all the history.
    first, later = HOUR + timedelta(hours=1), HOUR + timedelta(hours=2)
    assert "6 event ids" in [finding.what for finding in verify(home, (first, later)).findings]
    assert "6 event ids" not in [finding.what for finding in verify(home, (later, later + timedelta(hours=1))).findings]


def test_ids_that_share_a_key_are_no_fault(home: Settings) -> None:
    change(home, f"update {KNOWN} set event_id_key = 5, event_hour_utc = '2026-05-01 10:00'")
    with lake.reader(home) as connection:
        assert list(check_event_ids.check_doubled(connection, "true", keys_hold=True)) == []


def test_of_many_hours_that_differ_some_are_named(home: Settings) -> None:
    change(home, f"insert into {KNOWN} select n, timestamp '2026-01-01' + to_hours(n) from range(15) as r(n)")
    found = findings(home)
    assert len(found) == 11
    assert found[-1].what == "5 more event hours"
