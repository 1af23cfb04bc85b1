-- The whole new rows of every event hour that this batch adds events to.
with

batch as (
    select event_hour_utc, application, entity, activity, outcome, count(*) as event_count
    from {{ ref('fact_activity_event') }}
    group by all
),

touched as (
    select distinct event_hour_utc from batch
),

published as (
    select
        published.event_hour_utc, published.application, published.entity, published.activity, published.outcome,
        published.event_count
    from {{ source('published', 'agg_activity_hourly') }} as published
    where published.event_hour_utc in (select event_hour_utc from touched)
),

final as (
    select
        event_hour_utc, application, entity, activity, outcome, cast(sum(event_count) as bigint) as event_count
    from (
        select * from batch
        union all
        select * from published
    )
    group by all
)

select * from final
