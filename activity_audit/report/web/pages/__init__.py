"""The pages of the report, one module for each, and the answers where there is no page to show."""
