-- One row per received record, its nine fields found under whatever spelling they came and cleaned.
with

record as (
    select * from {{ source('raw', 'record') }}
),

listed as (
    {{ listed_fields('record') }}
),

final as (
    select
        delivery_id,
        source_record,
        case
            when problem is not null then problem
            when not is_json then 'unparseable'
            -- What has a name is an object.
            when len(names) = 0 and json_type(record) <> 'OBJECT' then 'unparseable'
        end as problem,
        repeats_field,
        {{ field_text('application') }} as application,
        {{ field_text('entity') }} as entity,
        {{ field_text('activity') }} as activity,
        {{ field_text('event_time') }} as event_time,
        {{ field_text('event_time_utc') }} as event_time_declared_utc,
        {{ field_text('event_id') }} as event_id,
        {{ field_text('triggered_by') }} as triggered_by,
        {{ field_text('instance') }} as instance,
        {{ field_text('outcome') }} as outcome,
        {{ field_text('comments') }} as comments
    from listed
)

select * from final
