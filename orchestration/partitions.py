"""The partitions of the assets: feed hours."""

from __future__ import annotations

from datetime import datetime

import dagster as dg

from activity_audit.base.hours import PARTITION_FORMAT, partition_key


def hourly(begin: datetime) -> dg.HourlyPartitionsDefinition:
    """Every feed hour from `begin` (aware, UTC) on."""
    # The current hour is a partition too: what is delivered
    # in it may be taken before it is over.
    return dg.HourlyPartitionsDefinition(start_date=partition_key(begin), fmt=PARTITION_FORMAT, end_offset=1)
