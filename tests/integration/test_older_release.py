"""A home that an older release published last: what reads it says the one command to run, and that mends it."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from orchestration import lake
from orchestration.settings import Settings, load_settings
from tests.integration.report_support import browser, served
from tests.integration.support import audit, deliver, event, lines, one, query, run, until

_SAID = "`audit run` brings it up to date"


@pytest.fixture(scope="module")
def older_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The home of a release that had no replays, no deletions and no counts of either; nothing waits for a run."""
    settings = load_settings(home=tmp_path_factory.mktemp("older") / "home", applications="search")
    deliver(settings, lines([event("a"), event("b"), "junk"]))
    run(settings)
    with duckdb.connect() as connection:
        lake.attach(connection, settings)
        for table in ("replayed_record", "deletion"):
            connection.execute(f"drop table audit.quality.{table}")
        connection.execute("drop view audit.main.activity_audit_report")
        connection.execute("alter table audit.quality.feed_reconciliation drop column deleted_at_utc")
        connection.execute("alter table audit.quality.quarantined_event drop column resolved_at_utc")
        connection.execute("create view audit.main.activity_audit_report as select 1 as old")
    return settings


@pytest.fixture
def older(older_home: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(older_home.home, tmp_path / "home")
    return load_settings(home=tmp_path / "home", applications="search")


def test_who_reads_it_is_told_the_command_and_a_run_with_nothing_new_mends_it(older: Settings, tmp_path: Path) -> None:
    chosen = ["--from", "2026-05-01", "--to", "2026-05-02"]
    commands = [
        ["review", "--no-verify"],
        ["sql", "select deleted_at_utc from quality.feed_reconciliation"],
        ["status"],
        ["export", *chosen, "--to-file", str(tmp_path / "export.csv")],
    ]
    for command in commands:
        done = audit(older, *command, check=False)
        assert done.returncode in (0, 1), (command, done.stderr)
        assert "Traceback" not in done.stderr, command
        assert done.returncode == 0 or _SAID in done.stderr, (command, done.stderr)
    assert _SAID in audit(older, *commands[0], check=False).stderr
    # An error of the query's own is told as that.
    assert _SAID not in audit(older, "sql", "select nothing_like_it from quality.feed_delivery", check=False).stderr
    audit(older, "run")
    assert one(older, "select count(*) from fact_activity_event") == 2
    assert len(query(older, "select * from quality.replayed_record")) == 0
    for command in commands:
        done = audit(older, *command, check=False)
        assert _SAID not in done.stderr, (command, done.stderr)
    assert "Nothing new" in audit(older, "run").stdout


def test_the_report_says_the_command_and_needs_no_restart(older: Settings) -> None:
    with served(older) as report, browser(report.base, follow_redirects=True) as reader:
        reader.get(report.link)
        told = reader.get("/")
        assert told.status_code == 503
        assert "of an older release" in told.text
        assert "Run “audit run”" in told.text
        audit(older, "run")
        until(lambda: reader.get("/").status_code == 200)
