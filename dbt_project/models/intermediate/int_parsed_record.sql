-- Each record with its time understood and the reasons against it that it carries in itself.
with

record as (
    select * from {{ ref('stg_record') }}
),

delivery as (
    select * from {{ source('raw', 'delivery') }}
),

run_context as (
    select * from {{ source('raw', 'run_context') }}
),

feed_application as (
    select slug, application from {{ ref('application') }}
),

located as (
    select
        record.*,
        delivery.feed,
        delivery.feed_hour_utc,
        delivery.source_uri,
        delivery.landed_at_utc,
        feed_application.application as feed_application,
        record.event_time is null and record.event_time_declared_utc is not null as time_declares_utc,
        coalesce(record.event_time, record.event_time_declared_utc) as event_time_source
    from record
    inner join delivery on record.delivery_id = delivery.delivery_id
    left join feed_application on delivery.feed = feed_application.slug
),

-- The usual time apart from all others, which take longer to understand.
usual as (
    select
        *,
        {{ parse_usual_time('event_time_source') }} as usual_time
    from located
),

timed as (
    select
        *,
        case
            when usual_time is null and event_time_source is not null
                then {{ parse_event_time('event_time_source', 'time_declares_utc') }}
        end as parsed_time
    from usual
),

zoned as (
    select
        *,
        coalesce(usual_time, parsed_time.local) as local_time,
        case
            when usual_time is not null then 0
            when time_declares_utc then coalesce(parsed_time.offset_minutes, 0)
            else parsed_time.offset_minutes
        end as event_offset_minutes
    from timed
),

instant as (
    select
        *,
        case
            when event_offset_minutes = 0 and local_time >= timestamp '0001-01-01' then local_time
            when local_time - to_minutes(event_offset_minutes) >= timestamp '0001-01-01'
                then local_time - to_minutes(event_offset_minutes)
        end as event_time_utc
    from zoned
),

judged as (
    select
        instant.*,
        upper(instant.outcome) as outcome_normalised,
        case
            when instant.event_time_source is null then null
            when instant.local_time is null then 'invalid_event_time'
            when instant.event_offset_minutes is null then 'event_time_zone_unknown'
            when instant.event_time_utc is null then 'invalid_event_time'
        end as event_time_problem,
        instant.event_time_utc
        > instant.feed_hour_utc + to_hours(1) + to_seconds(run_context.future_tolerance_seconds)
            as is_in_future
    from instant
    cross join run_context
),

reasoned as (
    select
        delivery_id,
        feed,
        feed_hour_utc,
        source_uri,
        source_record,
        landed_at_utc,
        problem,
        repeats_field,
        event_id,
        {{ event_id_key('event_id') }} as event_id_key,
        event_time_source,
        event_time_utc,
        event_offset_minutes,
        event_time_problem,
        coalesce(application, feed_application) as application_sent,
        feed_application,
        entity,
        activity,
        instance,
        triggered_by,
        comments,
        outcome as outcome_source,
        outcome_normalised as outcome,
        case
            when problem is not null then [problem]
            -- The usual record, decided by one test, so that the list below is built for few.
            when event_id is not null and event_time_utc is not null and not is_in_future and entity is not null
                and activity is not null and outcome_normalised in ('SUCCESS', 'FAILURE')
                then cast([] as varchar[])
            else list_filter(
                [
                    case when event_id is null then 'missing_event_id' end,
                    case when event_time_source is null then 'missing_event_time' end,
                    case when entity is null then 'missing_entity' end,
                    case when activity is null then 'missing_activity' end,
                    case when outcome is null then 'missing_outcome' end,
                    event_time_problem,
                    case when is_in_future then 'event_time_in_future' end,
                    case when outcome_normalised not in ('SUCCESS', 'FAILURE') then 'invalid_outcome' end
                ],
                lambda reason: reason is not null
            )
        end as own_reasons
    from judged
),

-- An application that is spelled as the catalogue spells it is that application, unless its name matches another's. It
-- may have several feeds.
catalogued as (
    select min(application) as application
    from feed_application
    group by {{ normalised_name('application') }}
    having count(distinct application) = 1
),

written as (
    select
        reasoned.*,
        case
            when len(reasoned.own_reasons) = 0 and catalogued.application is not null
                then {{ hashed_time('reasoned.event_time_utc') }}
        end as time_text
    from reasoned
    left join catalogued on reasoned.application_sent = catalogued.application
),

final as (
    select
        * exclude (time_text),
        case
            when time_text is not null
                then {{ record_sha256(application='application_sent', time_text='time_text') }}
        end as event_sha256
    from written
)

select * from final
