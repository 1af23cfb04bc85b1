"""What every room may use, and what uses no other: hours, names, paths, files, secrets, faults."""
