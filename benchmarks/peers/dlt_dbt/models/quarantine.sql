{{ config(
    materialized='external', location=env_var('OUT') ~ '/quarantine/part.parquet', options={'compression': 'zstd'}
) }}
select
    judged.feed, judged.source_uri, judged.source_record, landed.record,
    case when judged.is_conflict then ['event_id_conflict'] else judged.reasons end as reasons
from {{ ref('judged') }} as judged
inner join {{ source('landed', 'record') }} as landed
    on judged.source_uri = landed.source_uri and judged.source_record = landed.source_record
where judged.fate = 'quarantined'
