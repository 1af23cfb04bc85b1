-- The ledger entries of this run's batches, to be appended.
select
    sequence, kind, run_id, feed, feed_hour_utc, deliveries, received, accepted, duplicate, quarantined,
    events_sha256, deliveries_sha256, quarantined_sha256, recorded_at_utc, previous_sha256, entry_sha256
from {{ source('raw', 'ledger_entry') }}
