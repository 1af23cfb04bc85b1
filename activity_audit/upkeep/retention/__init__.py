"""Retention and legal hold: which feed hours are past AUDIT_RETENTION, what keeps them, and how they are deleted.

`plan` says what would go, `caution` when it must not go by itself, `deletion` deletes it, and `holds` places and
releases legal holds.
"""
