"""Retention in doubt: what is not as it was recorded stays, and tampering with what was deleted is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from activity_audit.base.hours import naive
from activity_audit.ledger.adoption import adopt
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import Settings
from activity_audit.transform.scratch import Workbench
from activity_audit.upkeep.maintenance import maintain, preview
from orchestration.definitions import build_definitions
from orchestration.jobs import UPKEEP
from tests.integration.retention_support import BY_FEED, keeping
from tests.integration.support import HOUR, query, said
from tests.integration.tampering import FACT, change, copied, entries, findings, flip, named, raw_file


@pytest.fixture
def home(retention_home: Settings, tmp_path: Path) -> Settings:
    return copied(retention_home, tmp_path / "home")


@pytest.fixture(scope="module")
def deleted(retention_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same home after retention deleted what the feed search has."""
    home = copied(retention_home, tmp_path_factory.mktemp("deleted") / "home")
    maintain(keeping(home, "search=30d"))
    return home


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([f"insert into {FACT} by name select * replace ('search' as feed, timestamp '2026-05-01 10:00' as "
          f"feed_hour_utc) from {FACT} limit 1",
          "delete from quality.feed_delivery where feed = 'search' and feed_hour_utc = '2026-05-01 11:00'"],
         {("fact", "added"), ("fact", "changed"), ("delivery", "missing"), ("reconciliation", "added")}),
        (["delete from quality.deletion where feed_hour_utc = '2026-05-01 10:00'",
          "update quality.deletion set events = 1",
          "insert into quality.deletion by name select * replace ('qm' as feed) from quality.deletion"],
         {("deletion", "missing"), ("deletion", "changed"), ("deletion", "added")}),
        (["update quality.integrity_ledger set accepted = 19 where sequence = 5"],
         {("ledger", "changed"), ("deletion", "changed")}),
        (["update quality.integrity_ledger set kind = 'batch' where sequence = 5"],
         {("ledger", "changed"), ("ledger", "added"), ("deletion", "added"), ("fact", "missing"),
          ("quarantine", "missing"), ("raw", "missing")}),
    ],
)  # fmt: skip
def test_tampering_with_what_was_deleted(
    deleted: Settings, tmp_path: Path, statements: list[str], expected: set[tuple[str, str]]
) -> None:
    home = copied(deleted, tmp_path / "home")
    change(home, *statements)
    assert set(named(findings(home))) == expected


def test_what_is_not_as_it_was_recorded_stays(home: Settings) -> None:
    kept = keeping(home, "30d")
    change(home, f"update {FACT} set outcome = 'FAILURE' where event_id = 'search-0-3'")
    path = raw_file(home, "qm", 11)
    flip(path, path.stat().st_size // 2)
    before = query(home, BY_FEED)
    done = said(home, "maintain", "--dry-run", "--output", "json", exit_code=1, AUDIT_RETENTION="30d")
    told = json.loads(done.stdout)["retention"]
    assert [(one["layer"], one["problem"]) for one in told["differing"]] == [("fact", "changed"), ("raw", "changed")]
    assert [(total["feed"], total["hours"]) for total in told["feeds"]] == [("qm", 1), ("search", 1)]
    assert query(home, BY_FEED) == before
    found = set(named(findings(home)))
    assert maintain(kept).refused
    assert query(home, BY_FEED) == [("qm", 20), ("search", 20)]
    assert set(named(findings(home))) == found
    # With the ledger in doubt, nothing goes.
    change(home, "update quality.integrity_ledger set duplicate = 0 where sequence = 1")
    assert maintain(kept).retention.due == []


@pytest.mark.slow
def test_the_daily_upkeep_fails_where_something_stayed(home: Settings) -> None:
    change(home, f"delete from {FACT} where event_id = 'search-0-3'")
    definitions = build_definitions(keeping(home, "search=30d"))
    done = definitions.resolve_job_def(UPKEEP).execute_in_process(raise_on_error=False)
    assert not done.success
    assert query(home, BY_FEED) == [("qm", 40), ("search", 19)]


@pytest.mark.slow
def test_what_has_no_entry_yet_stays_until_it_has(home: Settings) -> None:
    kept = keeping(home, "search=30d")
    change(home, "drop table quality.integrity_ledger", "alter table quality.feed_delivery drop column raw_sha256")
    assert len(preview(kept).retention.unrecorded) == 2
    done = maintain(kept)
    assert (done.retention.due, len(done.retention.unrecorded), done.refused) == ([], 2, False)
    with Workbench(home, "adopt").connect() as connection:
        assert adopt(connection, local_lake(home.raw_dir).store, naive(HOUR)) == 4
    assert len(maintain(kept).retention.due) == 2
    assert [entry.kind for entry in entries(home)] == ["adopted"] * 4 + ["deletion"] * 2
    assert findings(home) == []
