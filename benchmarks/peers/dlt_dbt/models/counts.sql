{{ config(materialized='external', location=env_var('OUT') ~ '/counts.json', format='json') }}
select
    count(*) as received,
    count(*) filter (where fate = 'accepted') as accepted,
    count(*) filter (where fate = 'duplicate') as duplicate,
    count(*) filter (where fate = 'quarantined') as quarantined,
    count(*) filter (where is_conflict) as conflict,
    count(*) filter (where fate = 'accepted' and has_offset) as offset_normalised,
    count(*) filter (where fate = 'accepted' and is_foreign) as foreign_application,
    count(*) filter (where fate = 'accepted' and not is_documented) as undocumented
from {{ ref('judged') }}
