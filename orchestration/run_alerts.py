"""Alerts about runs, from Dagster's record of them: those that failed, that checks blocked, and that never began."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import click
import dagster as dg

from activity_audit.alerts.causes import Cause
from activity_audit.alerts.looks import blocking_checks
from activity_audit.alerts.rounds import observe
from activity_audit.base import catalogue
from activity_audit.base.faults import sentence_of
from activity_audit.base.hours import HOUR, from_partition_key, iso, now_utc
from activity_audit.base.masking import without_secrets
from activity_audit.settings.core import Settings
from orchestration.assets.warehouse import FEEDS_TAG
from orchestration.distributed import DISTRIBUTED
from orchestration.jobs import HOURLY, REPLAY, UPKEEP
from orchestration.run_errors import RunStoppedError, error_of

_JOBS = (HOURLY, DISTRIBUTED, REPLAY, UPKEEP)
# What failed longer ago is history; and no look reads more runs of a job than these.
_RECENT = timedelta(days=7)
_MOST_RUNS = 200
_LONGEST = 300
# What a cause is about where runs cannot even begin.
_START = "start"


def tell_of_runs(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Tell of runs that failed and were not made good since; warnings, as `observe` has them."""
    if not settings.alert_urls:
        return []
    runs, is_all = _runs(instance)
    failed, known = _failed(runs), {_window(run)[0] for run in runs}
    blocked = blocking_checks(settings, [run.run_id for run in failed.values()]) if failed else {}
    causes: dict[str, list[Cause]] = {"run_failed": [], "publication_blocked": []}
    for about, run in failed.items():
        which = f"The run of {about}" if run.job_name in (HOURLY, DISTRIBUTED) else f"The job {about}"
        if checks := blocked.get(run.run_id):
            says = f"{which} published nothing, because of these checks: {checks} (run {run.run_id})."
            causes["publication_blocked"].append(Cause("publication_blocked", about, says))
        elif said := _said(instance, run, settings):
            causes["run_failed"].append(Cause("run_failed", about, f"{which} failed: {said} (run {run.run_id})"))
    return [
        warning
        for kind, found in causes.items()
        for warning in observe(
            settings, kind, found, judged=lambda about: about != _START and (is_all or about in known)
        )
    ]


@contextmanager
def told_if_it_fails(settings: Settings, what: str) -> Iterator[None]:
    """Tell of an error of the block, in which runs are planned and begun, and raise it; or that it is over."""
    try:
        yield
    except (click.UsageError, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        said = error.message if isinstance(error, click.ClickException) else sentence_of(error, settings.home)
        says = f"{what} failed: {_short(said or f'{type(error).__name__}: {error}')}"
        _tell_of_start(settings, [Cause("run_failed", _START, says)])
        raise
    _tell_of_start(settings, [])


def _tell_of_start(settings: Settings, causes: list[Cause]) -> None:
    # What cannot be sent now is sent, or warned of, by the look at the runs that follows.
    observe(settings, "run_failed", causes, judged=lambda about: about == _START)


def _runs(instance: dg.DagsterInstance) -> tuple[list[dg.DagsterRun], bool]:
    """The newest runs that are over, the newest first, and whether these are all; each job is read by itself."""
    of_jobs = [
        instance.get_run_records(
            dg.RunsFilter(
                job_name=job,
                statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
                created_after=now_utc() - _RECENT,
            ),
            limit=_MOST_RUNS,
        )
        for job in _JOBS
    ]
    records = sorted((one for of_job in of_jobs for one in of_job), key=lambda one: one.storage_id, reverse=True)
    return [one.dagster_run for one in records], all(len(of_job) < _MOST_RUNS for of_job in of_jobs)


def _failed(runs: Sequence[dg.DagsterRun]) -> dict[str, dg.DagsterRun]:
    """The newest failed run of each beginning, if no later run of it succeeded; of a job without hours, by its name."""
    failed: dict[str, dg.DagsterRun] = {}
    done: list[tuple[str, str, set[str]]] = []
    for run in runs:
        begin, end = _window(run)
        feeds = set(run.tags.get(FEEDS_TAG, ",".join(catalogue.slugs())).split(","))
        if run.status == dg.DagsterRunStatus.SUCCESS:
            done.append((begin, end, feeds))
        elif begin not in failed and not any(
            (first <= begin < last or first == begin) and feeds <= others for first, last, others in done
        ):
            failed[begin] = run
    return failed


def _window(run: dg.DagsterRun) -> tuple[str, str]:
    """The feed hours of a run, as ISO 8601, whose order is that of their texts; or twice the name of its job."""
    tags = run.tags
    first = tags.get("dagster/asset_partition_range_start") or tags.get("dagster/partition")
    last = tags.get("dagster/asset_partition_range_end") or tags.get("dagster/partition")
    if not first or not last:
        return run.job_name, run.job_name
    return iso(from_partition_key(first)), iso(from_partition_key(last) + HOUR)


def _said(instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings) -> str | None:
    """What went wrong, in short; None if somebody stopped the run."""
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    events = [record.event_log_entry.dagster_event for record in records]
    try:
        return _short(error_of([event for event in events if event], settings.home))
    except RunStoppedError:
        return None


def _short(text: str) -> str:
    said = " ".join(without_secrets(text).split())
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
