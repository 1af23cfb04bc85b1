"""The partitions of the assets: feed hours."""

from __future__ import annotations

import dagster as dg

from orchestration.hours import EARLIEST_YEAR, PARTITION_FORMAT

# The current hour is a partition too: what is delivered
# in it may be taken before it is over.
hourly = dg.HourlyPartitionsDefinition(start_date=f"{EARLIEST_YEAR}-01-01-00:00", fmt=PARTITION_FORMAT, end_offset=1)
