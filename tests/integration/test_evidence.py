"""Evidence packs: checked as a stranger does, with `sha256sum` and DuckDB alone, and tampered with."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from orchestration import lake
from orchestration.cli.evidence import command
from orchestration.evidence import texts
from orchestration.evidence.about import settings_shown
from orchestration.evidence.pack import EvidenceError, Options, Pack, make_pack
from orchestration.evidence.texts import CHECKS
from orchestration.hours import parse_time
from orchestration.integrity import chain, ledger
from orchestration.integrity.slices import slices
from orchestration.integrity.verify import NoLedgerError
from orchestration.settings import Settings, load_settings
from report.filters import Filters
from tests.integration.support import audit, deliver, event, lines, one, run
from tests.integration.tampering import change, copied, fact_files, raw_file, warehouse

HARD = 'say "hi",\r\nthen\n"";\'\\ \t — 😀 \x0b \u2028 \u202e =1+1 \x7f \0'
PERIOD = ("--from", "2026-05-01T10:00:00Z", "--to", "2026-05-01T12:00:00Z")
# What a stranger types, but for the name of their Python; -I leaves out everything of ours.
STRANGER = "import duckdb, json; print(json.dumps(duckdb.sql(open('check.sql').read()).fetchall()))"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Two feeds and two runs, with everything that is hard on files, late events and refused records."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("evidence")
        patch.setenv("AUDIT_HOME", str(folder / "home"))
        settings = load_settings(applications="search,qm", ledger_head_file=folder / "heads")
        odd = [event("hard", comments=HARD, triggeredBy='"', instance=","), event("long", comments='x"' * 60_000)]
        no_zone = event("no-zone", eventTime="2026-05-01T10:00:00")
        # The last is a line of 2.4 MB in CSV.
        junk = [no_zone, 'junk, "with" quotes', b'{"a": "\xff\xfe\x00"}', "[]", b"\xff" * 300_000]
        plain = [event(f"plain-{n}", eventTime=f"2026-05-01T10:20:{n:02}Z") for n in range(30)]
        deliver(settings, lines([*plain, *odd, plain[0], *junk]), "a 'b', \"c\".ndjson")
        deliver(settings, lines([event("qm-1", application="QM", outcome="failure")]), feed="qm")
        run(settings)
        late = event("late", eventTime="2026-05-01T10:59:59.999999Z")
        outside = event("outside", eventTime="2026-05-01T12:00:00Z")
        deliver(settings, lines([late, outside, no_zone]), hour=2)
        deliver(settings, lines([event("again")]), "b.ndjson")
        run(settings, 0, 3)
        yield settings


@pytest.fixture(scope="module")
def pack(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack of everything that the period has, with raw files and the whole ledger."""
    with pytest.MonkeyPatch.context() as patch:
        # Checked in a slice for each feed hour, as if each had a million events.
        patch.setattr(texts, "slices", partial(slices, most=0))
        return _make(home, tmp_path_factory.mktemp("pack") / "pack", options=Options(with_raw=True, whole_ledger=True))


@pytest.fixture
def own(pack: Pack, tmp_path: Path) -> Path:
    """A copy of that pack, to be tampered with."""
    return Path(shutil.copytree(pack.folder, tmp_path / "pack"))


def _make(home: Settings, target: Path, at: str | None = None, options: Options | None = None, **chosen: Any) -> Pack:
    filters = Filters(parse_time(PERIOD[1]), parse_time(PERIOD[3]), **chosen)
    return make_pack(home, lambda _: filters, target, at, options)


def _check(folder: Path) -> dict[str, tuple[bool, str]]:
    """The stranger's check: each row that DuckDB prints."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER], cwd=folder, env={}, capture_output=True, text=True, check=True
    )
    return {name: (ok, detail) for name, ok, detail in json.loads(done.stdout)}


def failed_checks(folder: Path) -> dict[str, str]:
    return {name: detail for name, (ok, detail) in _check(folder).items() if not ok}


def _sums(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_stranger_can_check_a_pack(home: Settings, tmp_path: Path) -> None:
    target = tmp_path / "some" / "where's it"
    done = audit(home, "evidence", *PERIOD, "--application", "search", "--out", str(target), "--output", "json")
    printed = json.loads(done.stdout)
    assert printed["intact"]
    # 30 plain, 2 odd, 1 late, 1 again: not the one of QM, and not the one at the end of the period.
    assert printed["rows"]["events"] == 34
    assert _sums(target).returncode == 0
    own_sum = subprocess.run(["sha256sum", target / "SHA256SUMS"], capture_output=True, text=True, check=True).stdout
    assert own_sum.split()[0] == printed["sha256sums_sha256"]
    listed = {line.split("  ", 1)[1] for line in (target / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in target.iterdir()} - {"SHA256SUMS"}
    checked = _check(target)
    assert tuple(checked) == CHECKS
    assert {name: detail for name, (ok, detail) in checked.items() if not ok} == {}
    head = json.loads(audit(home, "ledger", "head", "--output", "json").stdout)
    assert checked["chain"][1] == f"{head['sequence']} {head['entry_sha256']}"
    # The feed hour after the period is there because an event of the period came in it, with its other event's hash.
    assert checked["events_in_batches"][1] == "34 of the 35 events of their batches"
    readme = (target / "README.md").read_text()
    assert "# Evidence: 34 activity audit events, 2026-05-01T10:00:00Z to 2026-05-01T12:00:00Z" in readme
    assert f"{head['sequence']} {head['entry_sha256']}" in readme
    assert "NOT INTACT" not in readme
    # A folder that has something is left alone.
    again = audit(home, "evidence", *PERIOD, "--out", str(target), check=False)
    assert again.returncode == 1
    assert "is there already; name a folder that is not there, or an empty one" in again.stderr
    assert _sums(target).returncode == 0
    assert list(target.parent.iterdir()) == [target]


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
    assert list(_check(pack.folder)) == [*CHECKS, "raw_files"]
    assert failed_checks(pack.folder) == {}


def _csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _rewrite(folder: Path, name: str, query: str, *, both: bool = True, count: bool = True) -> None:
    """Write a table of the pack anew, as somebody would who knows how it is made: CSV and row count follow."""
    path = folder / f"{name}.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"create table t as from '{path}'")
        connection.execute(f"copy ({query}) to '{path}' (format parquet)")
        if both and (folder / f"{name}.csv").exists():
            connection.execute(f"copy (from '{path}') to '{folder}/{name}.csv' (header, force_quote *)")
        rows = connection.execute(f"select count(*) from '{path}'").fetchall()[0][0]
    if count:
        _edit(folder, lambda about: about["rows"].update({name: rows}))


def _edit(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    about = json.loads((folder / "pack.json").read_text())
    edit(about)
    (folder / "pack.json").write_text(json.dumps(about, indent=2))


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
    _rewrite(own, name, query)
    failed = failed_checks(own)
    assert check in failed
    assert "csv_equals_parquet" not in failed
    assert "row_counts" not in failed
    assert f"{name}.parquet: FAILED" in _sums(own).stdout


def test_an_event_that_was_changed_with_its_hash(own: Path, pack: Pack) -> None:
    sql = (own / "check.sql").read_text()
    record_sha256 = sql.split("record_sha256 is distinct from ")[1].split("union all")[0]
    _rewrite(own, "events", f"select * replace ({record_sha256} as record_sha256) from ({_EDITED})")
    assert set(failed_checks(own)) == {"events_in_batches"}
    # And with the hash in its batch too, the digest is another one.
    changed = f"(select record_sha256 from '{own}/events.parquet' where event_id = 'plain-3')"
    before = f"(select record_sha256 from '{pack.folder}/events.parquet' where event_id = 'plain-3')"
    _rewrite(
        own, "record_hashes",
        f"select * replace (if(record_sha256 = {before}, {changed}, record_sha256) as record_sha256) from t",
    )  # fmt: skip
    assert list(failed_checks(own)) == ["events_in_ledger"]


def test_what_no_digest_covers_is_still_counted_and_compared(own: Path) -> None:
    _rewrite(own, "validation_results", "from t limit 3", count=False)
    _rewrite(own, "pipeline_runs", "select * replace (received + 1 as received) from t", both=False)
    raw = next((own / "raw" / "qm").rglob("*.parquet"))
    raw.write_bytes(raw.read_bytes() + b"x")
    _edit(own, lambda about: about["filters"].update({"outcomes": ["FAILURE"]}))
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
    with pytest.raises(subprocess.CalledProcessError) as error:
        _check(own)
    assert "events.csv" in error.value.stderr


def test_the_pack_of_an_earlier_run(home: Settings, tmp_path: Path) -> None:
    first = one(home, "select run_id from quality.pipeline_run order by started_at_utc limit 1")
    pack = _make(home, tmp_path / "then", first)
    assert pack.about["intact"]
    assert (pack.about["rows"]["events"], pack.about["head"]["sequence"]) == (33, 2)
    assert pack.about["snapshot"]["newest_run_id"] == first
    assert failed_checks(pack.folder) == {}
    # It is the same again, but for when it was made.
    again = _make(home, tmp_path / "again", first)
    sums = [(folder / "SHA256SUMS").read_text().splitlines() for folder in (pack.folder, again.folder)]
    assert {line.split("  ")[1] for line in set(sums[0]) ^ set(sums[1])} == {"pack.json"}


def test_a_pack_without_events(home: Settings, tmp_path: Path) -> None:
    pack = _make(home, tmp_path / "none", outcomes=("FAILURE",), entities=("User",))
    assert pack.about["rows"]["events"] == 0
    assert pack.about["rows"]["record_hashes"] == 34
    assert failed_checks(pack.folder) == {}
    assert "**It has no event.**" in (pack.folder / "README.md").read_text()
    # Nor any feed hour: nothing was delivered in that period.
    never = Filters(parse_time("2020-01-01"), parse_time("2020-01-02"))
    nothing = make_pack(home, lambda _: never, tmp_path / "nothing")
    assert {name for name, rows in nothing.about["rows"].items() if rows} == {"chain"}
    assert failed_checks(nothing.folder) == {}


def test_a_warehouse_that_is_not_as_it_was_published(home: Settings, tmp_path: Path) -> None:
    changed = copied(home, tmp_path / "home")
    change(changed, "delete from quality.quarantined_event where event_id = 'no-zone'")
    target = tmp_path / "pack"
    done = audit(changed, "evidence", *PERIOD, "--out", str(target), check=False)
    assert done.returncode == 1
    assert "NOT INTACT" in done.stdout
    found = json.loads((target / "integrity.json").read_text())["findings"]
    assert [(f["layer"], f["problem"], f["severity"]) for f in found] == [("quarantine", "missing", "error")] * 2
    assert "\n**NOT INTACT.** When this pack was made" in (target / "README.md").read_text()
    assert _sums(target).returncode == 0
    assert list(failed_checks(target)) == ["quarantined_in_ledger"]
    fact_files(changed)[0].unlink()
    with pytest.raises(EvidenceError, match=r"cannot be written: .* `audit verify` tells which file is damaged"):
        _make(changed, tmp_path / "damaged")
    change(changed, "drop table quality.integrity_ledger")
    with pytest.raises(NoLedgerError):
        _make(changed, tmp_path / "no ledger")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "landing", "pack"]


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
    pack = _make(changed, tmp_path / "pack", options=Options(with_raw=True))
    checked = _check(pack.folder)
    assert checked["events_in_ledger"] == (True, "3 batches, events: 4")
    assert checked["deliveries_in_ledger"] == (True, "4 batches, deliveries: 4")
    # The files are still there, which retention would have removed too.
    assert [name for name, (ok, _) in checked.items() if not ok] == ["raw_files"]
    _rewrite(pack.folder, "ledger", f"from t where kind <> '{chain.DELETION}'")
    assert {"events_in_ledger", "quarantined_in_ledger"} <= set(failed_checks(pack.folder))


def test_wrong_usage(home: Settings, tmp_path: Path) -> None:
    for arguments, message in {
        ("--from", "2026-05-02", "--to", "2026-05-01"): "half-open",
        (*PERIOD, "--application", "serch"): "did you mean 'Search'",
    }.items():
        done = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "pack")], obj=home)
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="file is there already"):
        _make(home, tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_pack_that_fails_leaves_nothing(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestration.evidence.pack._write_sums", no_disk)
    with pytest.raises(OSError, match="No space left"):
        _make(home, tmp_path / "pack")
    assert list(tmp_path.iterdir()) == []


def test_no_secret_is_in_the_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_SOURCE", "cxone")
    monkeypatch.setenv("AUDIT_CATALOG", "postgresql://audit:s3cret-1@db.example/audit?sslkey=s3cret-2")
    monkeypatch.setenv("CXONE_API_URL", "https://api.example")
    monkeypatch.setenv("CXONE_TOKEN_URL", "https://auth.example/token")
    monkeypatch.setenv("CXONE_ACCESS_KEY_ID", "s3cret-3")
    monkeypatch.setenv("CXONE_ACCESS_KEY_SECRET", "s3cret-4")
    shown = settings_shown(load_settings())
    assert "s3cret" not in json.dumps(shown)
    assert shown["AUDIT_CATALOG"].endswith("db.example/audit?sslkey=***")
    assert shown["CXONE_ACCESS_KEY_SECRET"] == "***"
    assert shown["AUDIT_SEAL_AFTER"] == "10800s"
    other = load_settings(source="files", catalog="postgres:dbname=a password='s3cret 5' host=h")
    assert settings_shown(other)["AUDIT_CATALOG"] == "postgres:dbname=a password=*** host=h"
