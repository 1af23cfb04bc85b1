-- The records whose judgement a replay changes, to be appended; a run judges none again.
with

judged as (
    select * from {{ ref('int_judged_record') }}
),

replayed as (
    select * from {{ source('raw', 'replayed') }}
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
        judged.event_id,
        replayed.revision,
        replayed.reasons as reasons_before,
        judged.disposition,
        judged.reasons as reasons_after,
        judged.disposition = 'accepted' and judged.event_offset_minutes <> 0 as offset_normalised,
        judged.disposition = 'accepted' and judged.event_time_utc < judged.feed_hour_utc as late,
        run_context.started_at_utc as replayed_at_utc,
        run_context.run_id
    from judged
    inner join replayed
        on judged.delivery_id = replayed.delivery_id and judged.source_record = replayed.source_record
    cross join run_context
    where judged.disposition <> 'quarantined' or judged.reasons is distinct from replayed.reasons
)

select * from final
