-- The event ids, and their times as text, of every reading of the hours that this run has a new reading of.
with

record as (
    select * from {{ source('raw', 'reading_record') }}
),

readable as (
    select
        delivery_id,
        record,
        {{ record_field_names('record') }} as names
    from record
    where problem is null and case when json_valid(record) then json_type(record) = 'OBJECT' else false end
),

spelt as (
    select
        *,
        {{ usual_spelling('names') }} as spelling
    from readable
),

settled as (
    {{ settled_records('spelt') }}
),

fields as (
    select
        *,
        {{ field_columns() }}
    from settled
),

identified as (
    select
        delivery_id,
        {{ field_value('event_id') }} as event_id,
        coalesce({{ field_value('event_time') }}, {{ field_value('event_time_utc') }}) as event_time_source
    from fields
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
