{{ config(materialized='external', location=env_var('OUT') ~ '/fact/part.parquet', options={'compression': 'zstd'}) }}
select
    event_id, event_time_utc, application, entity, activity, triggered_by, instance, outcome, comments, is_documented
from {{ ref('judged') }}
where fate = 'accepted'
