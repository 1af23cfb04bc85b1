"""What dbt built is counted, also where a run is over the hours of a year."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Of 9,000 hours in three tables and two Parquet files, counted in one statement, DuckDB 1.5 waits for itself for ever;
# it does not even let itself be interrupted. So this is a process of its own.
_COUNTED = """
import sys
import duckdb
from activity_audit.transform.built import describe
hours, records = 9_000, 900_000
of_hour = f"select timestamp '2025-01-01' + to_hours(cast(i // ({records} // {hours}) as int)) as feed_hour_utc, i"
connection = duckdb.connect()
connection.execute("set threads = 2; set preserve_insertion_order = false; attach ':memory:' as work")
connection.execute("create schema work.s")
for name in "abc":
    connection.execute(f"create table work.s.{name} as {of_hour} from range(0, {records}, 10) as r (i)")
for name in "de":
    file = f"{sys.argv[1]}/{name}.parquet"
    connection.execute(f"copy ({of_hour} from range({records}) as r (i)) to '{file}' (compression uncompressed)")
    connection.execute(f"create view work.s.{name} as select * from read_parquet('{file}')")
connection.execute("create table work.s.f as select 1 as i")
config = {"materialized": "scratch_file"}
columns = {"feed_hour_utc": {}}
nodes = {name: {"schema": "s", "name": name, "config": config, "columns": columns} for name in "abcde"}
nodes["f"] = {"schema": "s", "name": "f", "config": config, "columns": {}}
nodes["v"] = {"schema": "s", "name": "v", "config": {"materialized": "scratch_view"}, "columns": {}}
built = describe(connection, {"nodes": nodes}, dict.fromkeys("abcdefv", 1.5))
assert [built[name].rows for name in "abcdefv"] == [90_000] * 3 + [900_000] * 2 + [1, None]
assert set(built["a"].by_hour.values()) == {10}
assert set(built["d"].by_hour.values()) == {100}
assert len(built["d"].by_hour) == hours
assert built["f"].by_hour is None
"""


def test_the_rows_of_a_years_hours_are_counted(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _COUNTED, str(tmp_path)], check=True, timeout=60)
