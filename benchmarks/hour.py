"""What an hour costs: `audit run` on 16 feeds against its floor, in a process that is ready, and on a long history.

    python -m benchmarks.hour [--events-per-hour 20000] [--runs 3] [--home DIR]

Each figure is the median of the runs. The floor is one process that imports the same libraries, and then runs the same
dbt models on the same staged records by dbt alone. The loaded hour is run by a process that has loaded the code
location and what a run imports, from the tick to the published snapshot. With `--home`, the hour is also run on a copy
of that home, which `python -m benchmarks.history` makes, and compared with the hour on an empty warehouse.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from activity_audit.base.hours import HOUR, iso
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings, load_settings
from benchmarks import measure
from benchmarks.history import END

# After the end of a history, so that the hour is a new one on it.
_HOUR = END + timedelta(days=1)
_WINDOW = (_HOUR, _HOUR + HOUR)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events-per-hour", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--child", choices=sorted(_CHILDREN), help=argparse.SUPPRESS)
    measure.add_json_option(parser)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_CHILDREN[options.child](load_settings(home=options.home))))
        return
    folder = Path(tempfile.mkdtemp(prefix="activity-audit-bench-"))
    try:
        figures = _measured(folder, options.events_per_hour, options.runs, options.home)
    finally:
        shutil.rmtree(folder)
    print(measure.heading())
    measure.report(options.json, figures)


def _measured(folder: Path, events: int, runs: int, history: Path | None) -> list[measure.Figure]:
    feeds = folder / "feeds"
    until = ("--until", iso(_HOUR + HOUR))
    measure.audit(feeds, "simulate", "--hours", "1", *until, "--events-per-hour", str(events))
    landing = str(feeds / "landing")
    # The first run parses the dbt project and works out its lineage; that is no part of an hour.
    os.environ["AUDIT_CACHE"] = str(folder / "cache")
    _hour(folder / "warm", landing)
    on_empty = [_hour(folder / f"empty-{number}", landing) for number in range(runs)]
    children = {
        kind: [_child(kind, folder / f"{kind}-{number}", landing) for number in range(runs)] for kind in _CHILDREN
    }
    hour, floor = _median(on_empty), [found["imports"] + found["dbt"] for found in children["floor"]]
    figures = [
        *measure.usage_figures("hour", hour),
        *(_figure(f"floor: {part}", [found[part] for found in children["floor"]]) for part in ("imports", "dbt")),
        _figure("floor wall", floor),
        measure.Figure("hour against floor", round(hour.wall / statistics.median(floor), 2), "ratio"),
        _figure("loaded hour wall", [found["wall"] for found in children["loaded"]]),
        _figure("loaded hour CPU", [found["cpu"] for found in children["loaded"]]),
    ]
    if history:
        on_history = []
        for number in range(runs):
            home = folder / f"history-{number}"
            shutil.copytree(history, home)
            on_history.append(_hour(home, landing))
            shutil.rmtree(home)
        usage = _median(on_history)
        figures += [
            *measure.usage_figures("hour on history", usage),
            measure.Figure("hour on history against empty", round(usage.wall / hour.wall, 2), "ratio"),
        ]
    return figures


def _hour(home: Path, landing: str) -> measure.Usage:
    return measure.audit(home, "run", "--from", iso(_WINDOW[0]), "--to", iso(_WINDOW[1]), AUDIT_FEED_URL=landing)


def _child(kind: str, home: Path, landing: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.hour", "--child", kind, "--home", str(home)]
    environment = {**os.environ, "AUDIT_FEED_URL": landing}
    done = subprocess.run(command, env=environment, cwd=measure.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise measure.Failed(f"{' '.join(command)} ended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _median(runs: list[measure.Usage]) -> measure.Usage:
    return measure.Usage(
        *(statistics.median(getattr(run, name) for run in runs) for name in ("wall", "cpu", "peak_mib"))
    )


def _figure(name: str, seconds: list[float]) -> measure.Figure:
    return measure.Figure(name, round(statistics.median(seconds), 2), "s")


def _floor(settings: Settings) -> dict[str, float]:
    """The libraries' bare imports, and dbt's own build of the models on the hour's records."""
    started = time.perf_counter()
    _import_libraries()
    imported = time.perf_counter()
    from activity_audit.base import catalogue
    from activity_audit.base.hours import now_utc
    from activity_audit.dbt_runner import project
    from activity_audit.dbt_runner.session import using
    from activity_audit.ingest.landing import open_index
    from activity_audit.pipeline.run import land_feeds
    from activity_audit.transform.scratch import Batch, Workbench, fill
    from activity_audit.warehouse import tables

    feeds = catalogue.slugs()
    land_feeds(settings, feeds, _WINDOW)
    index = open_index(raw_lake(settings))
    deliveries, manifests = index.deliveries(feeds, _WINDOW), index.manifests(feeds, _WINDOW)
    bench = Workbench(settings, "floor")
    with bench.connect() as connection:
        tables.create_tables(connection, project.manifest())
        fill(connection, Batch("floor", now_utc(), *_WINDOW, feeds, deliveries, manifests), settings)
    target = settings.home / "target"
    target.mkdir()
    shutil.copy(project.target_dir() / "partial_parse.msgpack", target)
    with using(bench.attach):
        prepared = time.perf_counter()
        _dbt_alone(target)
        built = time.perf_counter()
    return {"imports": imported - started, "dbt": built - prepared}


def _import_libraries() -> None:
    import dagster
    import dagster_dbt
    import dbt.adapters.duckdb
    import dbt.cli.main
    import duckdb
    import great_expectations
    import pyarrow

    assert all((dagster, dagster_dbt, dbt, duckdb, great_expectations, pyarrow))


def _dbt_alone(target: Path) -> None:
    from dbt.cli.main import dbtRunner

    from activity_audit.base.catalogue import DBT_PROJECT_DIR

    places = [f"--{name}-dir={DBT_PROJECT_DIR}" for name in ("project", "profiles")]
    result = dbtRunner().invoke(
        ["--quiet", "build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test",
         *places, f"--target-path={target}", f"--log-path={target}"]
    )  # fmt: skip
    if not result.success:
        raise measure.Failed(f"dbt build failed: {result.exception or result.result}")


def _loaded(settings: Settings) -> dict[str, float]:
    """The hour as a run of Dagster's job, in a process that has imported everything and loaded the definitions."""
    _import_libraries()
    from activity_audit.base import catalogue
    from activity_audit.cli.dagster_runs import console
    from orchestration import instance as dagster_instance
    from orchestration.assets.warehouse import FEEDS_TAG
    from orchestration.definitions import build_definitions
    from orchestration.jobs import HOURLY
    from orchestration.partitions import range_tags

    job = build_definitions(settings, begin=_WINDOW[0]).resolve_job_def(HOURLY)
    with dagster_instance.instance(settings) as instance:
        wall, cpu = time.perf_counter(), time.process_time()
        tags = {**range_tags(*_WINDOW), FEEDS_TAG: ",".join(catalogue.slugs())}
        result = job.execute_in_process(instance=instance, run_config=console(), tags=tags, raise_on_error=False)
        if not result.success:
            raise measure.Failed("the hour failed")
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


_CHILDREN: dict[str, Callable[[Settings], dict[str, Any]]] = {"floor": _floor, "loaded": _loaded}


if __name__ == "__main__":
    main()
