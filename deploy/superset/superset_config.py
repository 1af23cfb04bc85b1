"""Superset's settings for the warehouse in AUDIT_HOME: its own state, and the lock on what SQL may reach."""

import os
import threading
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.pool import Pool

_STATE = Path(os.environ["SUPERSET_HOME"])
_WAREHOUSE = Path(os.environ["AUDIT_HOME"]).absolute() / "warehouse"

SECRET_KEY = (_STATE / "secret_key").read_text()
SQLALCHEMY_DATABASE_URI = f"sqlite:///{_STATE}/superset.db"
# The SQLite file of Superset's own state takes one writer at a time.
SQLALCHEMY_ENGINE_OPTIONS = {"connect_args": {"timeout": 30}}
_one_at_a_time = threading.Lock()


def _quoted(paths):
    return ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)


@event.listens_for(Pool, "connect")
def lock(connection, _):
    """Leave a connection to the warehouse nothing but the warehouse: no files, no network, no settings.

    `read_only` protects only the warehouse's tables: SQL Lab could read and write any file of this account.
    """
    if not type(connection).__module__.startswith("duckdb_engine"):
        return
    with _one_at_a_time:
        cursor = connection.cursor()
        cursor.execute("select current_setting('lock_configuration')")
        # All connections are of one DuckDB, which is locked once.
        if cursor.fetchone()[0]:
            return
        catalog = _WAREHOUSE / "catalog.sqlite"
        files = [f"{catalog}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]
        cursor.execute(f"set allowed_directories = [{_quoted([str(_WAREHOUSE / 'data') + '/'])}]")
        cursor.execute(f"set allowed_paths = [{_quoted(files)}]")
        cursor.execute("set enable_external_access = false")
        cursor.execute("set lock_configuration = true")
