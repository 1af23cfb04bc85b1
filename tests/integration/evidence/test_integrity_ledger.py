"""Tampering with the ledger, and what tells: the chain, what its entries vouch for, or a head that was kept."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activity_audit.base.hours import naive, now_utc
from activity_audit.evidence.verify.verify import NoLedgerError, verify
from activity_audit.ledger import chain, ledger
from activity_audit.ledger.adoption import adopt
from activity_audit.ledger.head import keep
from activity_audit.pipeline.status import status
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import Settings
from activity_audit.transform.scratch import Workbench
from activity_audit.warehouse import lake
from activity_audit.warehouse.known_ids import event_id_key
from tests import warm_process
from tests.integration.support import AUDIT, HOUR, audit, deliver, event, lines, process_environment, query, run, said
from tests.integration.tampering import FACT, LEDGER, change, copied, entries, findings, named, raw_file, warehouse


@pytest.fixture
def home(integrity_home: Settings, tmp_path: Path) -> Settings:
    return copied(integrity_home, tmp_path / "home")


def test_a_ledger_entry_that_was_edited(home: Settings) -> None:
    change(home, f"update {LEDGER} set accepted = 19 where sequence = 2")
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("ledger", "changed", "entry 2")


def test_a_ledger_entry_that_was_edited_and_hashed_again(home: Settings) -> None:
    entry = entries(home)[1]
    text = chain.entry_text(2, "batch", entry.batch, entry.recorded_at_utc + timedelta(hours=1))
    own = chain.entry_sha256(entry.previous_sha256, text)
    change(
        home,
        f"update {LEDGER} set recorded_at_utc = recorded_at_utc + interval 1 hour, entry_sha256 = '{own}' "
        "where sequence = 2",
    )
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("ledger", "changed", "entry 3")
    assert "it follows another entry than 2, which is there" in found.detail


def test_a_ledger_entry_removed_in_the_middle(home: Settings) -> None:
    batch = entries(home)[1].batch
    change(home, f"delete from {LEDGER} where sequence = 2")
    found = findings(home)
    assert [(f.layer, f.problem, f.what) for f in found] == [
        ("ledger", "missing", "entry 2"),
        ("ledger", "missing", f"{batch.feed} {batch.feed_hour_utc:%Y-%m-%dT%H:%MZ} run {batch.run_id}"),
    ]


def test_a_ledger_cut_off_with_all_that_it_vouched_for(home: Settings) -> None:
    """Whoever removes a whole run with its traces is told by the head that was kept, and by nothing else."""
    kept = entries(home)[-1]
    change(home, f"delete from {LEDGER} where run_id = '{kept.batch.run_id}'")
    assert named(findings(home)) == [("ledger", "missing")] * 2
    later = "feed_hour_utc >= '2026-05-01 11:00'"
    tables = (FACT, "quality.feed_delivery", "quality.quarantined_event", "quality.feed_reconciliation")
    keys = f"select {event_id_key()} from {FACT} where {later}"
    change(home, f"delete from quality.known_event_id where event_id_key in ({keys})",
           *(f"delete from {table} where {later}" for table in tables),
           "update agg_activity_hourly set event_count = 40",
           "update dim_entity_activity set event_count = 40 where event_count > 0",
           "update quality.observed_name set event_count = 40")  # fmt: skip
    for feed in ("search", "qm"):
        raw_file(home, feed, 11).unlink()
    assert findings(home) == []
    (found,) = findings(home, kept.entry_sha256)
    assert (found.layer, found.problem) == ("ledger", "missing")
    assert kept.entry_sha256 in found.detail
    done = said(home, "verify", "--expect-head", kept.entry_sha256, exit_code=1)
    assert "NOT INTACT" in done.stdout


def test_a_ledger_written_anew(home: Settings) -> None:
    kept = entries(home)
    forged = chain.append(None, "batch", [kept[1].batch, kept[0].batch, *(e.batch for e in kept[2:])],
                          kept[-1].recorded_at_utc)  # fmt: skip
    change(home, f"delete from {LEDGER}")
    with warehouse(home) as connection:
        ledger.insert(connection, f"audit.{LEDGER}", forged)
    assert findings(home) == []
    assert named(findings(home, kept[-1].entry_sha256)) == [("ledger", "missing")]


def test_what_an_earlier_release_published_is_adopted_once(home: Settings) -> None:
    change(home, f"drop table {LEDGER}", "alter table quality.feed_delivery drop column raw_sha256")
    raw_file(home, "qm", 10).unlink()
    done = audit(home, "ledger", "head", check=False)
    assert done.returncode == 1
    assert "the warehouse has no ledger" in done.stderr
    with pytest.raises(NoLedgerError):
        verify(home)
    run(home)
    adopted = entries(home)
    assert [entry.kind for entry in adopted] == ["adopted"] * 4
    assert findings(home) == []
    # A batch whose entry was removed is no old one, and stays a finding.
    change(home, f"delete from {LEDGER} where sequence = 4")
    with Workbench(home, "again").connect() as connection:
        assert adopt(connection, local_lake(home.raw_dir).store, naive(HOUR)) == 0
    assert len(entries(home)) == 3
    assert named(findings(home)) == [("ledger", "missing")]


@pytest.mark.slow
def test_a_run_keeps_the_head_outside_and_verify_may_watch_it(home: Settings, tmp_path: Path) -> None:
    heads = tmp_path / "mount" / "heads"
    kept = home.model_copy(update={"ledger_head_file": heads})
    deliver(home, lines([event("one")]), name="one.ndjson", hour=4)
    process = warm_process.Popen([AUDIT, "run"], env=process_environment(home, AUDIT_LEDGER_HEAD_FILE=str(heads)),
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    # Whatever the run is about, verify has nothing to say.
    found = [findings(home)]
    while process.poll() is None:
        time.sleep(1)
        found.append(findings(home))
    assert found == [[]] * len(found)
    assert len(found) > 3
    assert "warning: the head of the ledger, entry 5" in process.communicate()[0]
    assert any("is not in AUDIT_LEDGER_HEAD_FILE" in sentence for sentence in status(kept)["broken"])
    heads.parent.mkdir()
    heads.write_text("4 cut of")
    for _ in range(2):
        with lake.reader(kept) as connection:
            assert keep(connection, kept) is None
    newest = entries(home)[-1]
    head = f"5 {newest.entry_sha256} {newest.recorded_at_utc.isoformat()}Z {newest.batch.run_id}"
    assert heads.read_text() == f"4 cut of\n{head}\n"
    assert not any("AUDIT_LEDGER_HEAD_FILE" in sentence for sentence in status(kept)["broken"])
    change(home, f"delete from {LEDGER} where sequence = 5")
    found = findings(kept)
    assert any(newest.entry_sha256 in finding.detail for finding in found)
    assert [finding.what for finding in found if finding.severity == "warning"] == [f"{heads} line 1"]


def test_heads_that_a_run_adds_meanwhile_are_no_finding(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = tmp_path / "heads"
    heads.write_text(f"4 {entries(home)[-1].entry_sha256} 2026-05-01T12:00:00Z run\n")
    begin = lake.reader

    @contextmanager
    def beside_a_run(*arguments: Any, **options: Any) -> Iterator[Any]:
        with begin(*arguments, **options) as connection:
            heads.write_text(f"{heads.read_text()}5 {'0' * 64} 2026-05-01T13:00:00Z run\n")
            yield connection

    monkeypatch.setattr(lake, "reader", beside_a_run)
    watched = home.model_copy(update={"ledger_head_file": heads})
    assert findings(watched) == []
    assert named(findings(watched)) == [("ledger", "missing")]


def test_the_time_of_an_entry_is_utc_wherever_the_run_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        deliver(settings, lines([event("a")]))
        before = naive(now_utc())
        run(settings)
        (recorded,) = query(settings, "select recorded_at_utc from quality.integrity_ledger")
        assert before <= recorded[0] <= naive(now_utc())
    finally:
        monkeypatch.undo()
        time.tzset()
