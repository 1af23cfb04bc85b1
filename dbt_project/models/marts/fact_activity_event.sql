-- The accepted events of the batch, to be appended.
with

judged as (
    select * from {{ ref('int_judged_record') }} where disposition = 'accepted'
),

run_context as (
    select * from {{ source('raw', 'run_context') }}
),

final as (
    select
        judged.event_id,
        judged.event_time_utc,
        date_trunc('hour', judged.event_time_utc) as event_hour_utc,
        judged.application,
        judged.entity,
        judged.activity,
        judged.instance,
        judged.triggered_by,
        judged.comments,
        judged.outcome,
        judged.entity_activity_key,
        judged.event_time_source,
        judged.feed,
        judged.feed_hour_utc,
        judged.source_uri,
        judged.source_record,
        run_context.started_at_utc as ingested_at_utc,
        run_context.run_id,
        judged.event_sha256
    from judged
    cross join run_context
)

select * from final
