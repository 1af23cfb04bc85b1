-- The documented (application, entity, activity) rows with their keys, the vendor's and what the report itself records.
with

entity_activity as (
    select * from {{ ref('entity_activity') }}
    union all by name
    select * from {{ ref('own_activity') }}
),

final as (
    select
        {{ entity_activity_key('application', 'entity', 'activity') }} as entity_activity_key,
        application,
        entity,
        activity,
        provenance
    from entity_activity
)

select * from final
