-- What changes the keys adds the rows of this table, in the same transaction; dbt has none to add.
select
    cast(null as bigint) as keys,
    cast(null as bigint) as row_sum
where false
