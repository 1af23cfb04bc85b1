"""What the report asks of the published warehouse. Values are bound; a field's name comes from a list of ours."""
