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
    from {{ staged(ref('feed_delivery')) }}
),

final as (
    select
        run_context.run_id,
        run_context.started_at_utc,
        run_context.from_hour_utc,
        run_context.to_hour_utc,
        delivery.deliveries,
        {%- for name in ['received', 'accepted', 'duplicate', 'quarantined'] %}
        cast(delivery.{{ name }} as bigint) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from run_context
    cross join delivery
)

select * from final
