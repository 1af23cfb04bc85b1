"""Serving copies: what is published, again in PostgreSQL, a DuckDB file or Iceberg's format, for tools that need it."""
