"""The Dagster room, a module for each of its concepts. It only calls `activity_audit.pipeline`; no rule lives here.

Importing this package does no I/O: settings are read by `activity_audit.settings.core.load_settings`, and
connections are opened by the functions of `activity_audit.warehouse.lake`.
"""
