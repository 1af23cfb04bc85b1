-- The feed hours of this run whose row is new or differs from the published one; of a replay, those in which it
-- resolved something, whose row is the published one but for that, because a replay looks at no source.
with

feed_hour as (
    select * from {{ source('raw', 'feed_hour') }}
),

run_context as (
    select * from {{ source('raw', 'run_context') }}
),

published as (
    select published.* from {{ source('published_quality', 'feed_reconciliation') }} as published
    semi join feed_hour
        on published.feed = feed_hour.feed and published.feed_hour_utc = feed_hour.feed_hour_utc
),

delivery as (
    select earlier.* from {{ source('published_quality', 'feed_delivery') }} as earlier
    semi join feed_hour
        on earlier.feed = feed_hour.feed and earlier.feed_hour_utc = feed_hour.feed_hour_utc
    union all by name
    select * from {{ ref('feed_delivery') }}
),

replayed as (
    select earlier.* from {{ source('published_quality', 'replayed_record') }} as earlier
    semi join feed_hour
        on earlier.feed = feed_hour.feed and earlier.feed_hour_utc = feed_hour.feed_hour_utc
    where earlier.disposition <> 'quarantined'
),

manifest as (
    select * from {{ source('raw', 'manifest') }}
),

manifest_file as (
    select * from {{ source('raw', 'manifest_file') }}
),

-- What cannot be processed.
set_aside as (
    select * from {{ source('raw', 'set_aside') }}
),

-- A file that its manifest names is compared with the delivery that has the hash it names, or else with the
-- newest delivery under its name.
compared as (
    select
        manifest_file.feed,
        manifest_file.feed_hour_utc,
        manifest_file.name,
        manifest_file.records as declared,
        manifest_file.sha256 as declared_sha256,
        delivery.received,
        delivery.sha256
    from manifest_file
    left join delivery
        on manifest_file.feed = delivery.feed
        and manifest_file.feed_hour_utc = delivery.feed_hour_utc
        and manifest_file.name = delivery.name
    qualify row_number() over (
        partition by manifest_file.feed, manifest_file.feed_hour_utc, manifest_file.name
        order by delivery.sha256 = lower(manifest_file.sha256) desc nulls last, delivery.landed_at_utc desc nulls last
    ) = 1
),

complaint as (
    select
        feed,
        feed_hour_utc,
        name,
        case
            when received is null and (feed, feed_hour_utc, name) in (select (feed, feed_hour_utc, name) from set_aside)
                then null
            when received is null then name || ' is in the manifest and was not delivered'
            when sha256 <> lower(declared_sha256)
                then name || ' has the hash ' || sha256 || ', the manifest says ' || declared_sha256
            when received <> declared
                then name || ' has ' || received || ' records, the manifest says ' || declared
        end as complaint
    from compared
    union all
    select feed, feed_hour_utc, '', 'the manifest cannot be read: ' || error from manifest where error is not null
    union all
    select feed, feed_hour_utc, name, name || ' cannot be processed and is set aside: ' || reason
    from set_aside
    where not is_gone
),

gone as (
    select
        feed,
        feed_hour_utc,
        {{ told("name || ' could not be processed, and its source no longer has it: ' || reason") }} as notes
    from set_aside
    where is_gone
    group by all
),

undeclared as (
    select delivery.feed, delivery.feed_hour_utc, delivery.name
    from delivery
    semi join manifest
        on delivery.feed = manifest.feed
        and delivery.feed_hour_utc = manifest.feed_hour_utc
        and manifest.error is null
    anti join manifest_file
        on delivery.feed = manifest_file.feed
        and delivery.feed_hour_utc = manifest_file.feed_hour_utc
        and delivery.name = manifest_file.name
    group by all
),

complaints as (
    select feed, feed_hour_utc, {{ told('complaint') }} as complaints
    from complaint
    where complaint is not null
    group by all
),

undeclared_files as (
    select
        feed,
        feed_hour_utc,
        count(*) as files,
        {{ told("name || ' is not in the manifest'") }} as notes
    from undeclared
    group by all
),

declared as (
    select
        manifest.feed,
        manifest.feed_hour_utc,
        -- A manifest without files declares that there is nothing; one without counts declares no number.
        case when count(manifest_file.name) = 0 then 0 else sum(manifest_file.records) end as declared
    from manifest
    left join manifest_file
        on manifest.feed = manifest_file.feed and manifest.feed_hour_utc = manifest_file.feed_hour_utc
    where manifest.error is null
    group by all
),

received as (
    select
        feed,
        feed_hour_utc,
        sum(received) as received,
        sum(accepted) as accepted,
        sum(duplicate) as duplicate,
        sum(quarantined) as quarantined,
        sum(offset_normalised) as offset_normalised,
        sum(late) as late,
        count(*) as files,
        sum(bytes) as bytes,
        string_agg(sha256, ',' order by name, landed_at_utc, sha256) as sha256
    from delivery
    group by all
),

resolved as (
    select feed, feed_hour_utc, {{ resolved_counts() }} from replayed group by all
),

resolved_now as (
    select feed, feed_hour_utc, {{ resolved_counts() }}
    from {{ ref('replayed_record') }}
    where disposition <> 'quarantined'
    group by all
),

accounted as (
    select
        received.* replace (
            {%- for name in ['accepted', 'duplicate', 'quarantined', 'offset_normalised', 'late'] %}
            received.{{ name }} + coalesce(resolved.{{ name }}, 0) as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
    from received
    left join resolved on received.feed = resolved.feed and received.feed_hour_utc = resolved.feed_hour_utc
),

current_state as (
    select
        feed_hour.feed,
        feed_hour.feed_hour_utc,
        cast(declared.declared as bigint) as declared,
        {%- for name in ['received', 'accepted', 'duplicate', 'quarantined', 'offset_normalised', 'late'] %}
        cast(coalesce(accounted.{{ name }}, 0) as bigint) as {{ name }},
        {%- endfor %}
        case
            when complaints.complaints is not null then 'incomplete'
            when accounted.files is null and declared.feed is null and feed_hour.is_expected and feed_hour.is_closed
                then 'missing'
            else 'balanced'
        end as status,
        coalesce(accounted.files, 0) as files,
        cast(coalesce(accounted.bytes, 0) as bigint) as bytes,
        accounted.sha256,
        coalesce(undeclared_files.files, 0) as undeclared_files,
        nullif(concat_ws('; ', complaints.complaints, undeclared_files.notes, gone.notes), '') as detail,
        feed_hour.is_closed
    from feed_hour
    left join accounted on feed_hour.feed = accounted.feed and feed_hour.feed_hour_utc = accounted.feed_hour_utc
    left join declared on feed_hour.feed = declared.feed and feed_hour.feed_hour_utc = declared.feed_hour_utc
    left join complaints on feed_hour.feed = complaints.feed and feed_hour.feed_hour_utc = complaints.feed_hour_utc
    left join undeclared_files
        on feed_hour.feed = undeclared_files.feed and feed_hour.feed_hour_utc = undeclared_files.feed_hour_utc
    left join gone on feed_hour.feed = gone.feed and feed_hour.feed_hour_utc = gone.feed_hour_utc
    left join published on feed_hour.feed = published.feed and feed_hour.feed_hour_utc = published.feed_hour_utc
    -- A feed that need not deliver is no gap, and one that still has time is not late.
    where accounted.files is not null
        or declared.feed is not null
        or complaints.complaints is not null
        or (feed_hour.is_expected and feed_hour.is_closed)
        -- What was set aside was removed at its source.
        or published.status = 'incomplete'
),

changed as (
    select current_state.*, published.deleted_at_utc
    from current_state
    left join published
        on current_state.feed = published.feed and current_state.feed_hour_utc = published.feed_hour_utc
    where published.feed is null
        {%- for name in [
            'declared', 'received', 'accepted', 'duplicate', 'quarantined', 'offset_normalised', 'late', 'status',
            'files', 'bytes', 'sha256', 'undeclared_files', 'detail'
        ] %}
        or current_state.{{ name }} is distinct from published.{{ name }}
        {%- endfor %}
        -- The first look at an hour after it closed is worth recording, even if it finds nothing new.
        or (
            current_state.is_closed
            and published.reconciled_at_utc < current_state.feed_hour_utc + to_hours(1)
        )
),

replayed_hour as (
    select
        earlier.* exclude (reconciled_at_utc, run_id) replace (
            {%- for name in ['accepted', 'duplicate', 'quarantined', 'offset_normalised', 'late'] %}
            cast(earlier.{{ name }} + resolved_now.{{ name }} as bigint) as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
    from {{ source('published_quality', 'feed_reconciliation') }} as earlier
    inner join resolved_now
        on earlier.feed = resolved_now.feed and earlier.feed_hour_utc = resolved_now.feed_hour_utc
),

final as (
    select
        hour.*,
        run_context.started_at_utc as reconciled_at_utc,
        run_context.run_id
    from (
        select * exclude (is_closed) from changed
        union all by name
        select * from replayed_hour
    ) as hour
    cross join run_context
)

select * from final
