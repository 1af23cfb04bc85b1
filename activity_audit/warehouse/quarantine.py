"""The quarantine: the reasons, and which records are in it now.

`quality.quarantined_event` has each record with the reasons of its first judging, and `quality.replayed_record` has
what replays found since. Here only is told how the two are read together.
"""

from __future__ import annotations

import duckdb

from activity_audit.warehouse import lake

# Every reason for quarantine, in the order in which a record's reasons are listed, and when it holds.
MEANINGS = {
    "unparseable": "It is not a JSON object, does not fit its CSV header, or has bytes that cannot be decoded.",
    "too_large": "It is longer than AUDIT_MAX_RECORD_BYTES; its beginning, its length and its hash are kept.",
    "missing_event_id": "Without an id nobody can tell whether the event came twice.",
    "missing_event_time": "Without a time the event belongs to no hour.",
    "missing_entity": "It does not say what kind of item somebody acted on.",
    "missing_activity": "It does not say what somebody did.",
    "missing_outcome": "It does not say whether the action succeeded.",
    "invalid_event_time": "Its time is not one that is understood.",
    "event_time_zone_unknown": "Its time names no zone, so that the moment is not known.",
    "event_time_in_future": "Its time is later than its feed hour's end by more than AUDIT_FUTURE_TOLERANCE.",
    "invalid_outcome": "Its outcome is neither SUCCESS nor FAILURE.",
    "event_id_conflict": "An accepted event has the same id and other content; the accepted one never changes.",
}
REASONS = tuple(MEANINGS)
# The raw lake has only the first part of such a record, so nobody can judge it again.
CUT_OFF = "too_large"


def unresolved(connection: duckdb.DuckDBPyConnection) -> str:
    """The query of the records that are in quarantine now, in the warehouse that is attached as `audit`.

    Its columns are those of `quality.quarantined_event`, with the `reasons` that held when each was last judged, and
    `revision`, how many rows of `quality.replayed_record` are about it.
    """
    return unresolved_records(has_replays=lake.has_table(connection, "quality", "replayed_record"))


def unresolved_records(*, has_replays: bool) -> str:
    """The same query; a warehouse that an earlier release published last has no table of replays yet."""
    table = f"{lake.ALIAS}.quality.quarantined_event"
    if not has_replays:
        return f"select *, cast(0 as bigint) as revision from {table} where resolved_at_utc is null"
    return f"""
        select
            quarantined.* replace (coalesce(newest.reasons_after, quarantined.reasons) as reasons),
            coalesce(newest.revision, 0) as revision
        from {table} as quarantined
        left join (
            select
                delivery_id, source_record, max(revision) as revision,
                arg_max(reasons_after, revision) as reasons_after, arg_max(disposition, revision) as disposition
            from {lake.ALIAS}.quality.replayed_record
            group by all
        ) as newest using (delivery_id, source_record)
        where quarantined.resolved_at_utc is null
            -- Somebody may have cleared the time; the record must not be resolved twice.
            and coalesce(newest.disposition, 'quarantined') = 'quarantined'
    """
