"""Alerts: what is wrong is reported once, and once when it is over; see `rounds.observe` and docs/adr on alerts."""
