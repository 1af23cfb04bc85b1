-- The keys of the batch's accepted event ids, to be appended.
select
    event_id_key,
    date_trunc('hour', event_time_utc) as event_hour_utc
from {{ ref('int_judged_record') }}
where disposition = 'accepted'
