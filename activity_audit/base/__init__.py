"""Helpers that every room may use and that use no other room: hours, names, paths, files, secrets, faults."""
