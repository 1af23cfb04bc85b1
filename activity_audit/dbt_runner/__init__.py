"""The dbt project as this product runs it, inside its own process."""
