-- The events that a reading of an hour had and a later one had not: those whose row is new or changed by this run.
with

reading as (
    select * from {{ source('raw', 'reading') }}
),

run_context as (
    select * from {{ source('raw', 'run_context') }}
),

-- A feed's reading stands until the next one of the same feed hour.
standing as (
    select
        delivery_id,
        feed,
        feed_hour_utc,
        landed_at_utc as since_utc,
        coalesce(lead(landed_at_utc) over following, timestamp '9999-12-31') as until_utc,
        lead(delivery_id) over following as next_delivery_id
    from reading
    window following as (partition by feed, feed_hour_utc order by landed_at_utc, name, delivery_id)
),

presence as (
    select
        record.event_id,
        record.event_time_source,
        standing.*
    from {{ ref('stg_reading_record') }} as record
    inner join standing on record.delivery_id = standing.delivery_id
),

-- An event that has moved from one feed to another in the same hour has not vanished.
covered as (
    select
        feed_hour_utc,
        event_id,
        max(until_utc) over earlier as gone_at_utc,
        lead(since_utc) over in_order as back_at_utc,
        lead(delivery_id) over in_order as back_in_delivery_id
    from presence
    window
        in_order as (partition by feed_hour_utc, event_id order by since_utc, until_utc, delivery_id),
        earlier as (
            partition by feed_hour_utc, event_id order by since_utc, until_utc, delivery_id
            rows between unbounded preceding and current row
        )
),

newest_gap as (
    select * from covered
    where gone_at_utc < coalesce(back_at_utc, timestamp '9999-12-31')
    qualify row_number() over (partition by feed_hour_utc, event_id order by gone_at_utc desc) = 1
),

described as (
    select
        newest_gap.event_id,
        presence.feed,
        newest_gap.feed_hour_utc,
        presence.event_time_source,
        presence.delivery_id as last_seen_delivery_id,
        presence.next_delivery_id as vanished_delivery_id,
        newest_gap.gone_at_utc as vanished_at_utc,
        newest_gap.back_in_delivery_id as reappeared_delivery_id,
        newest_gap.back_at_utc as reappeared_at_utc
    from newest_gap
    inner join presence
        on newest_gap.feed_hour_utc = presence.feed_hour_utc
        and newest_gap.event_id = presence.event_id
        and newest_gap.gone_at_utc = presence.until_utc
    qualify row_number() over (
        partition by newest_gap.feed_hour_utc, newest_gap.event_id order by presence.since_utc desc, presence.feed asc
    ) = 1
),

published as (
    select * from {{ source('published_quality', 'vanished_event') }}
),

final as (
    select
        described.*,
        run_context.run_id
    from described
    left join published
        on described.event_id = published.event_id
        and described.feed_hour_utc = published.feed_hour_utc
        and described.vanished_at_utc = published.vanished_at_utc
        and described.reappeared_at_utc is not distinct from published.reappeared_at_utc
    cross join run_context
    where published.event_id is null
)

select * from final
