"""From the raw lake to staged rows: the scratch database of one run, and dbt on it."""
