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
),

newest_acknowledgement as (
    select * from {{ ref('catalogue_acknowledgement') }}
    qualify row_number() over (partition by acknowledgement_key order by revision desc) = 1
),

-- The one for the narrowest name counts.
acknowledged as (
    select
        observed.entity_activity_key,
        acknowledgement.acknowledged_by,
        acknowledgement.acknowledged_on,
        acknowledgement.why
    from observed
    inner join newest_acknowledgement as acknowledgement
        on {{ acknowledges('acknowledgement', 'observed') }}
    where acknowledgement.action <> 'withdrawn'
    qualify row_number() over (
        partition by observed.entity_activity_key
        order by acknowledgement.activity is null asc, acknowledgement.entity is null asc
    ) = 1
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
    observed.entity_activity_key,
    acknowledged.acknowledged_by,
    acknowledged.acknowledged_on,
    acknowledged.why as acknowledgement
from observed
left join acknowledged on observed.entity_activity_key = acknowledged.entity_activity_key
left join documented_application on observed.application = documented_application.application
left join documented_entity
    on {{ normalised_name('observed.application') }} = documented_entity.application_key
    and {{ normalised_name('observed.entity') }} = documented_entity.entity_key
