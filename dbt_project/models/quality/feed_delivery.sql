-- The deliveries of the batch with what became of their records, to be appended; a replay's are published already.
with

delivery as (
    select * from {{ source('raw', 'delivery') }}
),

run_context as (
    select * from {{ source('raw', 'run_context') }}
),

counted as (
    select
        delivery_id,
        count(*) as received,
        count(*) filter (disposition = 'accepted') as accepted,
        count(*) filter (disposition = 'duplicate') as duplicate,
        count(*) filter (disposition = 'quarantined') as quarantined,
        count(*) filter (disposition = 'accepted' and event_offset_minutes <> 0) as offset_normalised,
        count(*) filter (disposition = 'accepted' and event_time_utc < feed_hour_utc) as late,
        count(*) filter (disposition = 'accepted' and is_foreign_application) as foreign_application,
        count(*) filter (disposition = 'accepted' and not is_documented) as undocumented
    from {{ ref('int_judged_record') }}
    group by delivery_id
),

final as (
    select
        delivery.delivery_id,
        delivery.feed,
        delivery.feed_hour_utc,
        delivery.name,
        delivery.source_uri,
        delivery.sha256,
        delivery.bytes,
        delivery.landed_at_utc,
        coalesce(counted.received, 0) as received,
        coalesce(counted.accepted, 0) as accepted,
        coalesce(counted.duplicate, 0) as duplicate,
        coalesce(counted.quarantined, 0) as quarantined,
        coalesce(counted.offset_normalised, 0) as offset_normalised,
        coalesce(counted.late, 0) as late,
        coalesce(counted.foreign_application, 0) as foreign_application,
        coalesce(counted.undocumented, 0) as undocumented,
        run_context.run_id,
        delivery.raw_sha256
    from delivery
    left join counted on delivery.delivery_id = counted.delivery_id
    cross join run_context
    where not run_context.is_replay
)

select * from final
