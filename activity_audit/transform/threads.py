"""How many threads DuckDB uses in a run: more than one only where they have enough to do.

To hand out each of some 300 statements to two threads takes a sixth of the CPU of a small run, and to more takes more.
"""

from __future__ import annotations

import duckdb

from activity_audit.warehouse import known_ids

# What keeps a thread busy longer than it takes to share the work with it: records that are judged, and keys of
# published events that are compared with theirs.
_RECORDS = 50_000
_KNOWN_IDS = 10_000_000


def fit(connection: duckdb.DuckDBPyConnection, records: int = 0, sharing: int = 1) -> None:
    """Set the threads of the connection's DuckDB for so many records, and for the warehouse that is attached.

    So many processes are `sharing` what the machine has.
    """
    try:
        ((known,),) = connection.execute(f"select count(*) from {known_ids.TABLE}").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):  # It was never set up, or is not attached.
        known = 0
    # As many as DuckDB finds that the process may use.
    connection.execute("reset threads")
    ((most,),) = connection.execute("select current_setting('threads')").fetchall()
    most = max(1, most // sharing)
    connection.execute(f"set threads = {min(most, 1 + records // _RECORDS + known // _KNOWN_IDS)}")
