"""Which SQL only reads the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activity_audit.warehouse import extensions
from activity_audit.warehouse.read_only_sql import NotReadingError, reading
from activity_audit.warehouse.sql_functions import SCALARS, SYSTEM_VIEWS, TABLES


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB whose database `audit` has a table, a view and a schema, as the warehouse has."""
    with extensions.connect() as connection:
        connection.execute("attach ':memory:' as audit; use audit; create schema quality")
        connection.execute("create table t as select 1 as a, 'x' as b; create table quality.q as select 1 as a")
        connection.execute("create view v as from t")
        yield connection


def _refuses(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises((NotReadingError, duckdb.Error)):
        reading(connection, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from t a, v b, quality.q c, audit.t d, main.t e, audit.main.t f, audit.quality.q g, T h, Main.T i",
        "from t select a",
        "table t",
        "values (1), (2)",
        "select 1;",
        "-- why\nselect 1 /* and */ ;",
        "describe t",
        "show t",
        "summarize select a from t",
        "show tables",
        "show all tables",
        "show tables from quality",
        "show schemas",
        "show databases",
        "from (describe t)",
        "explain select 1",
        "explain (select a from t)",
        "EXPLAIN ANALYZE from t",
        "explain (analyze, format json) select a from t",
        "explain /* it */ select 1",
        "with x as (from t), y as (from x) select * from x join y using (a)",
        "with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) from r",
        "with recursive r(n, m) as materialized (select 1, 1 union select n, m + 1 from r where m < 3) from r",
        "with t as (select 2 as z) select z from t",
        "with a as (select 1), b as (with c as (from a) from c) from b",
        "pivot t on b in ('x') using sum(a)",
        "unpivot (select 1 as m, 2 as n) on m, n",
        "select a, count(*) filter (b = 'x'), grouping(a) from t group by rollup (a) having count(*) > 0 order by all",
        "select row_number() over w, sum(a) over (order by b rows between 1 preceding and current row) "
        "from t window w as (partition by b) qualify true",
        "select * exclude (a) replace (upper(b) as b), columns('a.*'), min(a).abs() from t group by all limit 10%",
        "select list_transform([1], lambda x: x + 1), [y * 2 for y in [1] if y > 0], {'k': 1}.k, map {'k': 1}",
        "select b.upper(), b[1:2], b ilike 'X', b similar to 'x', b ~ 'x', a between 0 and 2, a in (1), not a = 2, "
        "case when a = 1 then 2 end, a is distinct from 2, coalesce(a, 1), try(1 / 0), -a, b || b, b collate nocase "
        "from t",
        "select exists (from t), (select max(a) from t), 1 in (select a from t), 1 = any([1]), unnest([1, 2])",
        "select try_cast('1' as int), '1'::decimal(9, 2), 'k'::enum('k'), date '2026-05-01' + interval 1 day, "
        "extract(year from now()), timestamp '2026-05-01' at time zone 'UTC', current_date, current_user",
        "select * from t positional join quality.q, range(3) r(i), lateral (select i * 2), generate_series(1, 2)",
        "select * from t asof join quality.q on t.a >= q.a",
        "from t semi join quality.q using (a)",
        "select distinct on (b) a from t union by name select 2 as a except select 3 order by 1 limit 3 offset 1",
        "from t using sample 3",
        "from json_each('[1]')",
        "select table_name from information_schema.tables",
        "select relname from pg_catalog.pg_class",
        "select table_name from duckdb_columns() union all select table_name from duckdb_tables",
        f"select {' or '.join(['a = 1'] * 900)} from t",
    ],
)
def test_what_reads_is_run_as_it_is(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    connection.execute(reading(connection, sql)).fetchall()


@pytest.mark.parametrize("function", sorted(SCALARS & {"sum", "lower", "list_transform", "sha256", "coalesce", "->>"}))
def test_functions_are_known_in_any_case(connection: duckdb.DuckDBPyConnection, function: str) -> None:
    reading(connection, f'select "{function.upper()}"(1, 2)')


def test_what_is_allowed_is_there(connection: duckdb.DuckDBPyConnection) -> None:
    with extensions.connect() as lake:
        extensions.load(lake, ("ducklake",))
        functions = "select lower(function_name), function_type in ('table', 'table_macro') from duckdb_functions()"
        known = set(lake.execute(functions).fetchall())
        views = {row[0] for row in lake.execute("select view_name from duckdb_views() where internal").fetchall()}
    # Of a DuckLake catalog itself.
    own = {name.removeprefix("ducklake_") for name, is_table in known if is_table and name.startswith("ducklake_")}
    assert SCALARS - {name for name, is_table in known if not is_table} == {"->", "unnest"}
    assert TABLES - {name for name, is_table in known if is_table} - own == set()
    assert SYSTEM_VIEWS - views == set()


def test_a_function_that_nobody_looked_at_is_refused() -> None:
    with extensions.connect() as connection:
        connection.execute("attach ':memory:' as audit; use audit")
        connection.create_function("brand_new", lambda text: text, ["varchar"], "varchar")
        connection.execute("create macro newer(x) as table select x")
        for sql in ("select brand_new('x')", "select * from newer(1)", "select x.brand_new() from (select 'x' as x)"):
            connection.execute(sql)
            with pytest.raises(NotReadingError, match="a query may not call"):
                reading(connection, sql)


@pytest.mark.parametrize(
    "gap",
    ["\u200b", "\ufeff", "\u2060", "\u00a0", "--x\r", "--x\n", "/* x */", "/* /* x */ */", "\t", "\u3000", " ", ""],
)
@pytest.mark.parametrize("name", ["sqlite_scan", '"sqlite_scan"', "SQLITE_Scan", "system.main.sqlite_scan"])
def test_no_gap_hides_a_function(connection: duckdb.DuckDBPyConnection, name: str, gap: str) -> None:
    _refuses(connection, f"select * from {name}{gap}('other.sqlite', 't')")


@pytest.mark.parametrize(
    "sql",
    [
        "select * from query('select * from sqlite_' || 'scan(''other.sqlite'', ''t'')')",
        "select * from query_table('t')",
        "from system.main.query('select 1')",
        "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
        "select json_serialize_plan('from query(''select 1'')')",
        "from histogram('t', a)",
        "from histogram_values('other.parquet', a)",
        "from read_text('/etc/hostname')",
        "from duckdb_secrets()",
        "from duckdb_settings()",
        "from pg_settings",
        "from duckdb_databases()",
        "select current_setting('temp_directory')",
        "select write_log('x')",
        "from enable_logging()",
        "from checkpoint()",
        "from audit.cleanup_old_files()",
        "from ducklake_expire_snapshots('audit')",
        "explain select * from query('select 1')",
        "explain (select * from query('select 1')) select 1 --')",
        "explain analyze explain select 1",
        "explain analyze copy (select 1) to 'leak.csv'",
        "explain (analyze) create table u as select 1",
        "select 1; select 2",
        "select 1 --\r; drop table t",
        "pragma version",
        "pragma table_info('t')",
        "call query('select 1')",
        "prepare p as select 1",
        "with d as (delete from t returning *) from d",
        "with x as (select 1) delete from t",
        "pivot t on b using sum(a)",
        "",
        ";",
        "selec 1",
        "from no_such_table",
        "from audit.quality.main.q",
        "from memory.main.t",
        "from temp.t",
        "from system.main.duckdb_logs",
        "select 1" + "+1" * 990,
    ],
)
def test_what_may_do_more_is_refused(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    _refuses(connection, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "from '{}'",
        'from "{}"',
        'select * from t, "{}"',
        "describe '{}'",
        "summarize '{}'",
        "from (summarize '{}')",
        "pivot '{}' on n in (1) using count(*)",
        "unpivot '{}' on n",
        "explain from '{}'",
        # Names of queries that are not to be had where the file is asked for.
        'with "{0}" as (from "{0}") from "{0}"',
        'with x as (from "{0}"), "{0}" as (select 1) from x',
        'select * from (with "{0}" as (select 1) select 1), "{0}"',
        'with recursive "{0}" as (from "{0}") from "{0}"',
        'with recursive "{0}" as (from "{0}" union all select 1) from "{0}"',
        'with "{0}" as (select 1) from "{0}" at (version => 1)',
        'with "{0}" as (select 1) from main."{0}"',
    ],
)
def test_no_file_passes_for_a_table(connection: duckdb.DuckDBPyConnection, tmp_path: Path, sql: str) -> None:
    file = tmp_path / "n.csv"
    file.write_text("n\n1\n")
    with pytest.raises(NotReadingError, match="has no table or view"):
        reading(connection, sql.format(file))


def test_no_variable_passes_for_a_table(connection: duckdb.DuckDBPyConnection) -> None:
    frame = pa.table({"secret": [1]})
    assert connection.execute("select * from frame").fetchall() == [(1,)]
    _refuses(connection, "from frame")
    del frame


# Where an expression (§), and where a table, may stand.
_EXPRESSION_PLACES = (
    "select §", "select a from t where § is null", "select a from t order by §", "select 1 limit §",
    "select 1 offset §", "select count(*) from t group by §", "select count(*) from t having § is null",
    "select sum(a) over (partition by §) from t", "select sum(a) over (order by §) from t",
    "select a from t qualify row_number() over (order by §) = 1", "select distinct on (§) a from t",
    "select sum(a order by §) from t", "select count(*) filter (§ is null) from t", "values (§)",
    "select * replace (§ as a) from t", "select columns(c -> § is null) from t", "pivot t on b in ('x') using max(§)",
    "select * from t join quality.q on § is null", "from range(§)", "from t at (version => §)",
    "with x as (select §) from x", "select 1 union all select §", "from (describe select §)", "explain select §",
    "with recursive r as (select 1 union all select § from r) from r", "from t, lateral (select §)",
    "select count(*) from t group by grouping sets ((§), ())", "select sum(1) over w window w as (order by §)",
)  # fmt: skip
_EXPRESSIONS = (
    "(§)", "[§]", "{'k': §}", "map {'k': §}", "coalesce(§, 1)", "case when § is null then 1 end",
    "case § when 1 then § end", "cast(§ as varchar)", "try_cast(§ as int)", "concat(§).upper()", "upper(x := §)",
    "list_transform([1], lambda x: §)", "[§ for x in [1]]", "[1 for x in [1] if § is null]", "(select §)",
    "exists (select §)", "1 in (select §)", "1 in (1, §)", "1 = any([§])", "§ between 1 and §", "-§", "not §",
    "§ || 'x'", "[1, 2][§]", "[1, 2][§:]", "§ is distinct from 1", "§ collate nocase", "§ at time zone 'UTC'",
    "1 + §", "§ and true", "unnest([§])", "(with x as (select § as n) select n from x)", "try(§)",
)  # fmt: skip
_TABLES = (
    "(from §)", "(select * from §)", "(t join § on true)", "(§ cross join t)", "(t positional join §)",
    "(with x as (from §) from x)", "(from t union all from §)", "(summarize from §)", "lateral (from §)",
    "(pivot (from §) on n in (1) using count(*))", "(unpivot (from §) on n)",
)  # fmt: skip


def _put(text: str, places: list[str]) -> str:
    """The text inside the first of these places, that inside the next, and so on."""
    for place in places:
        text = place.replace("§", text)
    return text


@settings(max_examples=200, deadline=None)
@given(inside=st.lists(st.sampled_from(_EXPRESSIONS), max_size=3), outside=st.sampled_from(_EXPRESSION_PLACES))
def test_a_function_is_found_wherever_it_stands(
    connection: duckdb.DuckDBPyConnection, inside: list[str], outside: str
) -> None:
    around = [*(f"({place})" for place in inside), outside]
    reading(connection, _put("lower('x')", around))
    with pytest.raises(NotReadingError, match="the function current_setting"):
        reading(connection, _put("current_setting('x')", around))


@settings(max_examples=200, deadline=None)
@given(inside=st.lists(st.sampled_from(_TABLES), max_size=3), outside=st.sampled_from(_EXPRESSION_PLACES))
def test_a_table_is_found_wherever_it_stands(
    connection: duckdb.DuckDBPyConnection, inside: list[str], outside: str
) -> None:
    around = [*inside, "(select max(n) from §)", outside]
    reading(connection, _put("t", around))
    for refused in ("'n.csv'", "query('select 1')", "memory.main.t", "glob('*')"):
        with pytest.raises(NotReadingError):
            reading(connection, _put(refused, around))
