{#- What an activity is called in OCSF, and the words by which it is known; the first that fits counts. -#}
{%- set activities = [
    (4, 'Delete', 'delete|deletes|deleted|remove|removes|removed|purge|purged'),
    (1, 'Create', 'create|creates|created|add|adds|added|new|insert|inserted'),
    (8, 'Enable', 'enable|enabled'),
    (9, 'Disable', 'disable|disabled'),
    (10, 'Activate', 'activate|activated'),
    (11, 'Deactivate', 'deactivate|deactivated'),
    (12, 'Suspend', 'suspend|suspended'),
    (13, 'Resume', 'resume|resumed'),
    (5, 'Move', 'move|moved'),
    (3, 'Update', 'update|updates|updated|edit|edited|change|changed|modify|modified|set|put|patch|rename|renamed|save|saved'
        ~ '|share|shared|unshare|unshared'),
    (2, 'Read', 'read|get|list|view|viewed|search|query|play|playback|download|downloaded|export|open|opened|run'),
] -%}

with

-- In words, also where the source writes an operation's name: `updateTenantProperty` is `update tenant property`.
activity_words as (
    select
        *,
        lower(regexp_replace(activity, '([a-z0-9])([A-Z])', '\1 \2', 'g')) as words,
        regexp_matches(activity, '^[A-Za-z]+[a-z0-9][A-Z][A-Za-z0-9]*$') as is_operation
    from {{ ref('fact_activity_event') }}
),

classified as (
    select
        *,
        case
            when regexp_matches(words, '\b(log|sign|logged|signed) ?(in|on)\b') then 'logon'
            when regexp_matches(words, '\b(log|sign|logged|signed) ?(out|off)\b') then 'logoff'
            when is_operation then 'operation'
            else 'entity'
        end as kind,
        case
            {%- for number, _, words in activities %}
            when regexp_matches(words, '\b({{ words }})\b') then {{ number }}
            {%- endfor %}
            else 99
        end as entity_activity_id
    from activity_words
),

numbered as (
    select
        *,
        case kind when 'operation' then 6003 when 'entity' then 3004 else 3002 end as class_uid,
        case
            when kind = 'logon' then 1
            when kind = 'logoff' then 2
            when kind = 'operation' and entity_activity_id > 4 then 99
            else entity_activity_id
        end as activity_id
    from classified
)

select
    event_id,
    event_time_utc,
    ingested_at_utc,
    run_id,
    class_uid,
    activity_id,
    class_uid * 100 + activity_id as type_uid,
    case outcome when 'SUCCESS' then 1 else 2 end as status_id,
    -- A merge leaves out what is null.
    json_merge_patch('{}', json_object(
        'time', epoch_ms(event_time_utc),
        'category_uid', class_uid // 1000,
        'category_name', case class_uid when 6003 then 'Application Activity' else 'Identity & Access Management' end,
        'class_uid', class_uid,
        'class_name', case class_uid
            when 6003 then 'API Activity' when 3004 then 'Entity Management' else 'Authentication'
        end,
        'activity_id', activity_id,
        'activity_name', case
            when kind = 'logon' then 'Logon'
            when kind = 'logoff' then 'Logoff'
            {%- for number, caption, _ in activities %}
            when activity_id = {{ number }} then '{{ caption }}'
            {%- endfor %}
            else activity
        end,
        'type_uid', class_uid * 100 + activity_id,
        'severity_id', 1,
        'severity', 'Informational',
        'status_id', case outcome when 'SUCCESS' then 1 else 2 end,
        'status', case outcome when 'SUCCESS' then 'Success' else 'Failure' end,
        'message', comments,
        'metadata', json_object(
            'version', '1.8.0',
            'uid', event_id,
            'event_code', activity,
            'log_name', feed,
            'log_provider', 'activity-audit',
            'logged_time', epoch_ms(ingested_at_utc),
            'original_time', event_time_source,
            'product', json_object('name', application)
        ),
        'actor', case
            when triggered_by is null then json_object('app_name', application)
            else json_object('user', json_object('name', triggered_by))
        end,
        'user', case when class_uid = 3002 then json_object('name', coalesce(triggered_by, 'Unknown')) end,
        'service', case when class_uid = 3002 then json_object('name', application) end,
        'entity', case
            when class_uid = 3004
                then json_object('name', entity, 'uid', instance, 'type', entity, 'type_id', 99)
        end,
        'api', case
            when class_uid = 6003
                then json_object('operation', activity, 'service', json_object('name', application))
        end,
        'resources', case
            when class_uid = 6003
                then json_array(
                    json_merge_patch('{}', json_object('name', entity, 'uid', instance, 'type', entity))
                )
        end,
        -- The schema asks for it, and no audit event says it.
        'src_endpoint', case when class_uid = 6003 then json_object('name', 'Unknown') end,
        'unmapped', json_object(
            'application', application,
            'entity', entity,
            'activity', activity,
            'instance', instance,
            'outcome', outcome,
            'source_uri', source_uri,
            'source_record', source_record
        )
    ))::varchar as ocsf
from numbered
