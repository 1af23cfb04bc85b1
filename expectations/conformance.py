"""The suite `conformance`: what is about to be published. Every failure blocks, and nothing is tolerated.

Nothing here trusts the SQL that staged the batch: where a count or a time can be had in a second way, the
rule compares the two.
"""

from __future__ import annotations

from activity_audit.base.vocabulary import FACT, OUTCOMES, STAGED_FACT
from expectations.rules import (
    DELIVERY,
    JUDGED_RECORD,
    PUBLISHED_KEYS,
    RECONCILIATION,
    STAGED_DIMENSION,
    STAGED_KEYS,
    InSet,
    NotNull,
    Rule,
    UnexpectedRows,
    Unique,
    rows,
)

NAME = "conformance"

REQUIRED_COLUMNS = {
    "event_id": "It identifies the event; without it a repeated delivery could not be told from a second event.",
    "event_time_utc": "It places the event in an audit period; without it the event would be in no report.",
    "event_hour_utc": "It places the event in the hourly counts, which would otherwise be fewer than the events.",
    "application": "It says in which application it happened; a report that is filtered by it would lose the event.",
    "entity": "It says what was acted on; an event without it is no evidence of anything.",
    "activity": "It says what was done; an event without it is no evidence of anything.",
    "outcome": "It says whether the action took effect; successes and failures together must be all events.",
    "entity_activity_key": "It leads to the catalogue; an event without it disappears from every report that joins it.",
    "event_time_source": "It keeps the source's own words for the time, by which the conversion to UTC can be checked.",
    "feed": "It is the first step of the way back to the source, and names the batch in the ledger.",
    "feed_hour_utc": "It is the second step of the way back to the source, and names the batch in the ledger.",
    "source_uri": "It names the file or request that the event came in; without it nobody could show where it is from.",
    "source_record": "It is the event's position in that file or request; without it the record could not be found.",
    "ingested_at_utc": "It says when the event became known, which is how a late arrival is told from a missing one.",
    "run_id": "It says which run published the event, and lets a reader ask for the warehouse as of that run.",
}
TIMESTAMP_COLUMNS = ("event_time_utc", "event_hour_utc", "feed_hour_utc", "ingested_at_utc")

# The hour is held below 24 and the second below 60, because 24:00:00 and a leap second are ISO 8601 too, and are
# stored as what follows them.
_UTC_TEXT = r"^\d{4}-\d{2}-\d{2}[T ]([01]\d|2[0-3]):\d{2}:[0-5]\d(\.\d+)?Z$"


def rules(
    *, record_sha256_sql: str, event_id_key_sql: str, future_tolerance_seconds: int, has_history: bool = True
) -> list[Rule]:
    """The suite's rules, in the order in which they are reported.

    Without history, which no event was ever published into, no published id is looked for.

    `record_sha256_sql` is the warehouse's SQL expression for a fact row's hash, `event_id_key_sql` that for the key of
    its `event_id` in `quality.known_event_id`.
    """
    return [
        *(_required(column, purpose) for column, purpose in REQUIRED_COLUMNS.items()),
        *_identity_rules(record_sha256_sql, event_id_key_sql, has_history),
        *_time_rules(future_tolerance_seconds),
        *_accounting_rules(),
    ]


def _required(column: str, purpose: str) -> Rule:
    title = f"No {column} is null"
    return Rule(f"{column}_is_not_null", title, purpose, STAGED_FACT, NotNull(column))


def _identity_rules(record_sha256_sql: str, event_id_key_sql: str, has_history: bool) -> list[Rule]:
    looked_for = STAGED_FACT if has_history else f"(from {STAGED_FACT} limit 0)"
    # The keys say in which hours an id may have been published; whether it was, the fact.
    hours = (
        f"select unnest(known_event_rows(list(key))).event_hour_utc from (select {event_id_key_sql} as key "
        f"from {looked_for}) group by key >> 40 "
        # And also without a key, in the hours of the events themselves, where an event that came again mostly is.
        f"union all select distinct event_hour_utc from {looked_for}"
    )
    hash_matches = f"regexp_full_match({record_sha256_sql}, '[0-9a-f]{{64}}')"
    return [
        Rule(
            "outcome_is_success_or_failure",
            "The outcome is SUCCESS or FAILURE",
            "The report counts successes and failures; an event with any other outcome would be in neither count.",
            STAGED_FACT,
            InSet("outcome", OUTCOMES),
        ),
        Rule(
            "event_id_is_unique_in_the_batch",
            "No event id occurs twice in the batch",
            "An event that is published twice is counted twice in every report.",
            STAGED_FACT,
            Unique("event_id", STAGED_FACT),
        ),
        Rule(
            "event_id_is_not_published_yet",
            "No event id is in the warehouse already",
            "The published fact is insert-only: an event that is in it must neither be counted again nor change.",
            STAGED_FACT,
            UnexpectedRows(
                f"select event_id, feed, feed_hour_utc, source_uri, source_record from {STAGED_FACT} "
                # An expression, because DuckLake cannot ask its catalog for the files of an id with a character 0.
                f"semi join (select substr(event_id, 1) as event_id from {FACT} "
                f"where event_hour_utc in ({hours})) using (event_id)",
                column="event_id",
            ),
        ),
        Rule(
            "event_ids_are_known",
            "Every event has a key of its id",
            "By the keys it is found that an event was published before; where the warehouse or the batch had fewer "
            "of them than events, one could be published twice unseen.",
            STAGED_FACT,
            UnexpectedRows(
                "select * from ("
                f"select 'published' as what, (select count(*) from {FACT}) as events, "
                f"(select count(*) from {PUBLISHED_KEYS}) as keys union all "
                f"select 'staged', (select count(*) from {STAGED_FACT}), (select count(*) from {STAGED_KEYS})"
                ") where events <> keys",
                evaluated="2",
            ),
        ),
        Rule(
            "lineage_leads_to_the_record",
            "Every event's lineage leads to the record that it was",
            "One record of one delivery is one event; otherwise the way back to the source is lost. A file that was "
            "replaced before it was published has two records at one position, each with its own event.",
            STAGED_FACT,
            UnexpectedRows(
                "select event_id, feed, feed_hour_utc, source_uri, source_record "
                f"from (select staged.* from {STAGED_FACT} as staged semi join ({_hours_of_other_lineage()}) as hour "
                "on staged.feed is not distinct from hour.feed "
                "and staged.feed_hour_utc is not distinct from hour.feed_hour_utc) "
                f"anti join (select * from {JUDGED_RECORD} where disposition = 'accepted') "
                "using (event_id, feed, feed_hour_utc, source_uri, source_record)"
            ),
        ),
        Rule(
            "record_hash_is_well_formed",
            "Every record has a well-formed SHA-256",
            "The integrity ledger and the evidence packs stand on this hash; without it a later change to an "
            "event could not be shown.",
            STAGED_FACT,
            rows(STAGED_FACT, f"not coalesce({hash_matches}, false)"),
        ),
        Rule(
            "entity_activity_key_resolves",
            "Every entity_activity_key is in the dimension",
            "An event whose key leads nowhere disappears from every report that joins the catalogue.",
            STAGED_FACT,
            UnexpectedRows(
                f"select event_id, application, entity, activity, entity_activity_key from {STAGED_FACT} "
                f"anti join {STAGED_DIMENSION} using (entity_activity_key) where entity_activity_key is not null",
                column="entity_activity_key",
            ),
        ),
    ]


def _hours_of_other_lineage() -> str:
    """The feed hours whose events and accepted records are not the same by their sums; the rows of all take long."""
    sums = "select feed, feed_hour_utc, sum(hash(event_id, source_uri, source_record)) as lineage"
    accepted = f"{sums} from {JUDGED_RECORD} where disposition = 'accepted' group by all"
    return (
        f"select feed, feed_hour_utc from ({sums} from {STAGED_FACT} group by all) "
        f"anti join ({accepted}) using (feed, feed_hour_utc, lineage)"
    )


def _time_rules(future_tolerance_seconds: int) -> list[Rule]:
    types = ", ".join(f"typeof(any_value({column})) as {column}" for column in TIMESTAMP_COLUMNS)
    latest = f"feed_hour_utc + interval 1 hour + to_seconds({future_tolerance_seconds})"
    utc_text = f"regexp_matches(event_time_source, '{_UTC_TEXT}')"
    return [
        Rule(
            "times_are_plain_timestamps",
            "The times are plain timestamps",
            "A timestamp that carries a zone is shifted by each client to its own; a plain one that is UTC is "
            "the same for every reader.",
            STAGED_FACT,
            UnexpectedRows(
                f"select column_name, column_type from (unpivot (select {types} from {STAGED_FACT} limit 1) "
                f"on {', '.join(TIMESTAMP_COLUMNS)} into name column_name value column_type) "
                "where column_type <> 'TIMESTAMP'",
                evaluated=str(len(TIMESTAMP_COLUMNS)),
            ),
        ),
        Rule(
            "event_time_equals_its_utc_text",
            "The stored time is what the source's UTC text says",
            "Where the source wrote a UTC time, it is compared with the stored one as text, without the "
            "conversion that stored it, so that a conversion that shifts hours cannot pass unseen.",
            STAGED_FACT,
            rows(
                STAGED_FACT,
                "strftime(event_time_utc, '%Y-%m-%dT%H:%M:%S') <> replace(event_time_source[:19], ' ', 'T')",
                "event_time_source",
                "event_time_utc",
                applies=utc_text,
                column="event_time_utc",
            ),
        ),
        Rule(
            "event_hour_is_the_events_hour",
            "event_hour_utc is the hour of event_time_utc",
            "The hourly counts and the event list must agree on the hour of every event.",
            STAGED_FACT,
            rows(
                STAGED_FACT,
                "event_hour_utc <> date_trunc('hour', event_time_utc)",
                "event_time_utc",
                "event_hour_utc",
                column="event_hour_utc",
            ),
        ),
        Rule(
            "event_time_is_not_after_its_delivery",
            "No event happened after its delivery",
            "An event later than its feed hour's end and the tolerance has a wrong time, and would sit at the top "
            "of every newest-first list.",
            STAGED_FACT,
            rows(STAGED_FACT, f"event_time_utc > {latest}", "event_time_utc", column="event_time_utc"),
        ),
    ]


def _accounting_rules() -> list[Rule]:
    return [
        Rule(
            "every_landed_record_is_judged",
            "Every record that landed was judged",
            "The records of each delivery were counted when it landed, apart from the SQL that judges them; a "
            "difference is a record that was lost or made up on the way.",
            JUDGED_RECORD,
            UnexpectedRows(
                "select delivery_id, feed, feed_hour_utc, name, records as landed, coalesce(judged, 0) as judged "
                f"from {DELIVERY} full join (select delivery_id, feed, feed_hour_utc, count(*) as judged "
                f"from {JUDGED_RECORD} group by all) using (delivery_id, feed, feed_hour_utc) "
                "where coalesce(records, -1) <> coalesce(judged, 0)",
                # Distinct before the union, which would keep all rows of all records.
                evaluated=f"(select count(*) from (select delivery_id, feed, feed_hour_utc from {DELIVERY} "
                f"union select distinct delivery_id, feed, feed_hour_utc from {JUDGED_RECORD}))",
            ),
        ),
        Rule(
            "quarantine_has_its_reasons",
            "What is quarantined has a reason, and nothing else has one",
            "A record that is kept out must say why, and one that is let in must have nothing against it.",
            JUDGED_RECORD,
            rows(
                JUDGED_RECORD,
                "(disposition = 'quarantined') is distinct from (coalesce(len(reasons), 0) > 0)",
                "disposition",
                "reasons",
                column="reasons",
            ),
        ),
        Rule(
            "every_accepted_record_is_staged",
            "Every accepted record is about to be published, and nothing else",
            "For every feed hour, the events to be published are as many as the records that were accepted.",
            JUDGED_RECORD,
            UnexpectedRows(
                "select feed, feed_hour_utc, coalesce(accepted, 0) as accepted, coalesce(staged, 0) as staged "
                f"from (select feed, feed_hour_utc, count(*) as accepted from {JUDGED_RECORD} "
                "where disposition = 'accepted' group by all) full join (select feed, feed_hour_utc, "
                f"count(*) as staged from {STAGED_FACT} group by all) using (feed, feed_hour_utc) "
                "where coalesce(accepted, 0) <> coalesce(staged, 0)",
                evaluated=f"(select count(*) from (select distinct feed, feed_hour_utc from {JUDGED_RECORD} "
                f"union select distinct feed, feed_hour_utc from {STAGED_FACT}))",
            ),
        ),
        Rule(
            "reconciliation_balances",
            "Received is accepted, duplicate and quarantined together",
            "No record disappears: what a feed delivered in an hour is accounted for, down to the last record.",
            RECONCILIATION,
            rows(
                RECONCILIATION,
                "received is distinct from accepted + duplicate + quarantined",
                "received",
                "accepted",
                "duplicate",
                "quarantined",
            ),
        ),
    ]
