-- Each record with its fields cleaned, its time understood, and the reasons against it that it carries in itself.
with

record as (
    select
        * exclude (problem),
        coalesce(
            problem,
            case when not json_valid(record) or json_type(record) <> 'OBJECT' then 'unparseable' end
        ) as problem
    from {{ source('landed', 'record') }}
),

sent as (
    select
        *,
        case when problem is null then json_extract_string(record, [
            '$.application', '$.entity', '$.activity', '$.eventTime', '$.eventId', '$.triggeredBy', '$.instance',
            '$.outcome', '$.comments'
        ]) end as fields
    from record
),

cleaned as (
    select
        feed,
        feed_hour,
        source_uri,
        source_record,
        problem,
        {{ clean('fields[1]') }} as application,
        {{ clean('fields[2]') }} as entity,
        {{ clean('fields[3]') }} as activity,
        {{ clean('fields[4]') }} as event_time,
        {{ clean('fields[5]') }} as event_id,
        {{ clean('fields[6]') }} as triggered_by,
        {{ clean('fields[7]') }} as instance,
        upper({{ clean('fields[8]') }}) as outcome,
        {{ clean('fields[9]') }} as comments
    from sent
),

timed as (
    select
        *,
        regexp_full_match(event_time, '{{ time_pattern() }}(Z|[+-]\d{2}:\d{2})') as is_zoned,
        regexp_full_match(event_time, '{{ time_pattern() }}') as is_local
    from cleaned
),

moment as (
    select
        *,
        -- Only a timestamp with a zone heeds the text's offset. Digits after the sixth are cut.
        case
            when is_zoned then make_timestamp(epoch_us(try_cast({{ cut('event_time') }} as timestamptz)))
            when is_local then try_cast({{ cut('event_time') }} as timestamp)
        end as moment
    from timed
)

select
    * exclude (moment, is_local),
    case when is_zoned then moment end as event_time_utc,
    is_zoned and not event_time.suffix('Z') and event_time[-6:] not in ('+00:00', '-00:00') as has_offset,
    case when problem is not null then [problem] else list_filter([
        case when event_id is null then 'missing_event_id' end,
        case when event_time is null then 'missing_event_time' end,
        case when entity is null then 'missing_entity' end,
        case when activity is null then 'missing_activity' end,
        case when outcome is null then 'missing_outcome' end,
        case when event_time is not null and moment is null then 'invalid_event_time' end,
        case when is_local and moment is not null then 'event_time_zone_unknown' end,
        case when is_zoned and moment > feed_hour + interval 2 hour then 'event_time_in_future' end,
        case when outcome not in ('SUCCESS', 'FAILURE') then 'invalid_outcome' end
    ], lambda reason: reason is not null) end as reasons
from moment
