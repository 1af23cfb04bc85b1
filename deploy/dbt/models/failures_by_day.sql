{{ config(materialized="table") }}

select
    date_trunc('day', event_hour_utc) as day_utc,
    application,
    sum(event_count)::bigint as failures
from {{ source('activity_audit', 'agg_activity_hourly') }}
where outcome = 'FAILURE'
group by all
