"""The homes of older releases: what reads one works or says the one command to run, and that mends it."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import duckdb
import pytest

from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake_writer
from tests.integration.report_support import browser, served
from tests.integration.support import audit, deliver, event, lines, one, query, run, until

_SAID = "`audit run` upgrades it"
_NO_LEDGER = "`audit run` starts one"
_HOMES = Path(__file__).parents[1] / "older_homes"
_RELEASES = ["c887fd7", "60188ec", "48294a7"]
_PERIOD = ["--from", "2026-05-01", "--to", "2026-05-02"]


@pytest.fixture(scope="module")
def older_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The home of a release that had no replays, no deletions and no counts of either; nothing waits for a run."""
    settings = load_settings(home=tmp_path_factory.mktemp("older") / "home", applications="search")
    deliver(settings, lines([event("a"), event("b"), "junk"]))
    run(settings)
    with duckdb.connect() as connection:
        lake_writer.attach(connection, settings)
        for table in ("replayed_record", "deletion"):
            connection.execute(f"drop table audit.quality.{table}")
        connection.execute("drop view audit.main.activity_audit_report")
        connection.execute("alter table audit.quality.feed_reconciliation drop column deleted_at_utc")
        connection.execute("alter table audit.quality.quarantined_event drop column resolved_at_utc")
        connection.execute("create view audit.main.activity_audit_report as select 1 as old")
    return settings


@pytest.fixture
def recent(older_home: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(older_home.home, tmp_path / "home")
    return load_settings(home=tmp_path / "home", applications="search")


@pytest.mark.slow
def test_who_reads_it_is_told_the_command_and_a_run_with_nothing_new_mends_it(recent: Settings) -> None:
    commands = [["review", "--no-verify"], ["sql", "select deleted_at_utc from quality.feed_reconciliation"]]
    for command in commands:
        done = audit(recent, *command, check=False)
        assert done.returncode == 1, (command, done.stdout)
        assert "Traceback" not in done.stderr, command
        assert _SAID in done.stderr, (command, done.stderr)
    # An error of the query's own is reported as such.
    assert _SAID not in audit(recent, "sql", "select nothing_like_it from quality.feed_delivery", check=False).stderr
    audit(recent, "run")
    assert one(recent, "select count(*) from fact_activity_event") == 2
    assert len(query(recent, "select * from quality.replayed_record")) == 0
    for command in commands:
        done = audit(recent, *command, check=False)
        assert _SAID not in done.stderr, (command, done.stderr)
    assert "Nothing new" in audit(recent, "run").stdout


@pytest.fixture(params=_RELEASES)
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A home as an older release left it; nothing waits for a run."""
    home = tmp_path / "home"
    with tarfile.open(_HOMES / f"{request.param}.tar.xz") as archive:
        archive.extractall(home, filter="data")
    return load_settings(home=home, applications="search")


def _commands(folder: Path) -> list[list[str]]:
    """Each command that reads the warehouse."""
    folder.mkdir()
    return [
        ["status"],
        ["review"],
        ["verify"],
        ["ledger", "head"],
        ["hold", "list"],
        ["maintain", "--dry-run"],
        ["sql", "select * from activity_audit_report"],
        ["sql", "select deleted_at_utc from quality.feed_reconciliation"],
        ["export", *_PERIOD, "--to-file", str(folder / "export.csv")],
        ["evidence", *_PERIOD, "--out", str(folder / "pack"), "--with-raw", "--whole-ledger"],
    ]


@pytest.mark.slow
def test_every_command_works_or_says_the_command_and_works_after_a_run(older: Settings, tmp_path: Path) -> None:
    told = {}
    for command in _commands(tmp_path / "before"):
        done = audit(older, *command, check=False)
        assert "Traceback" not in done.stderr, command
        # Without it, `status` finds that the data is old.
        if done.returncode and command != ["status"]:
            assert _SAID in done.stderr or _NO_LEDGER in done.stderr, (command, done.stderr)
            told[command[0]] = done.stderr
    assert {"review", "sql"} <= told.keys()
    # An error of the query's own is reported as such.
    assert _SAID not in audit(older, "sql", "select nothing_like_it from quality.feed_delivery", check=False).stderr
    assert "Nothing new" in audit(older, "run").stdout
    assert one(older, "select count(*) from fact_activity_event") == 2
    assert len(query(older, "select * from quality.quarantined_event where resolved_at_utc is null")) == 1
    for command in [*_commands(tmp_path / "after"), ["replay"], ["maintain"], ["verify"]]:
        done = audit(older, *command, check=False)
        assert done.returncode == 0 or command == ["status"], (command, done.stderr)
        assert _SAID not in done.stderr, (command, done.stderr)
    assert "Nothing new" in audit(older, "run").stdout


@pytest.mark.slow
@pytest.mark.parametrize("first", [["replay"], ["maintain"], ["hold", "place", "--application", "all", *_PERIOD,
                                                            "--reason", "matter 1", "--by", "counsel"]])  # fmt: skip
def test_what_changes_it_before_a_run_does_no_harm(older: Settings, tmp_path: Path, first: list[str]) -> None:
    audit(older, *first)
    audit(older, "run")
    for command in _commands(tmp_path / "after"):
        done = audit(older, *command, check=False)
        assert done.returncode == 0 or command == ["status"], (command, done.stderr)
    assert one(older, "select count(*) from fact_activity_event") == 2


_PAGES = ("/", "/groups", "/pictures", "/quality", "/quality/quarantine", "/quality/drift", "/quality/checks")


@pytest.mark.parametrize("older", _RELEASES[:1], indirect=True)
def test_a_query_says_the_command_and_works_after_it(older: Settings) -> None:
    asked = ("sql", "select deleted_at_utc from quality.feed_reconciliation")
    assert _SAID in audit(older, *asked, check=False).stderr
    audit(older, "run")
    assert _SAID not in audit(older, *asked).stderr
    assert one(older, "select count(*) from fact_activity_event") == 2


@pytest.mark.slow
@pytest.mark.parametrize("older", _RELEASES[:1], indirect=True)
def test_the_report_says_the_command_and_needs_no_restart(older: Settings) -> None:
    with served(older) as report, browser(report.base, follow_redirects=True) as reader:
        reader.get(report.link)
        told = {page: reader.get(page) for page in _PAGES}
        lacking = [answer for answer in told.values() if answer.status_code != 200]
        assert lacking
        for answer in lacking:
            assert answer.status_code == 503
            assert "of an older release" in answer.text
            assert "Run “audit run”" in answer.text
        # So do the commands; an error of the query's own is reported as such.
        old, wrong = (
            ("sql", "select deleted_at_utc from quality.feed_reconciliation"),
            ("sql", "select nothing_like_it from quality.feed_delivery"),
        )
        assert _SAID in audit(older, *old, check=False).stderr
        assert _SAID not in audit(older, *wrong, check=False).stderr
        audit(older, "run")
        assert _SAID not in audit(older, *old).stderr
        until(lambda: all(reader.get(page).status_code == 200 for page in _PAGES))
