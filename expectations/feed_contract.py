"""The suite `feed_contract`: what the sources sent. It warns and reports, and never blocks.

Every record that arrived is judged here, also those that were quarantined or are duplicates. How much of
each defect is tolerated is in `tolerances.toml`.
"""

from __future__ import annotations

from activity_audit.base.vocabulary import OUTCOMES
from expectations.rules import (
    DELIVERY,
    JUDGED_RECORD,
    LOCATORS,
    RECONCILIATION,
    SET_ASIDE,
    VANISHED,
    InSet,
    Rule,
    UnexpectedRows,
    rows,
)

NAME = "feed_contract"

_READABLE = "problem is null"


def _filled(column: str) -> str:
    return f"coalesce({column}, '') <> ''"


def _present(id_: str, name: str, column: str, why: str) -> Rule:
    # Not GX's not-null: an empty text is as absent as a null, and an unreadable record has no fields at all.
    check = rows(JUDGED_RECORD, f"coalesce({column}, '') = ''", column, applies=_READABLE, column=column)
    return Rule(id_, f"The {name} is present", why, JUDGED_RECORD, check)


def _reason(reason: str) -> str:
    return f"list_contains(reasons, '{reason}')"


def rules() -> list[Rule]:
    """The suite's rules, in the order in which they are reported."""
    return [*_record_rules(), *_time_rules(), *_value_rules(), *_delivery_rules()]


def _record_rules() -> list[Rule]:
    return [
        Rule(
            "record_is_readable",
            "Every record can be read",
            "A line that is no record, or one that is too large, is evidence that nobody can search: it is kept "
            "in quarantine, and many of them mean that a feed was cut or written wrongly.",
            JUDGED_RECORD,
            rows(JUDGED_RECORD, "problem is not null", "problem", column="problem"),
        ),
        Rule(
            "field_is_named_once",
            "A record names each field once",
            "Of a field that a record has twice the first value that is not blank is taken, and the source may have "
            "meant the other one.",
            JUDGED_RECORD,
            rows(JUDGED_RECORD, "repeats_field", "event_id", applies=_READABLE),
        ),
        _present(
            "event_id_is_present",
            "event id",
            "event_id",
            "The event id is how one event is told from another and a repeated delivery is recognised.",
        ),
        _present(
            "event_time_is_present",
            "event time",
            "event_time_source",
            "An event without a time cannot be placed in an audit period, so it is kept out of every report.",
        ),
        _present(
            "entity_is_present",
            "entity",
            "entity",
            "Without its entity an event does not say what was acted on, and is no evidence of anything.",
        ),
        _present(
            "activity_is_present",
            "activity",
            "activity",
            "Without its activity an event does not say what was done, and is no evidence of anything.",
        ),
        _present(
            "outcome_is_present",
            "outcome",
            "outcome_source",
            "Without its outcome an event does not say whether the action took effect; a try would pass for a deed.",
        ),
    ]


def _time_rules() -> list[Rule]:
    time_sent = f"{_READABLE} and {_filled('event_time_source')}"
    time_read = f"{time_sent} and event_time_problem is distinct from 'invalid_event_time'"
    return [
        Rule(
            "event_time_is_iso_8601",
            "The event time is ISO 8601",
            "A time in any other notation can be read in two ways, and an audit must not guess.",
            JUDGED_RECORD,
            rows(
                JUDGED_RECORD,
                "event_time_problem = 'invalid_event_time'",
                "event_time_source",
                applies=time_sent,
                column="event_time_source",
            ),
        ),
        Rule(
            "event_time_names_its_zone",
            "The event time names its zone",
            "A time without a zone designator, in a column that does not declare UTC, may be hours off.",
            JUDGED_RECORD,
            rows(
                JUDGED_RECORD,
                "event_time_problem = 'event_time_zone_unknown'",
                "event_time_source",
                applies=time_read,
                column="event_time_source",
            ),
        ),
        Rule(
            "event_time_is_utc",
            "The event time is sent in UTC",
            "The feeds promise UTC. A time with another offset is converted and its text kept, but it shows that "
            "a source does not do what it promises.",
            JUDGED_RECORD,
            rows(
                JUDGED_RECORD,
                "event_offset_minutes <> 0",
                "event_time_source",
                "event_offset_minutes",
                applies=f"{_READABLE} and event_offset_minutes is not null",
                column="event_time_source",
            ),
        ),
        Rule(
            "event_time_is_not_in_the_future",
            "The event time is not in the future",
            "A record of what has not happened yet means a wrong clock or a local time that is called UTC.",
            JUDGED_RECORD,
            rows(
                JUDGED_RECORD,
                _reason("event_time_in_future"),
                "event_time_source",
                "event_time_utc",
                applies=f"{_READABLE} and event_time_utc is not null",
                column="event_time_utc",
            ),
        ),
    ]


def _value_rules() -> list[Rule]:
    return [
        Rule(
            "sent_outcome_is_success_or_failure",
            "The outcome sent is SUCCESS or FAILURE",
            "The report counts successes and failures; any other word would be in neither count.",
            JUDGED_RECORD,
            InSet("outcome", OUTCOMES),
        ),
        Rule(
            "application_is_the_feeds_own",
            "A record belongs to its feed's application",
            "A record of another application is accepted under its own name; many of them mean that feeds were "
            "mixed up.",
            JUDGED_RECORD,
            rows(
                JUDGED_RECORD,
                "is_foreign_application",
                "application",
                applies=f"{_READABLE} and is_foreign_application is not null",
                column="application",
            ),
        ),
        Rule(
            "activity_is_in_the_catalogue",
            "The application, entity and activity are in the catalogue",
            "What the documentation does not list is accepted and shown as drift, so that a new or renamed "
            "activity is noticed when it first appears. What somebody has acknowledged is shown and does not warn.",
            JUDGED_RECORD,
            rows(
                JUDGED_RECORD,
                "not is_documented and not coalesce(is_acknowledged, false)",
                "application",
                "entity",
                "activity",
                applies=f"{_READABLE} and is_documented is not null and {_filled('entity')} and {_filled('activity')}",
            ),
        ),
        Rule(
            "event_ids_do_not_conflict",
            "An event id always names the same event",
            "Two different records under one event id cannot both be true. What was accepted first stays; the "
            "other is in quarantine for someone to decide.",
            JUDGED_RECORD,
            rows(
                JUDGED_RECORD,
                _reason("event_id_conflict"),
                "event_id",
                applies=f"{_READABLE} and {_filled('event_id')}",
                column="event_id",
            ),
        ),
    ]


def _delivery_rules() -> list[Rule]:
    return [
        Rule(
            "expected_feeds_were_delivered",
            "Every expected feed was delivered",
            "A feed that is silent for an hour looks exactly like an hour in which nothing happened.",
            RECONCILIATION,
            rows(RECONCILIATION, "status = 'missing'", "detail", column="status"),
        ),
        Rule(
            "every_delivery_could_be_processed",
            "Every delivery could be processed",
            "What cannot be read or judged is set aside so that it holds up nothing else, and it is tried again. Until "
            "it can be processed, or is corrected or removed at the source, its events are in no report.",
            SET_ASIDE,
            UnexpectedRows(
                f"select {LOCATORS[SET_ASIDE]}, source_uri, reason from {SET_ASIDE} where not is_gone",
                evaluated=f"count(*) filter (where not is_gone) + (select count(*) from {DELIVERY})",
            ),
            always_error=True,
        ),
        Rule(
            "deliveries_agree_with_their_manifest",
            "Deliveries agree with their manifest",
            "The source's own count and hash of what it sent is the only proof that all of it arrived, unchanged.",
            RECONCILIATION,
            rows(
                RECONCILIATION,
                "status = 'incomplete'",
                "detail",
                "declared",
                "received",
                applies=f"status is distinct from 'missing' and (feed, feed_hour_utc) not in (select (feed, "
                f"feed_hour_utc) from {SET_ASIDE} where not is_gone)",
                column="status",
            ),
            always_error=True,
        ),
        Rule(
            "every_file_is_in_its_manifest",
            "Every file is in its manifest",
            "A file that the source's manifest does not list is loaded all the same, but the source did not "
            "vouch for it.",
            RECONCILIATION,
            rows(
                RECONCILIATION,
                "undeclared_files > 0",
                "undeclared_files",
                "detail",
                applies="status is distinct from 'missing'",
                column="undeclared_files",
            ),
        ),
        Rule(
            "no_event_vanished",
            "No event vanished from its source",
            "An audit trail only grows. An event that the source had at one reading and has not at a later one was "
            "removed there, or the source answered with less than it has; what was accepted stays here.",
            VANISHED,
            rows(VANISHED, "reappeared_at_utc is null", "event_time_source", "vanished_at_utc"),
        ),
    ]
