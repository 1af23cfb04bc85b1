-- The published events that have an event id of this batch, with any time. The keys say in which hours to look, so that
-- of the fact only these are read; whether an event has the id is told by the fact alone.
with

batch as (
    select event_id, event_id_key from {{ ref('int_parsed_record') }} where event_id is not null
),

known as (
    select event_id_key, event_hour_utc from {{ ref('int_known_event') }}
),

-- Of a bulk load these few are told apart, and not all of its ids.
batch_id as (
    select distinct event_id from batch
    where event_id_key in (select event_id_key from known)
),

hour_to_search as (
    select distinct event_hour_utc from known
),

fact as (
    select
        event_id, event_hour_utc, event_time_utc, application, entity, activity, outcome, triggered_by, instance,
        comments
    from {{ source('published', 'fact_activity_event') }}
),

final as (
    select * exclude (event_hour_utc) from fact
    where event_hour_utc in (select event_hour_utc from hour_to_search)
        -- DuckLake asks its catalog for the files of what is looked up, and a character 0 in an id ends that question
        -- in the middle. Of an expression it asks nothing.
        and substr(event_id, 1) in (select event_id from batch_id)
)

select * from final
