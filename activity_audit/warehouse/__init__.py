"""The published warehouse: the only room that opens DuckDB and DuckLake."""
