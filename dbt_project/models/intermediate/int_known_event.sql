-- In which hours an event was published whose id has a key of this batch. A function looks up many keys at a time; the
-- process of the run gives it to DuckDB.
-- depends_on: {{ source('published_quality', 'known_event_id') }}
{%- set published = source('published_quality', 'known_event_id') %}
{%- set is_first = execute and run_query('select count(*) from ' ~ published)[0][0] == 0 %}
with

bundle as (
    select list(event_id_key) as keys
    from {{ ref('int_parsed_record') }}
    -- A first load does not bundle millions of keys to find nothing.
    where event_id is not null{{ ' and false' if is_first }}
    group by event_id_key >> 40
),

found as (
    select unnest(known_event_rows(keys), recursive := true) from bundle
),

final as (
    select distinct event_id_key, event_hour_utc from found
)

select * from final
