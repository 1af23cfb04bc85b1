-- The records whose event id is met more than once, in this batch or in the published fact, and what becomes of
-- them. The first valid record of an id, in the order of feed hour, feed, file and position, is accepted unless
-- an event with that id was published before.
with

record as (
    select
        parsed.* exclude (own_reasons),
        len(parsed.own_reasons) = 0 as is_valid,
        application.application
    from {{ ref('int_parsed_record') }} as parsed
    left join {{ ref('int_application') }} as application on parsed.application_sent = application.application_sent
    where parsed.event_id is not null
),

accepted_before as (
    select * from {{ ref('int_published_event') }}
),

-- To count keys takes a third of what it takes to count ids, of which nearly all are met once.
shared_key as (
    select event_id_key from {{ ref('int_parsed_record') }}
    where event_id is not null
    group by event_id_key having count(*) > 1
),

batch_id as (
    select event_id, count(*) as records from record
    where event_id_key in (select event_id_key from shared_key)
    group by event_id
),

contested_id as (
    select event_id from batch_id where records > 1
    union
    select event_id from accepted_before
),

contested as (
    select
        record.*,
        row_number() over (
            partition by record.event_id
            order by record.feed_hour_utc, record.feed, record.source_uri, record.landed_at_utc,
                record.delivery_id, record.source_record
        ) as turn
    from record
    where record.event_id in (select event_id from contested_id)
),

first_valid as (
    select event_id, min(turn) as turn
    from contested
    where is_valid and event_id not in (select event_id from accepted_before)
    group by event_id
),

accepted as (
    select
        0 as turn, event_id, event_time_utc, application, entity, activity, outcome, triggered_by, instance, comments
    from accepted_before
    union all by name
    select
        contested.turn, contested.event_id, contested.event_time_utc, contested.application, contested.entity,
        contested.activity, contested.outcome, contested.triggered_by, contested.instance, contested.comments
    from contested
    inner join first_valid on contested.event_id = first_valid.event_id and contested.turn = first_valid.turn
),

final as (
    select
        contested.delivery_id,
        contested.source_record,
        contested.event_id,
        case
            when accepted.turn is null or contested.turn < accepted.turn then null
            when contested.turn = accepted.turn then 'accepted'
            when {{ same_content('contested', 'accepted') }} then 'same'
            else 'conflict'
        end as comparison
    from contested
    left join accepted on contested.event_id = accepted.event_id
)

select * from final where comparison is not null
