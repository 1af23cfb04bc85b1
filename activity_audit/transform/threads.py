"""How many threads DuckDB uses in a run: more than one only where they have enough to do.

To hand out each of some 300 statements to two threads takes a sixth of the CPU of a small run, and to more takes more.
"""

from __future__ import annotations

import duckdb

# What keeps a thread busy longer than it takes to share the work with it.
_RECORDS = 50_000


def fit(connection: duckdb.DuckDBPyConnection, records: int = 0, sharing: int = 1) -> None:
    """Set the threads of the connection's DuckDB for so many records that are judged.

    So many processes are `sharing` what the machine has.
    """
    # As many as DuckDB finds that the process may use.
    connection.execute("reset threads")
    ((most,),) = connection.execute("select current_setting('threads')").fetchall()
    connection.execute(f"set threads = {min(max(1, most // sharing), 1 + records // _RECORDS)}")
