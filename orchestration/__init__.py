"""The Dagster code location and the command line of the audit-activity warehouse.

Importing this package does no I/O: settings are read by `activity_audit.settings.core.load_settings`, and
connections are opened by the functions of `activity_audit.warehouse.lake`.
"""
