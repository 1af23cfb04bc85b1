"""Is an event id in the fact more than once? It is accepted once, ever, so all of the history is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

from activity_audit.evidence.verify.findings import Finding, batch_name, listed
from activity_audit.warehouse.known_ids import FACT, TABLE, event_id_key, rows_of_fact

if TYPE_CHECKING:
    import duckdb

# Counted by key, so many take about 300 MB.
_KEYS_AT_A_TIME = 4_000_000
_KEYS = 2**48
# Of each slice so many keys are looked into.
_MOST = 100
_SHOWN_BATCHES = 4


def check_doubled(connection: duckdb.DuckDBPyConnection, where: str, *, keys_hold: bool) -> Iterator[Finding]:
    """The event ids that are there more than once, of the events of certain feed hours, or of all for `true`.

    They are counted by their keys, in slices of the keys, and then told apart by their text. Where the keys of
    `quality.known_event_id` hold, as they do when they were just compared with the fact, they are what is counted.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    keys = TABLE if keys_hold else f"({rows_of_fact('true')})"
    ((rows,),) = connection.execute(f"select count(*) from {FACT}").fetchall()
    width = ceil(_KEYS / max(1, ceil(rows / _KEYS_AT_A_TIME)))
    told: list[str] = []
    unseen = 0
    for first in range(0, _KEYS, width):
        found, count = _candidates(connection, keys, where, first, first + width)
        if found:
            told += _told(connection, keys, found)
            unseen += count - len(found)
    if told:
        many = f"{len(told) + unseen} event ids"
        yield Finding("fact", "added", many, f"they are in the fact more than once: {listed(told)}")


def _candidates(
    connection: duckdb.DuckDBPyConnection, keys: str, where: str, first: int, end: int
) -> tuple[list[int], int]:
    """Some keys of a slice that are there more than once, and how many there are in all."""
    of_slice = f"event_id_key >= {first} and event_id_key < {end}"
    asked = "" if where == "true" else f"and event_id_key in (select {event_id_key()} from {FACT} where {where})"
    rows = connection.execute(
        f"select event_id_key, count(*) over () from ("
        f"select event_id_key from {keys} where {of_slice} {asked} group by all having count(*) > 1"
        f") order by all limit {_MOST}"
    ).fetchall()
    return [row[0] for row in rows], rows[0][1] if rows else 0


def _told(connection: duckdb.DuckDBPyConnection, keys: str, found: list[int]) -> list[str]:
    """Each id that is there more than once, with its batches; two ids may have one key and be no fault."""
    listed_keys = ", ".join(map(str, found))
    rows = connection.execute(f"""
        select
            event_id, count(*),
            list({{'feed': feed, 'hour': feed_hour_utc, 'run': run_id}} order by feed_hour_utc, feed, run_id)
                filter (feed_hour_utc is not null)
        from {FACT}
        where event_hour_utc in (select event_hour_utc from {keys} where event_id_key in ({listed_keys}))
            and {event_id_key()} in ({listed_keys})
        group by event_id having count(*) > 1 order by event_id
    """).fetchall()
    return [
        f"{event_id} ({count} times: "
        + ", ".join(batch_name((one["feed"], one["hour"], one["run"])) for one in (batches or [])[:_SHOWN_BATCHES])
        + (", ...)" if count > _SHOWN_BATCHES else ")")
        for event_id, count, batches in rows
    ]
