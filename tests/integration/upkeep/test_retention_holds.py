"""Legal holds: what one covers is kept from retention until it is released, and which are refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from activity_audit.cli.hold import command as hold
from activity_audit.cli.maintain import command as maintain_command
from activity_audit.settings.core import Settings
from activity_audit.upkeep.maintenance import Allowed, maintain, preview
from activity_audit.upkeep.retention import holds
from activity_audit.warehouse import lake
from tests.integration.retention_support import BY_FEED, EARLIER, keeping
from tests.integration.support import HOUR, audit, query
from tests.integration.tampering import change, copied, findings, named


@pytest.fixture
def home(retention_home: Settings, tmp_path: Path) -> Settings:
    return copied(retention_home, tmp_path / "home")


def test_a_hold_keeps_what_it_covers_and_its_release_lets_it_go(home: Settings) -> None:
    kept = keeping(home, "30d")
    pages = home.raw_dir / "pages/cxone/2026-05-01/11"
    pages.mkdir(parents=True)
    for name in ("a.parquet", "sealed.json"):
        (pages / name).touch()
    period = ("--from", EARLIER, "--to", "2026-05-01T10:30Z")
    done = audit(home, "hold", "place", "--application", "search", *period, "--reason", "matter 7", "--by", "counsel")
    assert "is placed on Search, 2026-04-20T09:00:00Z to 2026-05-01T10:30:00Z." in done.stdout
    (held,) = json.loads(CliRunner().invoke(hold, ["list", "--output", "json"], obj=home).output)
    assert (held["stands"], held["application"], held["reason"]) == (True, "Search", "matter 7")
    # Its own hour, and those of the other feed that have an event of the application and the period.
    hours = [("qm", 10), ("search", 10), ("qm", 11)]
    assert [(hour.feed, hour.feed_hour_utc.hour) for hour in preview(kept).retention.held] == hours
    assert {hour.holds for hour in maintain(kept).retention.held} == {(held["hold_id"],)}
    assert query(home, BY_FEED) == [("qm", 40), ("search", 20)]
    assert (pages / "a.parquet").exists()
    assert findings(home) == []

    shown = CliRunner().invoke(maintain_command, ["--dry-run"], obj=kept).output
    assert "Kept by a legal hold" in shown
    assert held["hold_id"] in shown
    copy = copied(home, home.home.with_name("tampered") / "home")
    change(copy, "delete from quality.legal_hold")
    assert named(findings(copy)) == [("hold", "missing")]
    assert maintain(keeping(copy, "30d")).refused
    assert query(copy, BY_FEED) == [("qm", 40), ("search", 20)]
    change(home, "update quality.legal_hold set to_utc = from_utc + interval 1 hour")
    assert named(findings(home)) == [("hold", "changed")]
    change(home, "update quality.legal_hold set to_utc = '2026-05-01 10:30'")

    holds.release(home, held["hold_id"], "settled", "counsel")
    with pytest.raises(holds.HoldError, match="in force"):
        holds.release(home, held["hold_id"], "settled", "counsel")
    assert query(home, "select action, application, reason from quality.legal_hold order by recorded_at_utc") == [
        ("placed", "Search", "matter 7"), ("released", "Search", "settled"),
    ]  # fmt: skip
    maintain(kept, Allowed(large_deletion=True))
    assert query(home, BY_FEED) == []
    # That the hour is sealed is kept in mind, so that the API is not asked for it again.
    assert [path.name for path in pages.iterdir()] == ["sealed.json"]
    assert findings(home) == []
    change(home, "insert into quality.legal_hold by name select * replace ('x' as hold_id) from quality.legal_hold")
    assert named(findings(home)) == [("hold", "added")] * 2


def test_holds_that_cannot_be(home: Settings) -> None:
    empty = home.model_copy(update={"home": home.home.with_name("empty")})
    with pytest.raises(lake.NothingPublishedError):
        holds.place(empty, "all", HOUR, HOUR + timedelta(hours=1), "r", "b")
    with pytest.raises(holds.HoldError, match="'nobody' is not an application"):
        holds.place(home, "nobody", HOUR, HOUR + timedelta(hours=1), "r", "b")
    row, warning = holds.place(home, "ALL", HOUR, HOUR + timedelta(hours=1), "r", "b")
    assert (row.application, warning) == ("all", None)
    assert [(hour.feed, hour.feed_hour_utc.hour) for hour in preview(keeping(home, "30d")).retention.held] == [
        ("qm", 10), ("search", 10),
    ]  # fmt: skip
