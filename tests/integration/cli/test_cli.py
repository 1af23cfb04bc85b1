"""The command line as a user or a script meets it: results, formats, exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from activity_audit.cli import sql
from activity_audit.cli.main import cli
from activity_audit.report.auditors.period import Period
from activity_audit.report.auditors.queries import Scope, queries
from activity_audit.settings.core import load_settings
from activity_audit.warehouse import lake, read_only_sql
from tests.integration.support import AUDIT, HOUR, audit, deliver, event, lines, process_environment, said, taken_port
from tests.made_once import made_once


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """A home with one published hour, shared by the tests of this module, which only read it."""
    made = made_once("cli", _publish)
    home = tmp_path_factory.mktemp("cli") / "home"
    shutil.copytree(made / "home", home)
    return load_settings(home=home, feed_url=str(made / "landing"))


def _publish(folder: Path) -> None:
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"))
    deliver(settings, lines([event("a", comments='a, "quoted" one'), event("b", comments=None), "junk"]))
    done = audit(settings, "run", "--output", "json")
    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert report["new"] == {"deliveries": 1, "received": 3, "accepted": 2, "duplicate": 0, "quarantined": 1}
    assert report["runs"][0]["success"]
    assert {row["feed"] for row in report["reconciliation"]} > {"search", "qm"}


def test_a_second_run_says_that_nothing_is_new(settings) -> None:  # type: ignore[no-untyped-def]
    done = audit(settings, "run")
    assert "Nothing new" in done.stdout
    assert done.stderr == ""


def test_a_run_in_an_empty_home_says_where_it_looked_and_how_to_get_feeds(tmp_path: Path) -> None:
    empty = load_settings(home=tmp_path / "home")
    done = audit(empty, "run")
    assert f"no delivery below {empty.feed_root} has come yet" in done.stdout
    assert "AUDIT_FEED_URL" in done.stdout
    assert "audit sql" not in done.stdout
    assert json.loads(audit(empty, "run", "--output", "json").stdout)["runs"] == []
    # What it proposes works.
    proposed = re.findall(r"^ +audit (\S+(?: --\S+ \S+)*)", done.stdout, re.MULTILINE)
    assert proposed == ["simulate --hours 24"]
    audit(empty, *proposed[0].split(), "--events-per-hour", "10", "--hours", "3")
    assert "New in this run" in audit(empty, "run").stdout


def test_a_run_proposes_only_what_works(settings) -> None:  # type: ignore[no-untyped-def]
    proposed = audit(settings, "run").stdout.split("Where to look next:")[1]
    commands = re.findall(r"^  audit (.+?)(?:   .*)?$", proposed, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        if command != "serve":
            # The home is of a day long ago, so it is not in order.
            said(settings, *shlex.split(command), exit_code=1 if command == "status" else 0)


def test_status_names_an_application_for_people(settings) -> None:  # type: ignore[no-untyped-def]
    said = audit(settings, "status", check=False).stdout
    assert "Quality Management (qm)" in said
    assert not re.search(r"^ ?qm\b", said, re.MULTILINE), said


@pytest.mark.slow
def test_applications_have_the_same_name_in_every_table(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", applications="qm")
    deliver(settings, lines([event("a", application="QM"), "junk"]), feed="qm")
    chosen = ["--from", "2026-05-01T10:00", "--to", "2026-05-01T12:00"]
    for command in (["run", *chosen], ["status"]):
        said = audit(settings, *command, check=False).stdout
        assert "Quality Management (qm)" in said
        assert not re.search(r"^ ?qm\b", said, re.MULTILINE), said


def test_sql_in_every_output(settings) -> None:  # type: ignore[no-untyped-def]
    query = "select event_id, comments, ['x', null] as list, 1.50 as number from fact_activity_event order by 1"
    rows = json.loads(said(settings, "sql", query, "--output", "json").stdout)
    assert rows[0] == {"event_id": "a", "comments": 'a, "quoted" one', "list": ["x", None], "number": 1.5}
    assert rows[1]["comments"] is None
    table = list(csv.reader(io.StringIO(said(settings, "sql", query, "--output", "csv").stdout)))
    assert table[0] == ["event_id", "comments", "list", "number"]
    assert table[1][:2] == ["a", 'a, "quoted" one']
    assert table[2][1] == ""
    assert "event_id" in said(settings, "sql", query).stdout
    assert json.loads(said(settings, "sql", "select 1 as x where false", "--output", "json").stdout) == []


def test_what_json_and_spreadsheets_cannot_carry(settings) -> None:  # type: ignore[no-untyped-def]
    query = "select 'nan'::double as n, ['inf'::double, 1] as list, '=1+1' as formula, -1 as number, '\u00e9' as text"
    (row,) = json.loads(said(settings, "sql", query, "--output", "json").stdout)
    assert row == {"n": None, "list": [None, 1], "formula": "=1+1", "number": -1, "text": "\u00e9"}
    _, values = csv.reader(io.StringIO(said(settings, "sql", query, "--output", "csv").stdout))
    assert values[2:4] == ["'=1+1", "-1"]


def test_a_query_may_begin_with_a_comment(settings) -> None:  # type: ignore[no-untyped-def]
    query = "-- how many\nselect count(*) as n from fact_activity_event"
    assert json.loads(said(settings, "sql", query, "--output", "json").stdout) == [{"n": 2}]
    assert said(settings, "sql", "select 1", "--ouput", "json", exit_code=2).stderr


def test_no_locale_stops_a_command(settings) -> None:  # type: ignore[no-untyped-def]
    query = "select 'caf\u00e9 \u4f60' as text"
    locale = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert json.loads(audit(settings, "sql", query, "--output", "json", **locale).stdout) == [
        {"text": "caf\u00e9 \u4f60"}
    ]
    assert "caf\\xe9" in audit(settings, "sql", query, **locale).stdout
    assert "Nothing new" in audit(settings, "run", **locale).stdout


@pytest.mark.parametrize("output", ["csv", pytest.param("json", marks=pytest.mark.slow)])
def test_a_long_result_is_written_as_it_comes(settings, tmp_path: Path, output: str) -> None:  # type: ignore[no-untyped-def]
    script = """
        import sys
        query = "select range, repeat('x', 300) as text from range(200000)"
        sys.argv = ["audit", "sql", query, "--output", sys.argv[1]]
        from activity_audit.cli import main
        try:
            main()
        finally:
            # Not what getrusage says, which begins with the peak of the process that started this one.
            (peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
            print(peak.split()[1], file=sys.stderr)
    """
    written = tmp_path / output
    with written.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), output],
            env=process_environment(settings), stdout=file, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert written.read_bytes().count(b"x" * 300) == 200_000
    # The command itself takes 200 MB; the result as Python's objects and as text would take 150 MB more.
    assert int(done.stderr.split()[-1]) / 1024 < 300


@pytest.mark.parametrize(
    "statement",
    [
        "insert into fact_activity_event select * from fact_activity_event",
        "delete from fact_activity_event",
        "update fact_activity_event set outcome = 'FAILURE'",
        "drop table fact_activity_event",
        "create table t as select 1",
        "copy (select 1) to '/tmp/leak.csv'",
        "attach '/tmp/other.db'",
        "set memory_limit = '1GB'",
        "select 1; select 2",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/hostname')",
        "select * from glob('/etc/*')",
        "select getenv('HOME')",
        "install httpfs",
        "pragma enable_profiling",
        "explain analyze copy (select 1) to '{data}/leak.parquet'",
        "explain analyze create table memory.t as select 1",
        "select * from ducklake_delete_orphaned_files /* all */ ('audit', cleanup_all => true)",
        "select * from ducklake_cleanup_old_files('audit', cleanup_all => true)",
        "select * from audit.merge_adjacent_files()",
        "select * from \"ducklake_delete_orphaned_files\" ('audit', cleanup_all => true)",
        "select * from sqlite_query('__ducklake_metadata_audit', 'select 1')",
        "select * from sqlite_scan\u200b('{other}', 't')",
        "select * from sqlite_scan\ufeff('{other}', 't')",
        "select * from sqlite_scan\u2060('{other}', 't')",
        "select * from sqlite_scan--x\r('{other}', 't')",
        "select * from query('select * from sqlite_' || 'scan(''{other}'', ''t'')')",
        "select * from ducklake_cleanup_old_files--x\r('audit', cleanup_all => true)",
        "explain (select * from sqlite_scan('{other}', 't')) select 1 --')",
        "select * from '{data}/**/*.parquet'",
        "from __ducklake_metadata_audit.ducklake_data_file",
        "select * from no_such_table",
        "selec 1",
        "",
    ],
)
def test_sql_only_reads_the_warehouse(settings, tmp_path: Path, statement: str) -> None:  # type: ignore[no-untyped-def]
    data, other = settings.home / "warehouse/data", tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as database, database:
        database.executescript("create table t (secret text); insert into t values ('not yours')")
    before = sorted(data.rglob("*"))
    asked = statement.replace("{data}", str(data)).replace("{other}", str(other))
    done = CliRunner().invoke(sql.command, [asked], obj=settings)
    assert sorted(data.rglob("*")) == before
    assert done.exit_code == 1
    assert "not yours" not in done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert not Path("/tmp/leak.csv").exists()


def test_what_the_documents_and_the_page_ask_only_reads(settings) -> None:  # type: ignore[no-untyped-def]
    root = Path(__file__).parents[3]
    texts = [path.read_text(encoding="utf-8") for path in (root / "README.md", *(root / "docs").glob("*.md"))]
    written = [asked for text in texts for asked in re.findall(r'audit sql "([^"]+)"', text) if "…" not in asked]
    period = Period(HOUR, HOUR + timedelta(days=1))
    asked = [*written, *(query.sql for query in queries(Scope(period, ("search",))))]
    assert len(asked) > 18
    with lake.reader(settings) as connection:
        lake.lock_down(connection, settings)
        for query in asked:
            connection.execute(read_only_sql.reading(connection, query)).fetchall()


@pytest.mark.parametrize(
    ("arguments", "environment", "text"),
    [
        (("run", "--from", "2026-05-01"), {}, "belong together"),
        (("run", "--from", "2026-05-02", "--to", "2026-05-01"), {}, "must be earlier"),
        (("run", "--from", "yesterday", "--to", "2026-05-01"), {}, "not an ISO 8601 time"),
        (("run", "--feed", "nobody"), {}, "no feed has the name nobody"),
        (("run",), {"AUDIT_FRESHNESS": "soon"}, "AUDIT_FRESHNESS='soon': must be a duration"),
        (("status",), {"AUDIT_APPLICATIONS": "search,nobody"}, "AUDIT_APPLICATIONS"),
        (("status",), {"AUDIT_SOURCE": "ftp"}, "AUDIT_SOURCE='ftp': must be 'files'"),
        (("status",), {"AUDIT_FRESHNESS": "99999999999999d"}, "AUDIT_FRESHNESS"),
        (("status",), {"AUDIT_MEMORY_LIMIT": "50%"}, "AUDIT_MEMORY_LIMIT"),
        (("run", "--from", "2026-05-01", "--to", "9999-12-31T23:59:59Z"), {}, "outside the calendar"),
        (("run",), {"AUDIT_HOME": "/tmp/what?"}, "AUDIT_HOME"),
        (("frobnicate",), {}, "No such command"),
        (("serve", "--port", "8080"), {}, "are both 8080"),
        (("simulate",), {}, "--hours"),
    ],
)
def test_wrong_usage_or_settings_are_refused(settings, arguments, environment, text) -> None:  # type: ignore[no-untyped-def]
    done = CliRunner(env=process_environment(settings, **environment)).invoke(cli, arguments)
    assert done.exit_code == 2, done.output
    assert text in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "text"),
    [
        (("status",), {"AUDIT_FRESHNESS": "soon"}, "AUDIT_FRESHNESS='soon': must be a duration"),
        (("sql", "select 1", "--at", os.fsdecode(b"\xff")), {}, "is not UTF-8"),
    ],
)
def test_a_real_command_refuses_them_too(settings, arguments, environment, text) -> None:  # type: ignore[no-untyped-def]
    done = audit(settings, *arguments, check=False, **environment)
    assert (done.returncode, done.stdout, text in done.stderr) == (2, "", True)


def test_a_setting_that_is_almost_one_is_warned_of(settings) -> None:  # type: ignore[no-untyped-def]
    done = audit(settings, "sql", "select 1", AUDIT_FRESHNES="1h", AUDIT_OF_MY_OWN="1")
    assert done.stderr == ("warning: AUDIT_FRESHNES is not a setting and is ignored; did you mean AUDIT_FRESHNESS?\n")


def test_a_port_that_somebody_else_has_is_not_given_as_dagsters(settings) -> None:  # type: ignore[no-untyped-def]
    with taken_port() as port:
        done = audit(settings, "serve", "--port", str(port), "--report-port", "0", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Dagster cannot listen on 127.0.0.1:{port}" in done.stderr


def test_what_has_no_event_says_so(settings, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    period = ("--from", "2001-01-01", "--to", "2001-01-02")
    assert "The file has no events" in said(settings, "export", *period, "--to-file", str(tmp_path / "none.csv")).stdout
    assert "The file has no events" in said(settings, "evidence", *period, "--out", str(tmp_path / "none")).stdout


def test_a_feed_folder_that_is_not_there_is_no_silence(settings, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = audit(settings, "run", check=False, AUDIT_FEED_URL=str(tmp_path / "typo"))
    assert done.returncode == 1
    assert f"AUDIT_FEED_URL='{tmp_path}/typo': there is no such folder" in done.stderr


def test_columns_of_the_same_name_are_told_apart(settings) -> None:  # type: ignore[no-untyped-def]
    done = said(settings, "sql", "select 1 as n, 2 as n, 3 as n_1", "--output", "json")
    assert json.loads(done.stdout) == [{"n": 1, "n_2": 2, "n_1": 3}]


def test_an_empty_home_is_explained(tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    settings = load_settings(home=tmp_path, feed_url=str(tmp_path / "landing"))
    for command in (("sql", "select 1"), ("status",), ("maintain",), ("verify",), ("ledger", "head")):
        done = audit(settings, *command, check=False)
        assert done.returncode == 1
        assert "nothing is published" in done.stderr
    assert "Nothing new" in audit(settings, "run").stdout


def test_plain_queries_are_not_hindered(settings) -> None:  # type: ignore[no-untyped-def]
    for query in (
        "explain select count(*) from fact_activity_event",
        "explain analyze select count(*) from fact_activity_event",
        "describe fact_activity_event",
        "with e as (from fact_activity_event) select unnest([event_id, outcome]) as value from e",
        "select reason, count(*) from (select unnest(reasons) as reason from quality.quarantined_event) group by all",
    ):
        done = CliRunner().invoke(sql.command, [query], obj=settings)
        assert (done.exit_code, done.stdout != "") == (0, True), query


def test_a_snapshot_that_is_not_there_is_named(settings) -> None:  # type: ignore[no-untyped-def]
    unknown = "00000000-0000-0000-0000-000000000001"
    for at, text in ((unknown, "names no snapshot"), ("2020-01-01", "no snapshot as old as")):
        done = CliRunner().invoke(sql.command, ["select 1", "--at", at], obj=settings)
        assert (done.exit_code, text in done.stderr) == (1, True)


def test_a_reader_that_goes_away_is_no_error(settings) -> None:  # type: ignore[no-untyped-def]
    command = f"{AUDIT} sql 'select range from range(300000)' --output csv | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], env=process_environment(settings),
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stdout == "range\n"
    assert "Traceback" not in done.stderr


def test_status_as_json(settings) -> None:  # type: ignore[no-untyped-def]
    done = audit(settings, "status", "--output", "json", check=False)
    report = json.loads(done.stdout)
    assert done.returncode == 1  # the hour is long ago, and 15 feeds are missing
    assert report["events"] == 2
    assert report["quarantined"] == 1
    assert any("older than AUDIT_FRESHNESS" in sentence for sentence in report["broken"])
