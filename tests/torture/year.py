"""A long history of hourly feeds, landed and published, and what a look, `audit status` and the report take on it.

`python -m tests.torture.year WHAT` does one of these again and again in a process of its own, on the home of the
environment, and prints the CPU seconds of one and the peak of memory above what the process had before.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg

from activity_audit.base import catalogue
from activity_audit.base.hours import aware, naive
from activity_audit.raw.index import LandedDelivery
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake_writer
from activity_audit.warehouse.extensions import connect
from activity_audit.warehouse.transactions import snapshot_now, transaction
from benchmarks.history import insert_quality
from orchestration import automation, instance
from tests.integration.support import HOUR, process_environment

_TIMES = 5


def add_history(settings: Settings, back: range) -> None:
    """Have a published home know a delivery of each feed in each hour that is so many `back` from its own.

    They are in the raw lake's index and in the tables about deliveries, runs, checks and the ledger; there are neither
    files nor events of them.
    """
    connection = connect(memory_limit="1GB", temp_directory=str(settings.spill_dir))
    try:
        lake_writer.attach(connection, settings)
        connection.execute("attach ':memory:' as work")
        connection.execute("use work")
        connection.execute(
            "create table feed_hour as select unnest(?) as feed, feed_hour_utc, 10 as n from "
            "(select ? - to_hours(unnest(range(?, ?))) as feed_hour_utc)",
            [catalogue.report_prompt_slugs(), naive(HOUR), back.start, back.stop],
        )
        with transaction(connection, "history", {}, since=snapshot_now(connection)):
            insert_quality(connection)
        rows = connection.execute(
            "select delivery_id, feed, feed_hour_utc, name, source_uri, sha256, bytes, received, landed_at_utc "
            "from audit.quality.feed_delivery inner join feed_hour using (feed, feed_hour_utc)"
        ).fetchall()
    finally:
        connection.close()
    landed = [LandedDelivery(*row[:2], aware(row[2]), *row[3:8], aware(row[8])) for row in rows]
    raw_lake(settings).index.add(landed, seen=[(one.source_uri, one.sha256) for one in landed])


def add_runs(settings: Settings, back: range) -> None:
    """Have Dagster know a finished run of each of these hours."""
    known = dg.DagsterRun(job_name="hourly_pipeline", run_id=str(uuid4()), status=dg.DagsterRunStatus.SUCCESS)
    with instance.instance(settings) as opened:
        opened.run_storage.add_run(known)
    # One transaction: Dagster's own storage waits for the disk after each.
    with closing(sqlite3.connect(settings.dagster_home / "history" / "runs.db")) as runs, runs:
        row = runs.execute("select * from runs where run_id = ?", [known.run_id])
        names = [column[0] for column in row.description]
        values = dict(zip(names, row.fetchone(), strict=True)) | {"id": None}
        marks = ", ".join(f":{name}" for name in names)
        runs.executemany(f"insert into runs values ({marks})", [values | {"run_id": str(uuid4())} for _ in back])


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one look in the middle, and MiB of memory that all of them took."""

    cpu: float
    mib: float


def cost(settings: Settings, what: str) -> Cost:
    """What `look`, `status` or `list` takes on this home, in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.year", what],
        env=process_environment(settings), cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    return Cost(**json.loads(done.stdout))


def _look(settings: Settings) -> Callable[[], object]:
    sensor = automation.build_sensor(settings, HOUR)

    def look() -> object:
        with instance.instance(settings) as opened, dg.build_sensor_context(instance=opened) as context:
            return sensor.evaluate_tick(context)

    return look


def _status(settings: Settings) -> Callable[[], object]:
    from activity_audit.pipeline.status import status

    return lambda: status(settings)


def _measure(once: Callable[[], object]) -> Cost:
    # Linux has a process begin with the peak of the one that started it.
    Path("/proc/self/clear_refs").write_text("5")
    began = _peak()
    # The first one imports, and compares everything.
    once()
    spent = []
    for _ in range(_TIMES):
        before = time.process_time()
        once()
        spent.append(time.process_time() - before)
    return Cost(round(statistics.median(spent), 3), round(_peak() - began, 1))


def _peak() -> float:
    """The most MiB of memory that was resident at once, since the beginning of the measurement."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


if __name__ == "__main__":
    os.umask(0o077)
    of = {"look": _look, "status": _status}
    found = _measure(of[sys.argv[1]](load_settings()))
    sys.stdout.write(json.dumps({"cpu": found.cpu, "mib": found.mib}))
