"""Retention and legal hold: which feed hours are past AUDIT_RETENTION, what keeps them, and how they are deleted.

`rules` and `hold_rules` are pure, `holds` keeps the legal holds, `plan` says what would go, `deletion` and
`raw_removal` do it, the first in the warehouse and the second in the raw lake.
"""
