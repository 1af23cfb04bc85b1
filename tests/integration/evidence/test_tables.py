"""The tables of an evidence pack: those of the warehouse, and a stranger's check tells where one was tampered with."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pytest

from activity_audit.evidence.pack import texts
from activity_audit.evidence.pack.pack import Options, Pack
from activity_audit.evidence.pack.texts import CHECKS
from activity_audit.ledger import chain, ledger
from activity_audit.ledger.slices import slices
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from tests.integration.evidence_support import check_pack, check_sums, edit_about, failed_checks, pack_of, rewrite
from tests.integration.tampering import copied, raw_file, warehouse


@pytest.fixture(scope="module")
def home(evidence_home: Settings) -> Settings:
    return evidence_home


@pytest.fixture(scope="module")
def pack(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack of everything that the period has, with raw files and the whole ledger."""
    with pytest.MonkeyPatch.context() as patch:
        # Checked in a slice for each feed hour, as if each had a million events.
        patch.setattr(texts, "slices", partial(slices, most=0))
        return pack_of(
            home, tmp_path_factory.mktemp("pack") / "pack", options=Options(with_raw=True, whole_ledger=True)
        )


@pytest.fixture
def own(pack: Pack, tmp_path: Path) -> Path:
    """A copy of that pack, to be tampered with."""
    return Path(shutil.copytree(pack.folder, tmp_path / "pack"))


def test_the_tables_are_those_of_the_warehouse(home: Settings, pack: Pack) -> None:
    # Of the hour after the period there is only the feed that events of the period came in.
    beyond = "not (feed = 'qm' and feed_hour_utc = '2026-05-01 12:00')"
    tables = {
        "events": "main.fact_activity_event where event_time_utc < '2026-05-01 12:00'",
        "reconciliation": f"quality.feed_reconciliation where {beyond}",
        "deliveries": "quality.feed_delivery",
        "quarantine": "quality.quarantined_event",
        "validation_results": "quality.validation_result",
        "pipeline_runs": "quality.pipeline_run",
        "ledger": "quality.integrity_ledger",
    }
    with lake.reader(home) as connection:
        for name, table in tables.items():
            stored = connection.execute(f"from {table} order by all").fetchall()
            left_out = "exclude (record_sha256)" if name == "events" else ""
            written = f"select * {left_out} from '{pack.folder}/{name}.parquet' order by all"
            assert connection.execute(written).fetchall() == stored
        ((hard,),) = connection.execute("select comments from fact_activity_event where event_id = 'hard'").fetchall()
    assert pack.about["rows"]["events"] == 35
    # Python's reader of CSV and DuckDB's agree.
    rows = {row["event_id"]: row for row in _csv_rows(pack.folder / "events.csv")}
    assert rows["hard"]["comments"] == hard
    assert rows["long"]["comments"] == 'x"' * 60_000
    assert [row["reasons"] for row in _csv_rows(pack.folder / "quarantine.csv")].count("[unparseable]") == 4
    raw = raw_file(home, "qm", 10)
    assert (pack.folder / "raw" / raw.relative_to(home.raw_dir)).read_bytes() == raw.read_bytes()
    assert list(check_pack(pack.folder)) == [*CHECKS, "raw_files"]
    assert failed_checks(pack.folder) == {}


def _csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


_EDITED = "select * replace (if(event_id = 'plain-3', 'FAILURE', outcome) as outcome) from t"
_WITHOUT = "from t where event_id <> 'plain-3'"
TAMPERED: dict[str, tuple[str, str, str]] = {
    # What is done: the table, how it is written anew, and the check that finds it.
    "an event changed": ("events", _EDITED, "event_hashes"),
    "an event removed": ("events", _WITHOUT, "events_in_batches"),
    "an event twice": ("events", "from t union all from t where event_id = 'plain-3'", "event_hashes"),
    "an event in another hour": (
        "events", "select * replace (feed_hour_utc - to_hours(1) as feed_hour_utc) from t", "events_in_batches"
    ),
    "a hash removed": ("record_hashes", "from t limit (select count(*) - 1 from t)", "events_in_ledger"),
    "a hash marked as left out": (
        "record_hashes", "select * replace (false as is_in_pack) from t", "events_in_batches"
    ),
    "an entry edited": ("ledger", "select * replace (accepted + 1 as accepted) from t", "ledger_entries"),
    "an entry removed": ("ledger", "from t where sequence <> 2", "ledger_entries"),
    "the chain cut off": ("chain", "from t where sequence < (select max(sequence) from t)", "chain"),
    "the chain cut in the middle": ("chain", "from t where sequence <> 2", "chain"),
    "a link replaced": (
        "chain", "select * replace (if(sequence = 2, sha256('x'), leaf_sha256) as leaf_sha256) from t", "chain"
    ),
    "a refused record edited": (
        "quarantine", "select * replace (replace(record, 'junk', 'gold') as record) from t", "quarantined_in_ledger"
    ),
    "a refused record removed": ("quarantine", "from t where not contains(record, 'junk')", "quarantined_in_ledger"),
    "a delivery edited": ("deliveries", "select * replace (sha256('x') as sha256) from t", "deliveries_in_ledger"),
    "a delivery removed": ("deliveries", "from t where feed <> 'qm'", "deliveries_in_ledger"),
    "a sum edited": ("reconciliation", "select * replace (accepted + 1 as accepted) from t", "reconciliation"),
    "sums edited that add up": (
        "reconciliation", "select * replace (accepted - 1 as accepted, duplicate + 1 as duplicate) from t",
        "reconciliation",
    ),
    "a feed hour removed": ("reconciliation", "from t where feed <> 'qm'", "reconciliation"),
    "a feed hour not named": ("feed_hours", "from t where feed <> 'qm'", "feed_hours"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_a_table_that_was_tampered_with(own: Path, what: str) -> None:
    name, query, check = TAMPERED[what]
    rewrite(own, name, query)
    failed = failed_checks(own)
    assert check in failed
    assert "csv_equals_parquet" not in failed
    assert "row_counts" not in failed
    assert f"{name}.parquet: FAILED" in check_sums(own).stdout


def test_an_event_that_was_changed_with_its_hash(own: Path, pack: Pack) -> None:
    sql = (own / "check.sql").read_text()
    record_sha256 = sql.split("record_sha256 is distinct from ")[1].split("union all")[0]
    rewrite(own, "events", f"select * replace ({record_sha256} as record_sha256) from ({_EDITED})")
    assert set(failed_checks(own)) == {"events_in_batches"}
    # And with the hash in its batch too, the digest is another one.
    changed = f"(select record_sha256 from '{own}/events.parquet' where event_id = 'plain-3')"
    before = f"(select record_sha256 from '{pack.folder}/events.parquet' where event_id = 'plain-3')"
    rewrite(
        own, "record_hashes",
        f"select * replace (if(record_sha256 = {before}, {changed}, record_sha256) as record_sha256) from t",
    )  # fmt: skip
    assert list(failed_checks(own)) == ["events_in_ledger"]


def test_what_no_digest_covers_is_still_counted_and_compared(own: Path) -> None:
    rewrite(own, "validation_results", "from t limit 3", count=False)
    rewrite(own, "pipeline_runs", "select * replace (received + 1 as received) from t", both=False)
    raw = next((own / "raw" / "qm").rglob("*.parquet"))
    raw.write_bytes(raw.read_bytes() + b"x")
    edit_about(own, lambda about: about["filters"].update({"outcomes": ["FAILURE"]}))
    failed = failed_checks(own)
    assert list(failed) == ["row_counts", "csv_equals_parquet", "event_filters", "raw_files"]
    assert failed["row_counts"].startswith("1 differ: validation_results has 3 rows, and pack.json says ")
    assert failed["csv_equals_parquet"].startswith("1 differ: pipeline_runs.csv has ")
    assert failed["raw_files"] == f"1 differ: {raw.relative_to(own)}"


@pytest.mark.parametrize(("old", "new"), [(b'"plain-3"', b'"other"'), (b'"QM"', b""), (b"=1+1", b"=1+2")])
def test_a_csv_that_was_edited_by_hand(own: Path, old: bytes, new: bytes) -> None:
    path = own / "events.csv"
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    assert list(failed_checks(own)) == ["csv_equals_parquet"]


def test_a_csv_that_is_none_any_more(own: Path) -> None:
    path = own / "events.csv"
    path.write_bytes(path.read_bytes() + b"one more\n")
    with pytest.raises(duckdb.Error, match=r"events\.csv"):
        check_pack(own)


def test_a_batch_that_retention_deleted(home: Settings, tmp_path: Path) -> None:
    changed = copied(home, tmp_path / "home")
    with warehouse(changed) as connection:
        first = next(entry for entry in ledger.entries(connection) if entry.batch.feed == "search")
        newest = ledger.newest(connection)
        entries = chain.append(newest, chain.DELETION, [first.batch], first.recorded_at_utc)
        # A hold is for no feed hour, whatever its entry has in these columns.
        entries += chain.append(entries[-1], chain.HOLD, [replace(first.batch, feed="all")], first.recorded_at_utc)
        ledger.insert(connection, f"audit.{ledger.TABLE}", entries)
        of_batch = f"where feed = 'search' and run_id = '{first.batch.run_id}'"
        connection.execute(f"delete from fact_activity_event {of_batch}")
        connection.execute(f"delete from quality.quarantined_event {of_batch}")
    pack = pack_of(changed, tmp_path / "pack", options=Options(with_raw=True))
    checked = check_pack(pack.folder)
    assert checked["events_in_ledger"] == (True, "3 batches, events: 4")
    assert checked["deliveries_in_ledger"] == (True, "4 batches, deliveries: 4")
    # The files are still there, which retention would have removed too.
    assert [name for name, (ok, _) in checked.items() if not ok] == ["raw_files"]
    rewrite(pack.folder, "ledger", f"from t where kind <> '{chain.DELETION}'")
    assert {"events_in_ledger", "quarantined_in_ledger"} <= set(failed_checks(pack.folder))
