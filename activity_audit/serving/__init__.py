"""Serving copies: what is published, again in a PostgreSQL database or a DuckDB file, for tools that read those."""
