-- Every name by which an application is known, by its normalised key.
with

application as (
    select * from {{ ref('application') }}
),

names as (
    select application, application as name, 1 as precedence from application
    union all
    select application, unnest(string_split(aliases, ';')), 2 from application where aliases is not null
    union all
    select application, display_name, 3 from application
    union all
    select application, slug, 4 from application
),

final as (
    select
        {{ normalised_name('trim(name)') }} as name_key,
        arg_min(application, precedence) as application
    from names
    where trim(name) <> ''
    group by 1
)

select * from final
