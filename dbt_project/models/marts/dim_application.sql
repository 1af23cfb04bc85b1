-- The catalogue's applications, and those that events named and no catalogue knows.
with

catalogue as (
    select application, display_name, slug, in_report_prompt from {{ ref('application') }}
),

batch_event as (
    select application, max(event_time_utc) as last_event_time_utc, max(feed_hour_utc) as last_feed_hour_utc
    from {{ ref('fact_activity_event') }}
    group by application
),

batch_delivery as (
    select feed, max(feed_hour_utc) as last_feed_hour_utc from {{ source('raw', 'delivery') }} group by feed
),

published as (
    select * from {{ source('published', 'dim_application') }}
),

name as (
    select application from catalogue
    union
    select application from batch_event
    union
    select application from published where last_event_time_utc is not null
),

final as (
    select
        name.application,
        coalesce(catalogue.display_name, name.application) as display_name,
        catalogue.slug,
        coalesce(catalogue.in_report_prompt, false) as in_report_prompt,
        greatest(published.last_event_time_utc, batch_event.last_event_time_utc) as last_event_time_utc,
        greatest(
            published.last_feed_hour_utc, batch_event.last_feed_hour_utc, batch_delivery.last_feed_hour_utc
        ) as last_feed_hour_utc
    from name
    left join catalogue on name.application = catalogue.application
    left join published on name.application = published.application
    left join batch_event on name.application = batch_event.application
    left join batch_delivery on catalogue.slug = batch_delivery.feed
)

select * from final
