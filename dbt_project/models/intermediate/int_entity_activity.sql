-- The keys of the (application, entity, activity) spellings met in this batch, computed once for each.
with

spelling as (
    select distinct application.application, parsed.entity, parsed.activity
    from {{ ref('int_parsed_record') }} as parsed
    inner join {{ ref('int_application') }} as application on parsed.application_sent = application.application_sent
    where parsed.entity is not null and parsed.activity is not null
),

keyed as (
    select *, {{ entity_activity_key('application', 'entity', 'activity') }} as entity_activity_key
    from spelling
),

documented as (
    select entity_activity_key from {{ ref('stg_entity_activity') }}
),

acknowledged as (
    select distinct keyed.application, keyed.entity, keyed.activity
    from keyed
    inner join {{ ref('stg_drift_acknowledgement') }} as acknowledgement
        on {{ acknowledges('acknowledgement', 'keyed') }}
),

final as (
    select
        keyed.*,
        documented.entity_activity_key is not null as is_documented,
        acknowledged.application is not null as is_acknowledged
    from keyed
    left join documented on keyed.entity_activity_key = documented.entity_activity_key
    left join acknowledged
        on keyed.application = acknowledged.application
        and keyed.entity = acknowledged.entity
        and keyed.activity = acknowledged.activity
)

select * from final
