-- The quarantined records of the batch, whole, to be appended; a replay's are published already.
with

judged as (
    select * from {{ ref('int_judged_record') }} where disposition = 'quarantined'
),

record as (
    select * from {{ source('raw', 'record') }}
),

run_context as (
    select * from {{ source('raw', 'run_context') }}
),

final as (
    select
        judged.feed,
        judged.feed_hour_utc,
        judged.source_uri,
        judged.source_record,
        judged.delivery_id,
        judged.reasons,
        judged.event_id,
        record.record,
        record.record_bytes,
        record.record_length,
        record.record_sha256,
        run_context.started_at_utc as quarantined_at_utc,
        run_context.run_id,
        cast(null as timestamp) as resolved_at_utc
    from judged
    inner join record
        on judged.delivery_id = record.delivery_id and judged.source_record = record.source_record
    cross join run_context
    where not run_context.is_replay
)

select * from final
