"""Evidence packs: of which state they are, what they say of it, and that a stranger can check them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from activity_audit.base.hours import parse_time
from activity_audit.cli.evidence import command
from activity_audit.evidence.pack.pack import EvidenceError, make_pack
from activity_audit.evidence.pack.texts import CHECKS, UNMASKED_CHECKS, settings_shown
from activity_audit.evidence.verify.verify import NoLedgerError
from activity_audit.ledger.digests import record_sha256
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.masked import WORD
from tests.integration.evidence_support import (
    PERIOD,
    check_pack,
    check_pack_as_a_stranger,
    check_sums,
    failed_checks,
    pack_of,
)
from tests.integration.support import audit, one, query, said
from tests.integration.tampering import change, copied, fact_files

# What a masked pack must not have: the fields, the records as they came, and the hashes of both.
_HIDDEN = f"""
    select unnest([triggered_by, instance, comments, {record_sha256()}]) from fact_activity_event
    union all select unnest([record, record_sha256]) from quality.quarantined_event
"""


@pytest.fixture(scope="module")
def home(evidence_home: Settings) -> Settings:
    return evidence_home


def test_a_stranger_can_check_a_pack(home: Settings, tmp_path: Path) -> None:
    target = tmp_path / "some" / "where's it"
    done = audit(home, "evidence", *PERIOD, "--application", "search", "--out", str(target), "--output", "json")
    printed = json.loads(done.stdout)
    assert printed["intact"]
    # 30 plain, 2 odd, 1 late, 1 again: not the one of QM, and not the one at the end of the period.
    assert printed["rows"]["events"] == 34
    assert check_sums(target).returncode == 0
    own_sum = subprocess.run(["sha256sum", target / "SHA256SUMS"], capture_output=True, text=True, check=True).stdout
    assert own_sum.split()[0] == printed["sha256sums_sha256"]
    listed = {line.split("  ", 1)[1] for line in (target / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in target.iterdir()} - {"SHA256SUMS"}
    checked = check_pack_as_a_stranger(target)
    assert check_pack(target) == checked
    assert tuple(checked) == CHECKS
    assert {name: detail for name, (ok, detail) in checked.items() if not ok} == {}
    head = json.loads(said(home, "ledger", "head", "--output", "json").stdout)
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
    assert "exists already; name a folder that does not exist, or an empty one" in again.stderr
    assert check_sums(target).returncode == 0
    assert list(target.parent.iterdir()) == [target]


def test_a_masked_pack_holds_and_tells_nobody_who_did_what(home: Settings, tmp_path: Path) -> None:
    target = tmp_path / "masked"
    command_line = ["evidence", *PERIOD, "--out", str(target), "--masked"]
    printed = json.loads(said(home, *command_line, "--output", "json").stdout)
    assert (printed["intact"], printed["masked"], printed["rows"]["events"]) == (True, True, 35)
    checked = check_pack(target)
    assert tuple(checked) == tuple(name for name in CHECKS if name not in UNMASKED_CHECKS)
    assert {name: detail for name, (ok, detail) in checked.items() if not ok} == {}
    assert check_sums(target).returncode == 0
    assert "`masked` stands in place of" in (target / "README.md").read_text()
    hidden = {str(value) for row in query(home, _HIDDEN) for value in row if value is not None and len(str(value)) > 3}
    with duckdb.connect() as connection:
        tables = {path: connection.execute(f"from '{path}'").fetchall() for path in target.glob("*.parquet")}
    texts = {str(value) for rows in tables.values() for row in rows for value in row}
    assert hidden & texts == set()
    written = "".join(path.read_text() for path in target.iterdir() if path.suffix != ".parquet")
    assert [value for value in hidden if value in written] == []
    events = duckdb.sql(f"select distinct triggered_by, instance, comments from '{target}/events.parquet'").fetchall()
    assert events == [(WORD,) * 3]
    refused = audit(home, *command_line, "--with-raw", check=False)
    assert (refused.returncode, "exclude each other" in refused.stderr) == (2, True)


def test_the_pack_of_an_earlier_run(home: Settings, tmp_path: Path) -> None:
    first = one(home, "select run_id from quality.pipeline_run order by started_at_utc limit 1")
    pack = pack_of(home, tmp_path / "then", first)
    assert pack.about["intact"]
    assert (pack.about["rows"]["events"], pack.about["head"]["sequence"]) == (33, 2)
    assert pack.about["snapshot"]["newest_run_id"] == first
    assert failed_checks(pack.folder) == {}
    # It is the same again, but for when it was made.
    again = pack_of(home, tmp_path / "again", first)
    sums = [(folder / "SHA256SUMS").read_text().splitlines() for folder in (pack.folder, again.folder)]
    assert {line.split("  ")[1] for line in set(sums[0]) ^ set(sums[1])} == {"pack.json"}


def test_a_pack_without_events(home: Settings, tmp_path: Path) -> None:
    pack = pack_of(home, tmp_path / "none", outcomes=("FAILURE",), entities=("User",))
    assert pack.about["rows"]["events"] == 0
    assert pack.about["rows"]["record_hashes"] == 34
    assert failed_checks(pack.folder) == {}
    assert "**It has no event.**" in (pack.folder / "README.md").read_text()
    # Nor any feed hour: nothing was delivered in that period.
    never = Filters(parse_time("2020-01-01"), parse_time("2020-01-02"))
    nothing = make_pack(home, lambda _: never, tmp_path / "nothing")
    assert {name for name, rows in nothing.about["rows"].items() if rows} == {"chain"}
    assert failed_checks(nothing.folder) == {}
    # That no run looked is not that nothing happened.
    assert nothing.about["coverage"]["level"] == "unknown"
    unknown = "**It is not known whether the period is complete**: 48 of 48 feed hours not looked at"
    assert unknown in (nothing.folder / "README.md").read_text()


def test_a_warehouse_that_is_not_as_it_was_published(home: Settings, tmp_path: Path) -> None:
    changed = copied(home, tmp_path / "home")
    change(changed, "delete from quality.quarantined_event where event_id = 'no-zone'")
    target = tmp_path / "pack"
    done = said(changed, "evidence", *PERIOD, "--out", str(target), exit_code=1)
    assert "NOT INTACT" in done.stdout
    found = json.loads((target / "integrity.json").read_text())["findings"]
    assert [(f["layer"], f["problem"], f["severity"]) for f in found] == [("quarantine", "missing", "error")] * 2
    assert "\n**NOT INTACT.** When this pack was made" in (target / "README.md").read_text()
    assert check_sums(target).returncode == 0
    assert list(failed_checks(target)) == ["quarantined_in_ledger"]
    fact_files(changed)[0].unlink()
    with pytest.raises(EvidenceError, match=r"cannot be written: .* `audit verify` names damaged files"):
        pack_of(changed, tmp_path / "damaged")
    change(changed, "drop table quality.integrity_ledger")
    with pytest.raises(NoLedgerError):
        pack_of(changed, tmp_path / "no ledger")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "landing", "pack"]


def test_wrong_usage(home: Settings, tmp_path: Path) -> None:
    for arguments, message in {
        ("--from", "2026-05-02", "--to", "2026-05-01"): "half-open",
        (*PERIOD, "--application", "serch"): "did you mean 'Search'",
    }.items():
        done = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "pack")], obj=home)
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="file exists already"):
        pack_of(home, tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_pack_that_fails_leaves_nothing(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("activity_audit.evidence.pack.pack._write_sums", no_disk)
    with pytest.raises(OSError, match="No space left"):
        pack_of(home, tmp_path / "pack")
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
