"""The audit-activity warehouse: from raw feeds to a published, checked and provable table, and its report."""
