-- Every record of the batch with its disposition: exactly one of accepted, duplicate, quarantined.
with

parsed as (
    select * from {{ ref('int_parsed_record') }}
),

application as (
    select * from {{ ref('int_application') }}
),

entity_activity as (
    select * from {{ ref('int_entity_activity') }}
),

contested as (
    select * from {{ ref('int_contested_record') }}
),

joined as (
    select
        parsed.* exclude (own_reasons, event_sha256),
        parsed.event_sha256 as own_sha256,
        application.application,
        -- The feed `unattributed` is for the applications that have no feed, so none is foreign to it.
        coalesce(application.application, '') <> parsed.feed_application and parsed.feed <> 'unattributed'
            as is_foreign_application,
        entity_activity.entity_activity_key,
        coalesce(entity_activity.is_documented, false) as is_documented,
        coalesce(entity_activity.is_acknowledged, false) as is_acknowledged,
        contested.comparison,
        case
            when contested.comparison = 'conflict' then list_append(parsed.own_reasons, 'event_id_conflict')
            else parsed.own_reasons
        end as reasons
    from parsed
    left join application on parsed.application_sent = application.application_sent
    left join entity_activity
        on application.application = entity_activity.application
        and parsed.entity = entity_activity.entity
        and parsed.activity = entity_activity.activity
    left join contested
        on parsed.delivery_id = contested.delivery_id and parsed.source_record = contested.source_record
),

disposed as (
    select
        * exclude (comparison),
        case
            when len(reasons) > 0 then 'quarantined'
            when comparison = 'same' then 'duplicate'
            else 'accepted'
        end as disposition
    from joined
),

-- The hash is made here of the few whose application is spelled in another way.
final as (
    select
        * exclude (own_sha256),
        case
            when disposition <> 'accepted' then null
            when own_sha256 is not null then own_sha256
            else {{ record_sha256() }}
        end as event_sha256
    from disposed
)

select * from final
