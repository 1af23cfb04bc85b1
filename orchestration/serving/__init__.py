"""Dagster's processes as `audit serve` starts them: the code server, the daemon, and the pages behind the door."""
