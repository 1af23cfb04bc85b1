"""Alerts: what is wrong is told once, and once when it is over; see `rounds.observe` and docs/adr on alerts."""
