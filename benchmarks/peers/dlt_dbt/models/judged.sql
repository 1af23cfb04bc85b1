-- What becomes of each record: accepted, duplicate or quarantined, with the application in the catalogue's spelling.
{%- set other_columns = [
    'event_time_utc', 'application', 'entity', 'activity', 'triggered_by', 'instance', 'outcome', 'comments'
] %}
with

application as (
    select * from read_csv('{{ env_var("CATALOGUE") }}/application.csv', all_varchar = true, header = true)
),

entity_activity as (
    select * from read_csv(
        ['{{ env_var("CATALOGUE") }}/entity_activity.csv', '{{ env_var("CATALOGUE") }}/own_activity.csv'],
        all_varchar = true, header = true
    )
),

application_name as (
    select {{ key('trim(name)') }} as name_key, arg_min(application, precedence) as application
    from (
        select application, application as name, 1 as precedence from application
        union all
        select application, unnest(string_split(aliases, ';')), 2 from application
        union all
        select application, display_name, 3 from application
        union all
        select application, slug, 4 from application
    )
    where trim(name) <> ''
    group by 1
),

-- Names are few, so they are looked up once for each spelling.
sent_name as (
    select sent.name, coalesce(application_name.application, sent.name) as application
    from (select distinct application as name from {{ ref('parsed') }} where application is not null) as sent
    left join application_name on {{ key('sent.name') }} = application_name.name_key
),

named as (
    select
        parsed.* exclude (application),
        coalesce(sent_name.application, own.application) as application,
        coalesce(sent_name.application, own.application) <> own.application as is_foreign
    from {{ ref('parsed') }} as parsed
    left join sent_name on parsed.application = sent_name.name
    left join application as own on parsed.feed = own.slug
),

contested as (
    select *, row_number() over (
        partition by event_id order by feed_hour, feed, source_uri, source_record
    ) as turn
    from named
    where len(reasons) = 0
        and event_id in (select event_id from named where len(reasons) = 0 group by 1 having count(*) > 1)
),

later as (
    select
        again.source_uri,
        again.source_record,
        {% for name in other_columns -%}
        again.{{ name }} is not distinct from first.{{ name }}{{ ' and ' if not loop.last }}
        {%- endfor %} as is_same
    from contested as again
    inner join contested as first on again.event_id = first.event_id and first.turn = 1
    where again.turn > 1
),

documented as (
    select distinct {{ key('application') }} as a, {{ key('entity') }} as e, {{ key('activity') }} as v
    from entity_activity
    where activity is not null
),

kind as (
    select names.application, names.entity, names.activity, documented.a is not null as is_documented
    from (select distinct application, entity, activity from named where len(reasons) = 0) as names
    left join documented
        on {{ key('names.application') }} = documented.a
        and {{ key('names.entity') }} = documented.e
        and {{ key('names.activity') }} = documented.v
)

select
    named.*,
    kind.is_documented,
    coalesce(not later.is_same, false) as is_conflict,
    case
        when len(named.reasons) > 0 or not later.is_same then 'quarantined'
        when later.is_same then 'duplicate'
        else 'accepted'
    end as fate
from named
left join later on named.source_uri = later.source_uri and named.source_record = later.source_record
left join kind
    on named.application = kind.application and named.entity = kind.entity and named.activity = kind.activity
