"""What a bucket's history costs: requests and time of `audit run` on a bucket with few and with many old deliveries.

    python -m benchmarks.bucket [--deliveries 10000]

Each bucket has its old deliveries landed and published, then gets one new delivery of each of 16 feeds. The server is
moto, which looks through all its objects at every listing: its time grows with the bucket, a real store's does not.
So the requests are what to go by.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, floor_hour, now_utc
from benchmarks import measure
from benchmarks.measure import Figure
from tests.s3_server import Bucket, S3Server, s3_server

_RECORDS = 20


def hour_of_deliveries(hour: datetime, feeds: list[str], name: str = "events") -> dict[str, bytes]:
    """One delivery of each feed."""
    return {f"feeds/{feed}/{hour:%Y-%m-%d/%H}/{name}.ndjson": _content(feed, hour, name) for feed in feeds}


def _content(feed: str, hour: datetime, name: str) -> bytes:
    return b"".join(
        json.dumps(
            {
                "eventId": f"{feed}-{hour:%Y%m%d%H}-{name}-{n}",
                "eventTime": f"{hour:%Y-%m-%dT%H}:{n:02}:00Z",
                "entity": "Benchmark",
                "activity": "read",
                "outcome": "SUCCESS",
            }
        ).encode()
        + b"\n"
        for n in range(_RECORDS)
    )


def measured(server: S3Server, home: Path, bucket: Bucket, **settings: str) -> tuple[float, int, int]:
    """The seconds, the pages of listings and the other requests of one `audit run` process."""
    audit = str(Path(sys.executable).with_name("audit"))
    places = {"AUDIT_HOME": str(home), "AUDIT_FEED_URL": f"{bucket.url}/feeds"}
    server.forget_requests()
    started = time.perf_counter()
    subprocess.run(
        [audit, "run"],
        env={**os.environ, **server.environment, **places, **settings},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - started
    return seconds, server.listings(), len(server.requests()) - server.listings()


def case(server: S3Server, folder: Path, deliveries: int) -> list[tuple[str, tuple[float, int, int]]]:
    """Every step on one bucket."""
    feeds = catalogue.report_prompt_slugs()
    current = floor_hour(now_utc())
    bucket = server.make_bucket(f"bench-{deliveries}")
    for back in range(1, deliveries // len(feeds) + 1):
        bucket.put_all(hour_of_deliveries(current - back * HOUR, feeds))
    home = folder / str(deliveries)
    rows = [(f"{deliveries} old: the first run", measured(server, home, bucket))]
    rows.append((f"{deliveries} old: nothing new", measured(server, home, bucket)))
    bucket.put_all(hour_of_deliveries(current, feeds))
    rows.append((f"{deliveries} old: {len(feeds)} new", measured(server, home, bucket)))
    bucket.put_all(hour_of_deliveries(current - 2 * HOUR, feeds[:1], "late"))
    rows.append((f"{deliveries} old: 1 late, by a sweep", measured(server, home, bucket, AUDIT_SWEEP_EVERY="0s")))
    return rows


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=10_000)
    measure.add_json_option(parser)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="activity-audit-bench-"))
    try:
        with s3_server(folder) as server:
            rows = [row for count in (16, options.deliveries) for row in case(server, folder, count)]
    finally:
        shutil.rmtree(folder)
    print(measure.heading())
    figures = []
    for name, (seconds, listings, others) in rows:
        figures.append(Figure(f"{name} wall", round(seconds, 1), "s"))
        figures += [Figure(f"{name} list pages", listings, "requests"), Figure(f"{name} other", others, "requests")]
    measure.report(options.json, figures)
    hours = options.deliveries // 16
    walk = 1 + 16 * (1 + len({floor_hour(now_utc() - timedelta(hours=n)).date() for n in range(hours)}) + hours)
    print(f"Folder by folder, {options.deliveries} deliveries would be {walk} listings at each look.")


if __name__ == "__main__":
    main()
