-- The drift that somebody has acknowledged; without an activity, or an entity, for all below that name.
with

acknowledgement as (
    select
        {{ clean_text('application') }} as application,
        {{ clean_text('entity') }} as entity,
        {{ clean_text('activity') }} as activity,
        {{ clean_text('acknowledged_by') }} as acknowledged_by,
        cast({{ clean_text('acknowledged_on') }} as date) as acknowledged_on,
        {{ clean_text('why') }} as why
    from {{ ref('drift_acknowledgement') }}
),

application_name as (
    select * from {{ ref('stg_application_name') }}
),

named as (
    select
        acknowledgement.* exclude (application),
        coalesce(application_name.application, acknowledgement.application) as application
    from acknowledgement
    left join application_name on {{ normalised_name('acknowledgement.application') }} = application_name.name_key
),

final as (
    select
        {{ entity_activity_key('application', 'entity', 'activity') }} as acknowledgement_key,
        application,
        entity,
        activity,
        acknowledged_by,
        acknowledged_on,
        why
    from named
)

select * from final
