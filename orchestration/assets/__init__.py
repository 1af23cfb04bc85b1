"""The Dagster assets: thin, with no business rule in them."""
