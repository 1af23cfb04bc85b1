"""Replay, retention, evidence and the auditor's page, one after the other on the same records."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from activity_audit.evidence.pack.pack import make_pack
from activity_audit.pipeline.replay import replay
from activity_audit.report.auditors.collect import collect
from activity_audit.report.auditors.verdicts import verdicts
from activity_audit.settings.core import Settings
from activity_audit.upkeep.maintenance import Allowed, maintain
from activity_audit.warehouse.events.filters import Filters
from tests.integration.evidence_support import failed_checks
from tests.integration.support import HOUR, begin, deliver, event, lines, one, query, run
from tests.integration.tampering import change, copied, findings


@pytest.mark.slow
def test_a_record_is_refused_replayed_proved_and_deleted(settings: Settings, tmp_path: Path) -> None:
    ahead = [event(f"ahead-{n}", eventTime="2026-05-01T13:30:00Z") for n in range(2)]
    deliver(settings, lines([*(event(f"{n}") for n in range(20)), *ahead, event("bad", outcome="maybe")]))
    run(settings)
    patient = settings.model_copy(update={"future_tolerance": timedelta(hours=5)})
    assert replay(patient, "replay-1").accepted == 2
    assert findings(settings) == []

    filters = Filters(HOUR, HOUR + timedelta(days=1))
    pack = make_pack(settings, lambda _: filters, tmp_path / "kept")
    assert failed_checks(pack.folder) == {}
    assert duckdb.sql(f"select count(*) from '{pack.folder}/replayed.parquet'").fetchall() == [(2,)]

    tampered = copied(settings, tmp_path / "tampered")
    change(tampered, "update audit.quality.replayed_record set reasons_before = [] where event_id = 'ahead-0'")
    kept = maintain(tampered.model_copy(update={"retention": "7d"}))
    assert kept.refused
    assert one(tampered, "select count(*) from fact_activity_event") == 22

    gone = maintain(settings.model_copy(update={"retention": "7d"}), Allowed(large_deletion=True))
    assert not gone.refused
    assert one(settings, "select count(*) from fact_activity_event") == 0
    assert one(settings, "select count(*) from quality.quarantined_event") == 0
    assert query(settings, "select kind, accepted from quality.integrity_ledger order by sequence") == [
        ("batch", 20), ("replay", 2), ("deletion", 20), ("deletion", 2)
    ]  # fmt: skip
    assert findings(settings) == []
    assert replay(patient, "replay-2").judged == 0
    after = make_pack(settings, lambda _: filters, tmp_path / "after")
    assert failed_checks(after.folder) == {}
    # The snapshots of before are there still, the raw files are not.
    earlier = collect(settings, at="replay-1").integrity
    assert earlier is not None
    assert (earlier.findings, earlier.counts["events"], earlier.counts["raw files"]) == ([], 22, 0)
    assert make_pack(settings, lambda _: filters, tmp_path / "earlier", "replay-1").about["intact"]
    balance = next(verdict for verdict in verdicts(collect(settings)) if verdict.area == "Balance")
    assert (balance.level, "retention has deleted 1 feed hour" in balance.answer) == ("good", True)


@pytest.mark.slow
def test_the_page_of_an_earlier_state_is_verified_as_of_then(settings: Settings) -> None:
    first = begin(settings)
    deliver(settings, lines([event("b")]), hour=1)
    run(settings, 1)
    change(settings, "update audit.main.fact_activity_event set comments = 'forged' where event_id = 'b'")
    now, then = collect(settings).integrity, collect(settings, at=first).integrity
    assert now is not None
    assert then is not None
    assert [(found.layer, found.problem) for found in now.findings] == [("fact", "changed")]
    assert (then.findings, then.counts["events"], then.counts["ledger entries"]) == ([], 1, 1)
