with

observed as (
    select * from {{ ref('dim_entity_activity') }} where event_count > 0 and not is_documented
),

documented_entity as (
    select
        {{ normalised_name('application') }} as application_key,
        {{ normalised_name('entity') }} as entity_key
    from {{ ref('dim_entity_activity') }}
    where is_documented
    group by all
),

documented_application as (
    select application from {{ ref('dim_application') }} where slug is not null
)

select
    observed.application,
    observed.entity,
    observed.activity,
    case
        when documented_application.application is null then 'application'
        when documented_entity.entity_key is null then 'entity'
        else 'activity'
    end as undocumented,
    observed.first_seen_utc,
    observed.last_seen_utc,
    observed.event_count,
    observed.entity_activity_key
from observed
left join documented_application on observed.application = documented_application.application
left join documented_entity
    on {{ normalised_name('observed.application') }} = documented_entity.application_key
    and {{ normalised_name('observed.entity') }} = documented_entity.entity_key
