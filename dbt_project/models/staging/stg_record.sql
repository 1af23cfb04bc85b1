-- One row per received record, its nine fields found under whatever spelling they came and cleaned.
with

record as (
    select * from {{ source('raw', 'record') }}
),

checked as (
    select
        *,
        coalesce(problem, case when not json_valid(record) then 'unparseable' end) as text_problem
    from record
),

named as (
    select
        *,
        case when text_problem is null then {{ record_field_names('record') }} end as names
    from checked
),

readable as (
    select
        * exclude (text_problem),
        {{ usual_spelling('names') }} as spelling,
        coalesce(
            text_problem,
            -- What has a name is an object.
            case when len(names) = 0 and json_type(record) <> 'OBJECT' then 'unparseable' end
        ) as record_problem
    from named
),

settled as (
    {{ settled_records('readable') }}
),

fields as (
    select
        *,
        {{ field_columns() }}
    from settled
),

final as (
    select
        delivery_id,
        source_record,
        record_problem as problem,
        repeats_field,
        {{ field_value('application') }} as application,
        {{ field_value('entity') }} as entity,
        {{ field_value('activity') }} as activity,
        {{ field_value('event_time') }} as event_time,
        {{ field_value('event_time_utc') }} as event_time_declared_utc,
        {{ field_value('event_id') }} as event_id,
        {{ field_value('triggered_by') }} as triggered_by,
        {{ field_value('instance') }} as instance,
        {{ field_value('outcome') }} as outcome,
        {{ field_value('comments') }} as comments
    from fields
)

select * from final
