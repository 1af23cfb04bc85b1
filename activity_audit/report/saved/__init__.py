"""Saved reports: names for what URLs of the report ask for, private to who saved them, or shared."""
