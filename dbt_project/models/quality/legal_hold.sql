-- `audit hold` adds the rows of this table; a run has none to add.
select
    cast(null as varchar) as hold_id,
    cast(null as varchar) as action,
    cast(null as varchar) as application,
    cast(null as timestamp) as from_utc,
    cast(null as timestamp) as to_utc,
    cast(null as varchar) as reason,
    cast(null as varchar) as by_whom,
    cast(null as timestamp) as recorded_at_utc
where false
