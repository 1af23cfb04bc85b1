-- The whole table: what was counted before, and the names of this batch.
with

batch as (
    select application, entity, activity, count(*) as event_count
    from {{ ref('fact_activity_event') }}
    group by all
),

named as (
    unpivot batch on application, entity, activity into name field value spelling
),

final as (
    select field, spelling, cast(sum(event_count) as bigint) as event_count
    from (
        select field, spelling, event_count from named
        union all
        select field, spelling, event_count from {{ source('published_quality', 'observed_name') }}
    )
    group by field, spelling
)

select * from final
