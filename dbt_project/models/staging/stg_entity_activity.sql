-- The documented (application, entity, activity) rows with their keys.
with

entity_activity as (
    select * from {{ ref('entity_activity') }}
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
