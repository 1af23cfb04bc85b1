-- The whole dimension: what the catalogue documents, and what has been observed, counted up to and with this batch.
with

documented as (
    select * from {{ ref('stg_entity_activity') }}
),

published as (
    select * from {{ source('published', 'dim_entity_activity') }} where event_count > 0
),

batch as (
    select
        entity_activity_key,
        min(application) as application,
        min(entity) as entity,
        min(activity) as activity,
        min(event_time_utc) as first_seen_utc,
        max(event_time_utc) as last_seen_utc,
        count(*) as event_count
    from {{ ref('fact_activity_event') }}
    group by entity_activity_key
),

seen as (
    select
        entity_activity_key,
        min(application) as application,
        min(entity) as entity,
        min(activity) as activity,
        min(first_seen_utc) as first_seen_utc,
        max(last_seen_utc) as last_seen_utc,
        sum(event_count) as event_count
    from (
        select
            entity_activity_key, application, entity, activity, first_seen_utc, last_seen_utc, event_count
        from published
        union all by name
        select * from batch
    )
    group by entity_activity_key
),

-- What the report itself records is in no document of the vendor's, and is of interest where it was recorded.
shown as (
    select * from documented
    where provenance is distinct from 'own' or entity_activity_key in (select entity_activity_key from seen)
),

spelling as (
    select field, spelling, event_count, false as is_documented from {{ ref('observed_name') }}
    union all
    select field, spelling, 0 as event_count, true as is_documented
    from (
        select 'application' as field, application as spelling from {{ ref('application') }}
        union
        select 'application', application from shown
        union
        select 'entity', entity from shown
        union
        select 'activity', activity from shown
    )
),

label as (
    {{ labels('spelling') }}
),

observed as (
    select
        seen.* exclude (application, entity, activity),
        coalesce(of_application.label, seen.application) as application,
        coalesce(of_entity.label, seen.entity) as entity,
        coalesce(of_activity.label, seen.activity) as activity
    from seen
    {% for name in ['application', 'entity', 'activity'] -%}
    left join label as of_{{ name }}
        on of_{{ name }}.field = '{{ name }}' and of_{{ name }}.name_key = {{ normalised_name('seen.' ~ name) }}
    {% endfor %}
),

final as (
    select
        coalesce(documented.entity_activity_key, observed.entity_activity_key) as entity_activity_key,
        coalesce(documented.application, observed.application) as application,
        coalesce(documented.entity, observed.entity) as entity,
        coalesce(documented.activity, observed.activity) as activity,
        coalesce(documented.provenance, 'observed') as provenance,
        documented.entity_activity_key is not null as is_documented,
        observed.first_seen_utc,
        observed.last_seen_utc,
        cast(coalesce(observed.event_count, 0) as bigint) as event_count
    from shown as documented
    full outer join observed on documented.entity_activity_key = observed.entity_activity_key
)

select * from final
