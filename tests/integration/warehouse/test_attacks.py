"""Queries of somebody who means harm: `audit sql` refuses them, and its locked connection does not serve them."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from activity_audit.warehouse.read_only_sql import NotReadingError, reading
from tests.integration.support import AUDIT, process_environment, query, said

SECRET = "sentinel-of-the-attacks"
# {file}: a text file with the secret, {db}: a SQLite file with it, {out}: a file that must not come to be, {url}: a
# server that must not be asked, {catalog}: the warehouse's own catalog, {data}: the folder of its data files.
ATTACKS = r"""
    from read_text('{file}')
    from read_blob('{file}')
    from read_csv('{file}')
    from read_csv_auto('{file}', header = false)
    from read_json('{file}')
    from read_ndjson_objects('{file}')
    from read_parquet('{file}')
    from parquet_metadata('{data}/**/*.parquet')
    from read_parquet('{data}/**/*.parquet')
    from read_csv('/etc/passwd', columns = {{'line': 'varchar'}}, delim = chr(1))
    from sniff_csv('{file}')
    from glob('{folder}/*')
    from '{file}'
    from '{file}' as t
    from "{file}"
    select * from fact_activity_event, '{file}'
    with x as (from '{file}') from x
    from (describe '{file}')
    summarize '{file}'
    copy (select 1) to '{out}'
    copy fact_activity_event to '{out}' (format parquet)
    copy fact_activity_event from '{file}'
    copy from database audit to memory
    export database '{out}'
    import database '{folder}'
    attach '{db}' as other (type sqlite)
    attach '{out}' as other
    attach ':memory:' as other
    detach audit
    use memory
    install httpfs
    install httpfs from '{url}'
    load httpfs
    load '{file}'
    force install spatial
    set enable_external_access = true
    set lock_configuration = false
    set allowed_directories = ['/']
    set memory_limit = '100TB'
    set temp_directory = '{folder}'
    set variable x = 1
    reset all
    pragma database_list
    pragma enable_profiling
    pragma profiling_output = '{out}'
    pragma enable_logging
    call enable_logging()
    call pragma_version()
    call audit.cleanup_old_files(cleanup_all => true)
    call audit.expire_snapshots(older_than => now())
    call ducklake_add_data_files('audit', 'fact_activity_event', '{file}')
    call audit.set_option('data_inlining_row_limit', 1)
    from ducklake_cleanup_old_files('audit', cleanup_all => true)
    from ducklake_settings('audit')
    from __ducklake_metadata_audit.main.ducklake_table
    from __ducklake_metadata_audit.ducklake_data_file
    from duckdb_secrets()
    from which_secret('s3://x', 's3')
    from duckdb_settings()
    from duckdb_databases()
    from duckdb_extensions()
    from duckdb_temporary_files()
    from duckdb_logs
    from duckdb_variables()
    from pragma_database_list
    select current_setting('temp_directory')
    select getvariable('x')
    select getenv('HOME')
    select current_query()
    from query('select 1')
    from query_table('fact_activity_event')
    from query_table(['fact_activity_event'])
    from query('from read_text(''{file}'')')
    from json_execute_serialized_sql(json_serialize_sql('select 1'))
    select json_serialize_plan('from fact_activity_event')
    from sqlite_scan('{db}', 'secret')
    from sqlite_query('{db}', 'select * from secret')
    from sqlite_scan('{catalog}', 'ducklake_table')
    from sqlite_attach('{db}')
    from postgres_scan('host=127.0.0.1', 'public', 't')
    from postgres_query('audit', 'select 1')
    from read_csv('{url}/x.csv')
    from '{url}/x.parquet'
    from read_text('s3://bucket/x')
    from read_text('file://{file}')
    create table memory.t as select 1
    create temp table t as select 1
    create view memory.v as from '{file}'
    create macro m(x) as (select content from read_text(x))
    create function f() as table from read_text('{file}')
    create secret (type s3, key_id 'x', secret 'y')
    create or replace persistent secret s (type s3)
    insert into fact_activity_event default values
    delete from fact_activity_event
    update fact_activity_event set comments = 'x'
    drop table fact_activity_event
    truncate fact_activity_event
    alter table fact_activity_event add column x int
    merge into fact_activity_event using (select 1 as a) on false when matched then delete
    vacuum
    checkpoint
    checkpoint audit
    begin
    prepare p as from read_text('{file}')
    execute p
    deallocate p
    explain copy (select 1) to '{out}'
    explain analyze copy (select 1) to '{out}'
    explain analyze create table memory.t as from read_text('{file}')
    explain from read_text('{file}')
    explain (analyze, format json) from read_text('{file}')
    select 1; copy (select 1) to '{out}'
    select 1 /* ; */ ; from read_text('{file}')
    select 1 -- \r ; copy (select 1) to '{out}'
    /* from fact_activity_event */ from read_text('{file}')
    from read_text/**/('{file}')
    from "read_text"('{file}')
    from READ_TEXT('{file}')
    from system.main.read_text('{file}')
    from read\u200b_text('{file}')
    from read_text\ufeff('{file}')
    from \uff52\uff45\uff41\uff44_text('{file}')
    select (select content from read_text('{file}'))
    select * from range(1), lateral (from read_text('{file}'))
    select * from fact_activity_event order by (select content from read_text('{file}'))
    select * from fact_activity_event limit (select length(content) from read_text('{file}'))
    pivot '{file}' on column0 using count(*)
    from read_text(['{file}'])
    from read_text(concat('{folder}', '/secret.csv'))
    from histogram('{file}', column0)
    from seq_scan('x')
    from arrow_scan(1, 2, 3)
    from pandas_scan(140000000000)
    from python_map_function(1)
    select write_log('x', scope := 'database')
    select nextval('s')
    from test_all_types()
    from repeat_row(1, num_rows = 1), read_text('{file}')
    from secret_of_python
    from sys
"""
# What the lock by itself does not stop, and the parse does: functions of extensions that open files by their own code,
# and those by which DuckDB ends the process, such as those that take an address of memory for their argument.
_ONLY_BY_PARSE = (
    "sqlite_scan(", "sqlite_query(", "sqlite_attach(", "arrow_scan(", "pandas_scan(", "python_map_function(",
    "seq_scan(", "set_option(",
)  # fmt: skip


@dataclass
class Listener:
    """A server that nobody may ask; how often somebody did."""

    server: socket.socket
    asked: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.getsockname()[1]}"

    def listen(self) -> None:
        """Count until it is closed."""
        while True:
            try:
                connection, address = self.server.accept()
            except OSError:
                return
            self.asked.append(address)
            connection.close()


@dataclass
class Place:
    """What attacks aim at, and their texts."""

    folder: Path
    listener: Listener
    attacks: list[str]


@pytest.fixture(scope="module")
def place(report_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "secret.csv").write_text(f"{SECRET},1\n")
    with sqlite3.connect(folder / "other.db") as other:
        other.execute("create table secret (value text)")
        other.execute("insert into secret values (?)", [SECRET])
    listener = Listener(socket.create_server(("127.0.0.1", 0)))
    threading.Thread(target=listener.listen, daemon=True).start()
    named = {
        "folder": folder, "file": folder / "secret.csv", "db": folder / "other.db", "out": folder / "out",
        "url": listener.url, "catalog": report_home.home / "catalog.sqlite", "data": report_home.data_root,
    }  # fmt: skip
    lines = [line.strip() for line in ATTACKS.split("\n") if line.strip()]
    texts = [re.sub(r"\\(r|u[0-9a-f]{4})", lambda found: json.loads(f'"{found[0]}"'), line) for line in lines]
    yield Place(folder, listener, [text.format(**named) for text in texts])
    listener.server.close()


@pytest.fixture
def locked(report_home: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.reader(report_home) as connection:
        lake.lock_down(connection, report_home)
        yield connection


def test_every_attack_is_refused_by_its_parse(locked: duckdb.DuckDBPyConnection, place: Place) -> None:
    assert len(place.attacks) >= 120
    taken = []
    for attack in place.attacks:
        try:
            reading(locked, attack)
        except (NotReadingError, duckdb.Error):
            continue
        taken.append(attack)
    assert taken == []


def test_the_lock_alone_gives_nothing_away(
    report_home: Settings, locked: duckdb.DuckDBPyConnection, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were one taken by mistake: no file, no server, no setting, and no change of the warehouse is reached."""
    monkeypatch.setenv("AUDIT_TEST_SECRET", SECRET)
    secret_of_python = [SECRET]
    before = sorted(path.name for path in place.folder.iterdir())
    events = query(report_home, "select count(*), count(comments) from fact_activity_event")
    found = {}
    for attack in place.attacks:
        if any(name in attack for name in _ONLY_BY_PARSE):
            continue
        try:
            rows = locked.cursor().execute(f"use audit; {attack}").fetchall()
        except (duckdb.Error, UnicodeError):
            continue
        if SECRET in str(rows) or "root:" in str(rows):
            found[attack] = rows
    del secret_of_python
    assert found == {}
    assert sorted(path.name for path in place.folder.iterdir()) == before
    assert place.listener.asked == []
    assert query(report_home, "select count(*), count(comments) from fact_activity_event") == events
    settings = (
        "select name, value from duckdb_settings() where name in ('enable_external_access', 'lock_configuration')"
    )
    assert sorted(locked.execute(settings).fetchall()) == [
        ("enable_external_access", "false"), ("lock_configuration", "true")
    ]  # fmt: skip


def test_the_command_says_why_in_a_sentence(report_home: Settings, place: Place) -> None:
    for attack in place.attacks[:1] + place.attacks[19:20]:
        told = said(report_home, "sql", attack, exit_code=1)
        assert told.stderr.startswith("Error: ")
        assert SECRET not in told.output


@pytest.mark.parametrize(
    ("bomb", "message"),
    [
        ("select length(repeat('x', 3000000000))", "needs more memory than AUDIT_MEMORY_LIMIT=200MB allows"),
        ("select list(i) from range(200000000) as r (i)", "needs more memory than AUDIT_MEMORY_LIMIT=200MB allows"),
        ("select count(*) from range(10000000) a, range(10000000) b where a.range + b.range = -1", "took longer than"),
        (
            "with recursive r as (select 1 as n union all select n + 1 from r) select count(*) from r",
            "took longer than",
        ),
    ],
)
def test_a_bomb_is_put_out(report_home: Settings, bomb: str, message: str) -> None:
    little = {"AUDIT_MEMORY_LIMIT": "200MB", "AUDIT_SQL_TIMEOUT": "60s" if "memory" in message else "0.5s"}
    told = said(report_home, "sql", bomb, exit_code=1, **little)
    assert message in told.stderr
    assert "Traceback" not in told.output
    # What was bounded is the query, and not the process for ever.
    assert json.loads(said(report_home, "sql", "select 1 as n", "--output", "json").stdout) == [{"n": 1}]


def test_who_reads_the_rows_may_take_longer_than_the_query(report_home: Settings) -> None:
    """A pager that is left open holds the rows back; the query itself is quick."""
    with subprocess.Popen(
        [AUDIT, "sql", "select range as n from range(400000)", "--output", "csv"],
        env=process_environment(report_home, AUDIT_SQL_TIMEOUT="1s"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.read(10)
        time.sleep(3)
        rest, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, b"")
    assert len((first + rest).splitlines()) == 400_001


@pytest.mark.slow
def test_a_query_that_does_not_end_ends_with_its_process(report_home: Settings) -> None:
    """DuckDB makes one text of 2 GB without looking whether it is interrupted."""
    environment = {"AUDIT_MEMORY_LIMIT": "8GB", "AUDIT_SQL_TIMEOUT": "1s"}
    done = subprocess.run(
        [AUDIT, "sql", "select length(rpad('x', 2000000000, 'y'))"],
        env=process_environment(report_home, **environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the query took longer than 1 s")
