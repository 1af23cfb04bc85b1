-- Which application each name sent in this batch means: the catalogue's spelling where it knows the name.
with

sent as (
    select distinct application_sent from {{ ref('int_parsed_record') }} where application_sent is not null
),

application_name as (
    select * from {{ ref('stg_application_name') }}
),

final as (
    select
        sent.application_sent,
        coalesce(application_name.application, sent.application_sent) as application
    from sent
    left join application_name on {{ normalised_name('sent.application_sent') }} = application_name.name_key
)

select * from final
