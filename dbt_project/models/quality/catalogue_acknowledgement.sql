-- What changed among the acknowledgements since the run before, to be appended.
with

acknowledgement as (
    select * from {{ ref('stg_drift_acknowledgement') }}
),

run_context as (
    select * from {{ source('raw', 'run_context') }}
),

newest as (
    select * from {{ source('published_quality', 'catalogue_acknowledgement') }}
    qualify row_number() over (partition by acknowledgement_key order by revision desc) = 1
),

withdrawn as (
    select
        newest.acknowledgement_key, newest.revision + 1 as revision, 'withdrawn' as action, newest.application,
        newest.entity, newest.activity, newest.acknowledged_by, newest.acknowledged_on, newest.why
    from newest
    anti join acknowledgement on newest.acknowledgement_key = acknowledgement.acknowledgement_key
    where newest.action <> 'withdrawn'
),

placed as (
    select
        acknowledgement.acknowledgement_key,
        coalesce(newest.revision, 0) + 1 as revision,
        case when coalesce(newest.action, 'withdrawn') = 'withdrawn' then 'placed' else 'changed' end as action,
        acknowledgement.application,
        acknowledgement.entity,
        acknowledgement.activity,
        acknowledgement.acknowledged_by,
        acknowledgement.acknowledged_on,
        acknowledgement.why
    from acknowledgement
    left join newest on acknowledgement.acknowledgement_key = newest.acknowledgement_key
    where coalesce(newest.action, 'withdrawn') = 'withdrawn'
        {%- for name in ['application', 'entity', 'activity', 'acknowledged_by', 'acknowledged_on', 'why'] %}
        or acknowledgement.{{ name }} is distinct from newest.{{ name }}
        {%- endfor %}
),

final as (
    select
        changed.acknowledgement_key,
        changed.revision,
        changed.action,
        changed.application,
        changed.entity,
        changed.activity,
        changed.acknowledged_by,
        changed.acknowledged_on,
        changed.why,
        run_context.started_at_utc as recorded_at_utc,
        run_context.run_id
    from (
        select * from withdrawn
        union all by name
        select * from placed
    ) as changed
    cross join run_context
)

select * from final
