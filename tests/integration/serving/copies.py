"""What the tests of serving copies share: a home with all kinds of records, and what the warehouse and a copy have."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import duckdb

from activity_audit.dbt_runner import project
from activity_audit.serving.rows import is_copied_by_rows
from activity_audit.serving.target import Target, parse
from activity_audit.settings.core import Settings
from activity_audit.warehouse import extensions, lake
from activity_audit.warehouse.contract import PublishedModel, published_models
from tests.integration.postgres_server import PostgresServer
from tests.integration.support import deliver, event, lines, run

Rows = dict[str, list[tuple[object, ...]]]
# Two hours after its feed hour's end: more than the usual tolerance, and less than that of `tolerant`.
SOON = "2026-05-01T13:00:00Z"
LONG_ID = "long-" + "é" * 5000


def new_copy(server: PostgresServer) -> Target:
    """An empty database, as a target."""
    return target_of(server.new_database())


def target_of(dsn: str, **changed: str) -> Target:
    """The target of a connection string of the server, with other parts in place of its own."""
    parts = dict(part.split("=") for part in dsn.removeprefix("postgres:").split()) | changed
    return parse(f"postgresql://{parts['user']}@/{parts['dbname']}?host={quote(parts['host'], safe='')}")


def publish_first(settings: Settings) -> None:
    """Publish an hour of two feeds, with records of all kinds."""
    records = [event(f"a{number}", comments=f"of {number}") for number in range(20)]
    odd = [event("nul", comments="a\x00b"), event(LONG_ID), event("emoji", comments="😀 \ufeff 'quoted' \\ \"")]
    refused = [event("soon", eventTime=SOON), "junk", b"\xff\xfe", event("no", outcome="MAYBE", eventTime="never")]
    deliver(settings, lines([*records, *odd, records[0], *refused]))
    deliver(settings, lines([event(f"q{number}", application="QM") for number in range(20)]), feed="qm")
    run(settings)


def publish_next(settings: Settings, hour: int = 1) -> None:
    """Publish another hour, of both feeds."""
    time = f"2026-05-01T{10 + hour}:15:00Z"
    for feed in ("search", "qm"):
        deliver(settings, lines([event(f"{feed}-{hour}-{n}", eventTime=time) for n in range(10)]), feed=feed, hour=hour)
    run(settings, hour)


def tolerant(settings: Settings) -> Settings:
    """The settings with which a replay resolves a record."""
    return settings.model_copy(update={"future_tolerance": timedelta(hours=4)})


def served() -> list[PublishedModel]:
    """The public tables, and the views that a copy in PostgreSQL has as tables."""
    models = published_models(project.manifest())
    return [model for model in models if not model.is_bookkeeping and is_copied_by_rows(model)]


def of_warehouse(settings: Settings) -> Rows:
    """Every row of what is served, as a copy in PostgreSQL has it: no list, and no character NUL."""
    with lake.reader(settings) as connection:
        return _rows(connection, "audit")


def of_postgres(target: Target) -> Rows:
    """Every row of the copy."""
    with duckdb.connect(config=extensions.CONFIG) as connection:
        extensions.load(connection, ("postgres_scanner",))
        connection.execute(f"attach '{target.postgres}' as copy (type postgres, read_only)")
        return _rows(connection, "copy")


def ask(target: Target, query: str) -> list[tuple[object, ...]]:
    """What PostgreSQL answers itself."""
    with duckdb.connect(config=extensions.CONFIG) as connection:
        extensions.load(connection, ("postgres_scanner",))
        connection.execute(f"attach '{target.postgres}' as copy (type postgres)")
        return connection.execute("from postgres_query('copy', ?)", [query]).fetchall()


def execute(target: Target, statements: str) -> None:
    """Have PostgreSQL execute statements."""
    with duckdb.connect(config=extensions.CONFIG) as connection:
        extensions.load(connection, ("postgres_scanner",))
        connection.execute(f"attach '{target.postgres}' as copy (type postgres)")
        connection.execute("call postgres_execute('copy', ?)", [statements])


def _rows(connection: duckdb.DuckDBPyConnection, database: str) -> Rows:
    content = {}
    for model in served():
        name = f"{model.schema}.{model.name}"
        columns = ", ".join(f'"{column.name}"' for column in model.columns)
        found = connection.execute(f"select {columns} from {database}.{name}").fetchall()
        content[name] = sorted((tuple(map(_as_postgres_has_it, row)) for row in found), key=repr)
    return content


def _as_postgres_has_it(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(value)
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value
