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
    from {{ staged(ref('fact_activity_event')) }}
    group by entity_activity_key
),

observed as (
    -- The smallest spelling, so that it does not depend on the order of runs.
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
    from documented
    full outer join observed on documented.entity_activity_key = observed.entity_activity_key
    -- What the report itself records is in no document of the vendor's, and is of interest where it was recorded.
    where documented.provenance is distinct from 'own' or observed.entity_activity_key is not null
)

select * from final
