"""How many records a second the API source reads and lands: hours of a test server on this machine that takes its time.

    python -m benchmarks.api_source [--hours 8] [--records 20000] [--page-size 1000] [--latency-ms 50]

`read` is one hour after the other, as a link chain allows; `landed` is a whole landing pass, which reads two hours
at once and writes the raw lake.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from multiprocessing import Process, Queue
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import Figure

START = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def serve(options: argparse.Namespace, addresses: Queue[str]) -> None:
    """The server, in a process of its own, so that it takes no time from the reader."""
    from tests.integration.cxone_events import simulated
    from tests.integration.cxone_server import Api, serving

    api = Api(events=simulated(START, options.hours, options.records // 16), latency=options.latency_ms / 1000)
    api.page_limit = options.page_size
    for number in range(options.hours):
        api.window(START + number * HOUR, START + (number + 1) * HOUR)
    with serving(api) as running:
        addresses.put(running.url)
        threading.Event().wait()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--records", type=int, default=20_000, help="an hour")
    parser.add_argument("--page-size", type=int, default=1000)
    parser.add_argument("--latency-ms", type=int, default=50)
    measure.add_json_option(parser)
    options = parser.parse_args()
    addresses: Queue[str] = Queue()
    server = Process(target=serve, args=(options, addresses), daemon=True)
    server.start()
    try:
        with tempfile.TemporaryDirectory(prefix="activity-audit-bench-") as home:
            rows = both_ways(options, addresses.get(), home)
    finally:
        server.terminate()
    print(measure.heading())
    print(f"{options.hours} hours, pages of {options.page_size}, {options.latency_ms} ms for each call")
    figures = []
    for name, (count, wall, cpu) in rows.items():
        figures += [Figure(f"{name} records", count, "records"), Figure(f"{name} wall", round(wall, 2), "s")]
        figures.append(Figure(f"{name} CPU", round(cpu, 2), "s"))
        figures.append(Figure(f"{name} records a second", round(count / wall), "records/s"))
    measure.report(options.json, figures)


def both_ways(options: argparse.Namespace, url: str, home: str) -> dict[str, tuple[int, float, float]]:
    """Records, wall seconds and CPU seconds of each way."""
    from activity_audit.base import catalogue
    from activity_audit.ingest.cxone.client import Client
    from activity_audit.ingest.cxone.reading import read_hour
    from activity_audit.pipeline.run import land_feeds
    from activity_audit.settings.core import load_settings
    from tests.integration.cxone_server import Api, environment

    api = Api()
    api.url = url
    os.environ.update(environment(api, AUDIT_HOME=home, CXONE_PAGE_SIZE=str(options.page_size)))
    settings = load_settings()
    client = Client(settings.cxone, threading.Event())
    rows = {}
    wall, cpu = time.perf_counter(), time.process_time()
    count = 0
    for number in range(options.hours):
        folder = Path(home) / str(number)
        folder.mkdir()
        count += read_hour(client, settings.cxone, START + number * HOUR, folder).records
    rows["read"] = (count, time.perf_counter() - wall, time.process_time() - cpu)
    client.close()
    wall, cpu = time.perf_counter(), time.process_time()
    report = land_feeds(settings, catalogue.slugs(), (START, START + options.hours * HOUR))
    landed = sum(delivery.records for delivery in report.new)
    rows["landed"] = (landed, time.perf_counter() - wall, time.process_time() - cpu)
    return rows


if __name__ == "__main__":
    main()
