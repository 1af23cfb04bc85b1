-- `audit maintain` adds the rows of this table, in the transaction that deletes; a run has none to add.
select
    cast(null as varchar) as feed,
    cast(null as timestamp) as feed_hour_utc,
    cast(null as varchar) as run_id,
    cast(null as bigint) as deliveries,
    cast(null as bigint) as events,
    cast(null as bigint) as quarantined,
    cast(null as bigint) as raw_files,
    cast(null as bigint) as bytes,
    cast(null as varchar) as retention,
    cast(null as timestamp) as deleted_at_utc,
    cast(null as varchar) as maintain_run_id
where false
