-- The event ids, and their times as text, of every reading of the hours that this run has a new reading of.
with

record as (
    select * from {{ source('raw', 'reading_record') }}
),

listed as (
    {{ listed_fields('record') }}
),

identified as (
    select
        delivery_id,
        {{ field_text('event_id') }} as event_id,
        coalesce({{ field_text('event_time') }}, {{ field_text('event_time_utc') }}) as event_time_source
    from listed
),

final as (
    select
        delivery_id,
        event_id,
        min(event_time_source) as event_time_source
    from identified
    where event_id is not null
    group by delivery_id, event_id
)

select * from final
