-- This run, to be appended.
with

run_context as (
    select * from {{ source('raw', 'run_context') }}
),

delivery as (
    select
        count(*) as deliveries,
        coalesce(sum(received), 0) as received,
        coalesce(sum(accepted), 0) as accepted,
        coalesce(sum(duplicate), 0) as duplicate,
        coalesce(sum(quarantined), 0) as quarantined
    from {{ ref('feed_delivery') }}
),

-- What a replay resolves is in quarantine no more.
replayed as (
    select
        count(*) filter (disposition = 'accepted') as accepted,
        count(*) filter (disposition = 'duplicate') as duplicate,
        0 - count(*) filter (disposition <> 'quarantined') as quarantined
    from {{ ref('replayed_record') }}
),

final as (
    select
        run_context.run_id,
        run_context.started_at_utc,
        run_context.from_hour_utc,
        run_context.to_hour_utc,
        delivery.deliveries,
        cast(delivery.received as bigint) as received,
        {%- for name in ['accepted', 'duplicate', 'quarantined'] %}
        cast(delivery.{{ name }} + replayed.{{ name }} as bigint) as {{ name }},
        {%- endfor %}
        case when run_context.is_replay then 'replay' else 'run' end as kind
    from run_context
    cross join delivery
    cross join replayed
)

select * from final
