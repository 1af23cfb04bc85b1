"""Checks that no event id is in the fact twice, and that `quality.known_event_id` has exactly their keys.

An event id is accepted once, ever, so all of the history is looked at. By the keys a run finds what is published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from math import ceil

import duckdb

from activity_audit.base.vocabulary import FACT
from activity_audit.evidence.verify.data_files import wrong_files
from activity_audit.evidence.verify.findings import Finding, Problem, batch_name, listed, unreadable
from activity_audit.warehouse import known_ids, lake
from activity_audit.warehouse.known_ids import TABLE, differing_hours, event_id_key, rows_of_fact

# Each event hour that differs is looked into by itself; of more than these it is said how many they are.
_MOST_HOURS = 10
# Counted by key, so many take about 150 MB.
_KEYS_AT_A_TIME = 2_000_000
_KEYS = 2**48
# Of each slice so many keys are looked into.
_MOST = 100
_SHOWN_BATCHES = 4


@dataclass(frozen=True)
class KeyState:
    """What is wrong with the keys, and which event ids are in the fact more than once."""

    findings: list[Finding]
    doubled: list[Finding]


def check_keys(own: duckdb.DuckDBPyConnection, where: str) -> KeyState:
    """Compare the keys with the fact, and count its event ids; `where` is a condition on `feed_hour_utc`."""
    try:
        findings = list(check_known_ids(own, where))
        holds = not findings and _keys_hold(own, where)
        return KeyState(findings, list(check_doubled(own, where, keys_hold=holds)))
    except duckdb.Error as error:
        findings = [unreadable("quality.known_event_id", error), *(wrong.finding for wrong in wrong_files(own))]
        return KeyState(findings, [])


def _keys_hold(own: duckdb.DuckDBPyConnection, where: str) -> bool:
    """Whether all keys are those of the fact; of a period, those of its own event hours are known to be."""
    if not lake.has_table(own, "quality", "known_event_id"):
        return False
    if where == "true":
        return True
    return lake.has_table(own, "quality", "known_event_id_digest") and known_ids.are_as_written(own)


def check_known_ids(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[Finding]:
    """Compare the keys of the event hours that have events of certain feed hours, or of all where `where` is `true`.

    `where` is a condition on `feed_hour_utc`. A warehouse that no release with these keys has published has none to
    compare.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    if not lake.has_table(connection, "quality", "known_event_id"):
        return
    hours = where if where == "true" else f"event_hour_utc in (select event_hour_utc from {FACT} where {where})"
    rows = differing_hours(connection, hours)
    for hour, events, keys in rows[:_MOST_HOURS]:
        yield _look(connection, hour, events, keys)
    if len(rows) > _MOST_HOURS:
        yield Finding("key", "changed", f"{len(rows) - _MOST_HOURS} more event hours", "their keys differ too")


def _look(connection: duckdb.DuckDBPyConnection, hour: datetime, events: int, keys: int) -> Finding:
    """Which events of an hour have no key, and which keys no event."""
    of_hour = f"event_hour_utc = timestamp '{hour}'"
    without_key = connection.execute(f"""
        select event_id from (
            select event_id, {event_id_key()} as event_id_key,
                row_number() over (partition by event_id_key order by event_id) as n
            from {FACT} where {of_hour}
        )
        left join (
            select event_id_key, count(*) as keys from {TABLE} where {of_hour} group by all
        ) using (event_id_key)
        where n > coalesce(keys, 0) order by all
    """).fetchall()
    without_event = connection.execute(f"""
        select event_id_key from {TABLE} where {of_hour}
        except all select event_id_key from ({rows_of_fact(of_hour)}) order by all
    """).fetchall()
    parts = []
    if without_key:
        parts.append(f"{len(without_key)} events have no key: {listed(row[0] for row in without_key)}")
    if without_event:
        parts.append(f"{len(without_event)} keys belong to no event: {listed(str(row[0]) for row in without_event)}")
    problem: Problem = "missing" if keys < events else "added" if keys > events else "changed"
    return Finding("key", problem, f"event hour {hour:%Y-%m-%dT%H:%MZ}", "; ".join(parts))


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
