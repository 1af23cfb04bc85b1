"""The core of the feed contract in ClickHouse, as a library: one statement after the other on tables of a session."""

from __future__ import annotations

import argparse
from pathlib import Path

from chdb import session

FIELDS = (
    "application",
    "entity",
    "activity",
    "event_time",
    "event_id",
    "triggered_by",
    "instance",
    "outcome",
    "comments",
)
OTHER_COLUMNS = "event_time_utc, application, entity, activity, triggered_by, instance, outcome, comments"
WHITE_SPACE = r"[\s\p{Z}\x0b\x1c-\x1f\x85]+"
PUNCTUATION = r"[\s\p{P}\p{Z}\p{C}]+"
TIME = r"\d{4}-\d{2}-\d{2}[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?"
ZONED, LOCAL = rf"^{TIME}(Z|[+-]\d{{2}}:\d{{2}})$", f"^{TIME}$"
TOO_LARGE = 1_048_576
KEPT_OF_TOO_LARGE = 65_536


def quoted(text: str) -> str:
    """A literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def clean(text: str) -> str:
    """Trimmed, in NFC, null where nothing is left."""
    edges = quoted(f"^{WHITE_SPACE}|{WHITE_SPACE}$")
    return f"nullIf(normalizeUTF8NFC(replaceRegexpAll(assumeNotNull({text}), {edges}, '')), '')"


def key(name: str) -> str:
    """The key by which names match."""
    bare = f"replaceRegexpAll(replaceAll(lowerUTF8({name}), '&', 'and'), {quoted(PUNCTUATION)}, '')"
    return f"if({bare} = '', lowerUTF8({name}), {bare})"


def landed(feeds: Path) -> str:
    """Every record with its place; a file is read whole and split, so that positions are known."""
    return f"""
        create table landed engine MergeTree order by (source_uri, source_record) as
        select
            source_uri,
            splitByChar('/', source_uri)[-4] as feed,
            parseDateTimeBestEffort(
                splitByChar('/', source_uri)[-3] || ' ' || splitByChar('/', source_uri)[-2] || ':00:00', 'UTC'
            ) as feed_hour,
            toUInt32(number) as source_record,
            if(length(line) > {TOO_LARGE}, substring(line, 1, {KEPT_OF_TOO_LARGE}), line) as record,
            multiIf(
                length(line) > {TOO_LARGE}, 'too_large',
                not isValidUTF8(line) or not isValidJSON(line) or JSONType(line) <> 'Object', 'unparseable',
                ''
            ) as problem
        from (
            select _path as source_uri, arrayFilter(line -> trimBoth(line) <> '', splitByChar('\\n', content)) as lines
            from file('{feeds}/*/*/*/*.ndjson*', 'RawBLOB', 'content String')
        )
        array join lines as line, arrayEnumerate(lines) as number
    """


PARSED = f"""
    create table parsed engine MergeTree order by (source_uri, source_record)
    settings allow_nullable_key = 1 as
    with
        JSONExtract(
            record,
            'Tuple(application Nullable(String), entity Nullable(String), activity Nullable(String),
                eventTime Nullable(String), eventId Nullable(String), triggeredBy Nullable(String),
                instance Nullable(String), outcome Nullable(String), comments Nullable(String))'
        ) as sent,
        match(assumeNotNull(event_time), {quoted(ZONED)}) as is_zoned,
        match(assumeNotNull(event_time), {quoted(LOCAL)}) as is_local,
        -- Digits after the sixth are cut.
        if(is_zoned or is_local, parseDateTime64BestEffortOrNull(assumeNotNull(event_time), 6, 'UTC'), null) as moment
    select
        source_uri, feed, feed_hour, source_record,
        {", ".join(f"{clean(f'sent.{place}')} as {name}" for place, name in enumerate(FIELDS, 1) if name != "outcome")},
        upperUTF8(assumeNotNull({clean("sent.8")})) as outcome_or_none,
        nullIf(outcome_or_none, '') as outcome,
        if(is_zoned, moment, null) as event_time_utc,
        is_zoned and not match(assumeNotNull(event_time), '(Z|[+-]00:00)$') as has_offset,
        if(problem <> '', [problem], arrayFilter(reason -> reason <> '', [
            if(event_id is null, 'missing_event_id', ''),
            if(event_time is null, 'missing_event_time', ''),
            if(entity is null, 'missing_entity', ''),
            if(activity is null, 'missing_activity', ''),
            if(outcome is null, 'missing_outcome', ''),
            if(event_time is not null and moment is null, 'invalid_event_time', ''),
            if(is_local and moment is not null, 'event_time_zone_unknown', ''),
            if(is_zoned and moment > feed_hour + interval 2 hour, 'event_time_in_future', ''),
            if(outcome is not null and outcome not in ('SUCCESS', 'FAILURE'), 'invalid_outcome', '')
        ])) as reasons
    from landed
"""


def names(catalogue: Path) -> list[str]:
    """The applications' names, and what is documented of them, as tables."""

    def table(name: str) -> str:
        return f"file('{catalogue.resolve()}/{name}.csv', 'CSVWithNames')"

    three = ("application", "entity", "activity")
    return [
        f"create table application engine Memory as select * from {table('application')}",
        f"""
        create table application_name engine Memory as
        select {key("trimBoth(name)")} as name_key, argMin(application, precedence) as application
        from (
            select application, application as name, 1 as precedence from application
            union all
            select application, arrayJoin(splitByChar(';', assumeNotNull(aliases))), 2 from application
            union all
            select application, display_name, 3 from application
            union all
            select application, slug, 4 from application
        )
        where trimBoth(name) <> ''
        group by name_key
        """,
        f"""
        create table documented engine Memory as
        select distinct {", ".join(f"{key(f'assumeNotNull({name})')} as {name}_key" for name in three)}
        from (select * from {table("entity_activity")} union all select * from {table("own_activity")})
        where activity <> ''
        """,
        # Names are few, so they are looked up once for each spelling.
        f"""
        create table spelling engine Memory as
        select sent.name as name, coalesce(nullIf(known.application, ''), sent.name) as application
        from (select distinct assumeNotNull(application) as name from parsed where application is not null) as sent
        left join application_name as known on {key("sent.name")} = known.name_key
        """,
    ]


VALID = """
    create table valid engine MergeTree order by event_id as
    select
        parsed.source_uri as source_uri, parsed.source_record as source_record, parsed.feed as feed,
        parsed.feed_hour as feed_hour, assumeNotNull(parsed.event_id) as event_id,
        assumeNotNull(parsed.event_time_utc) as event_time_utc,
        if(parsed.application is null, own.application, spelling.application) as application,
        assumeNotNull(parsed.entity) as entity, assumeNotNull(parsed.activity) as activity,
        parsed.triggered_by as triggered_by, parsed.instance as instance,
        assumeNotNull(parsed.outcome) as outcome, parsed.comments as comments,
        parsed.has_offset as has_offset, application <> own.application as is_foreign
    from parsed
    left join spelling on parsed.application = spelling.name
    left join application as own on parsed.feed = own.slug
    where empty(parsed.reasons)
"""
SAME = " and ".join(f"again.{name} is not distinct from first.{name}" for name in OTHER_COLUMNS.split(", "))
LATER = f"""
    create table later engine Memory as
    with contested as (
        select *, row_number() over (
            partition by event_id order by feed_hour, feed, source_uri, source_record
        ) as turn
        from valid where event_id in (select event_id from valid group by event_id having count() > 1)
    )
    select again.source_uri as source_uri, again.source_record as source_record,
        {SAME} as is_same
    from contested as again
    inner join (select * from contested where turn = 1) as first on again.event_id = first.event_id
    where again.turn > 1
"""
KIND = f"""
    create table kind engine Memory as
    select names.application as application, names.entity as entity, names.activity as activity,
        documented.application_key <> '' as is_documented
    from (select distinct application, entity, activity from valid) as names
    left join documented on {
    " and ".join(f"{key(f'names.{name}')} = documented.{name}_key" for name in ("application", "entity", "activity"))
}
"""
VALID_COLUMNS = f"event_id, {OTHER_COLUMNS}, has_offset, is_foreign"
EVENT = f"""
    create table event engine MergeTree order by event_id as
    select
        {", ".join(f"valid.{name} as {name}" for name in VALID_COLUMNS.split(", "))},
        kind.is_documented as is_documented
    from valid
    left anti join later on valid.source_uri = later.source_uri and valid.source_record = later.source_record
    inner join kind
        on valid.application = kind.application and valid.entity = kind.entity and valid.activity = kind.activity
"""
QUARANTINE = """
    create table quarantine engine Memory as
    select landed.feed as feed, landed.source_uri as source_uri, landed.source_record as source_record,
        landed.record as record, refused.reasons as reasons
    from landed
    inner join (
        select source_uri, source_record, reasons from parsed where notEmpty(reasons)
        union all
        select source_uri, source_record, ['event_id_conflict'] from later where not is_same
    ) as refused on landed.source_uri = refused.source_uri and landed.source_record = refused.source_record
"""
COUNTS = """
    select
        (select count() from landed) as received,
        (select count() from event) as accepted,
        (select countIf(is_same) from later) as duplicate,
        (select count() from quarantine) as quarantined,
        (select countIf(not is_same) from later) as conflict,
        (select countIf(has_offset) from event) as offset_normalised,
        (select countIf(is_foreign) from event) as foreign_application,
        (select countIf(not is_documented) from event) as undocumented
"""


def main() -> None:
    """Land, parse, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("feeds", "catalogue", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    for name in ("fact", "quarantine"):
        (options.out / name).mkdir(parents=True)
    with session.Session(str(options.out / "clickhouse")) as database:
        database.query("create database work")
        database.query("use work")
        steps = [landed(options.feeds), PARSED, *names(options.catalogue), VALID, LATER, KIND, EVENT, QUARANTINE]
        for statement in steps:
            database.query(statement)
        parquet = (
            "settings output_format_parquet_compression_method = 'zstd', output_format_parquet_string_as_string = 1"
        )
        for table, columns in (
            ("fact", f"event_id, {OTHER_COLUMNS}, toBool(is_documented) as is_documented"),
            ("quarantine", "*"),
        ):
            source = "event" if table == "fact" else table
            database.query(
                f"insert into function file('{options.out.resolve()}/{table}/part.parquet', 'Parquet') "
                f"select {columns} from {source} {parquet}"
            )
        counts = database.query(COUNTS, "JSONEachRow").bytes()
    (options.out / "counts.json").write_bytes(counts)


if __name__ == "__main__":
    main()
