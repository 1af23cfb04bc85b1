"""The job of a run whose steps are ops of their own, for the executor that AUDIT_EXECUTOR names.

Each op calls one function of the pipeline. What an op hands on is small, and lies in the exchange of the run, with the
files that the steps hand on: another process, or another machine, goes on with it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, floor_hour, iso, now_utc, parse_time
from activity_audit.ingest import planning
from activity_audit.pipeline import run_in_parts
from activity_audit.pipeline.run import Window, land_feeds, update_warehouse
from activity_audit.pipeline.stages import ChecksFailedError, Outcome
from activity_audit.settings.core import Settings, SettingsError
from activity_audit.transform import steps
from activity_audit.transform.exchange import Exchange
from activity_audit.transform.exchange_folder import ExchangeFolder
from activity_audit.transform.staging import DataFaultError
from orchestration.resources import Home

DISTRIBUTED = "distributed_run"
EXCHANGE = "exchange"
_OPS = "ops"
_HANDED = dg.Out(io_manager_key=EXCHANGE)
_PARTS = dg.DynamicOut(is_required=False, io_manager_key=EXCHANGE)


class HoursConfig(dg.Config):
    """Which feed hours are run, as ISO 8601 times, the end exclusive; without, the first range that has work."""

    from_hour: str | None = None
    to_hour: str | None = None


@dg.op(out=_PARTS)
def land_and_plan(context: dg.OpExecutionContext, config: HoursConfig, home: Home) -> Iterator[Any]:
    """Land what the hours have, and cut it into parts. What is too little for that is published here."""
    window = _window(home.settings, config)
    report = land_feeds(home.settings, catalogue.slugs(), window)
    home.warn(context.log, report.warnings)
    parts = run_in_parts.plan(home.settings, _run_id(context), catalogue.slugs(), window)
    context.log.info(f"{iso(window[0])} to {iso(window[1])} in {parts} parts")
    if not parts:
        _publish(context, home, update_warehouse, catalogue.slugs(), window)
    for part in range(parts):
        yield dg.DynamicOutput(part, mapping_key=str(part))


@dg.op(out=_HANDED)
def parse(context: dg.OpExecutionContext, home: Home, part: int) -> bool:
    """Parse the records of a part; whether nothing that was delivered is in the way."""
    return _is_done(context, steps.parse, _of_worker(home.settings), _exchange(context, home), part)


@dg.op(out={"met": dg.Out(is_required=False, io_manager_key=EXCHANGE), "parts": _PARTS})
def meet(context: dg.OpExecutionContext, home: Home, parsed: Sequence[bool]) -> Iterator[Any]:
    """Find what the parts, and the warehouse, have in common. If a part cannot be parsed, all is published here."""
    if not all(parsed):
        _publish(context, home, run_in_parts.publish_without_parts)
        return
    met = steps.meet(home.settings, _exchange(context, home))
    yield dg.Output(met, "met")
    for part in range(len(parsed)):
        yield dg.DynamicOutput((part, met), mapping_key=str(part), output_name="parts")


@dg.op(out=_HANDED)
def judge(context: dg.OpExecutionContext, home: Home, part: Sequence[Any]) -> bool:
    """Judge the records of a part, and write its events into their final files; whether nothing is in the way."""
    number, met = part
    return _is_done(context, steps.judge, _of_worker(home.settings), _exchange(context, home), number, met)


@dg.op(out=dg.Out(dg.Nothing, io_manager_key=EXCHANGE))
def publish(context: dg.OpExecutionContext, home: Home, met: str, judged: Sequence[bool]) -> None:
    """Check what was judged, and publish it as one snapshot."""
    if all(judged):
        _publish(context, home, run_in_parts.publish, met)
    else:
        _publish(context, home, run_in_parts.publish_without_parts)


def _is_done(context: dg.OpExecutionContext, step: Callable[..., None], *arguments: Any) -> bool:
    try:
        step(*arguments)
    except DataFaultError as error:
        context.log.warning(f"a delivery of this part breaks it; one process looks for it and goes on: {error.reason}")
        return False
    return True


def _publish(context: dg.OpExecutionContext, home: Home, how: Callable[..., Outcome], *what: Any) -> None:
    try:
        outcome = how(home.settings, _run_id(context), *what, lambda name: home.stage(context.log, name))
    except ChecksFailedError as error:
        home.warn(context.log, error.outcome.warnings)
        raise dg.Failure(str(error), allow_retries=False) from None
    home.warn(context.log, outcome.warnings)
    context.log.info(f"published: {outcome.totals}")


class InExchange(dg.IOManager):
    """Keeps what ops hand on as JSON in the exchange of the run."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.exchange_root

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Called by Dagster when an op hands something on, or nothing."""
        if obj is not None:
            self._folder(context).write(_name(context), json.dumps(obj))

    def load_input(self, context: dg.InputContext) -> Any:
        """Called by Dagster when an op takes it."""
        output = context.upstream_output
        assert output is not None
        return json.loads(self._folder(context).read(_name(output)))

    def _folder(self, context: dg.OutputContext | dg.InputContext) -> ExchangeFolder:
        return ExchangeFolder(f"{self._root}/{_first(context.step_context.dagster_run)}/{_OPS}")


def distributed_run(settings: Settings) -> dg.JobDefinition:
    """The job, for the executor of these settings.

    Raises:
        SettingsError: if the executor's package is not installed.
    """

    @dg.job(
        name=DISTRIBUTED,
        description="Lands, judges and publishes feed hours as one run, with large ones cut into parts that several "
        "processes or machines do.",
        executor_def=_executor(settings),
    )
    def distributed_run() -> None:
        met, parsed = meet(land_and_plan().map(parse).collect())
        publish(met, parsed.map(judge).collect())

    return distributed_run


def _executor(settings: Settings) -> dg.ExecutorDefinition:
    try:
        match settings.executor:
            case "celery":
                from dagster_celery import celery_executor

                return celery_executor.configured({"broker": settings.celery_broker, "backend": settings.celery_broker})
            case "kubernetes":
                from dagster_k8s import k8s_job_executor

                return k8s_job_executor
            case "multiprocess":
                return dg.multiprocess_executor.configured({"max_concurrent": settings.workers})
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"AUDIT_EXECUTOR={settings.executor!r}: needs the extra of that name, which is not installed ({error}): "
            f"pip install 'activity-audit[{settings.executor}]'"
        ) from None
    return dg.in_process_executor


def _window(settings: Settings, config: HoursConfig) -> Window:
    if config.from_hour and config.to_hour:
        return parse_time(config.from_hour), parse_time(config.to_hour)
    if config.from_hour or config.to_hour:
        raise dg.Failure("name both from_hour and to_hour, or none of them", allow_retries=False)
    ranges = planning.plan(settings, catalogue.slugs()).ranges
    now = floor_hour(now_utc())
    return ranges[0] if ranges else (now - HOUR, now)


def _run_id(context: dg.OpExecutionContext) -> str:
    return _first(context.run)


def _first(run: dg.DagsterRun) -> str:
    """The id of a run; of one that is executed again from where it failed, that of the first."""
    return run.root_run_id or run.run_id


def _exchange(context: dg.OpExecutionContext, home: Home) -> Exchange:
    return run_in_parts.exchange_of(home.settings, _run_id(context))


def _of_worker(settings: Settings) -> Settings:
    return settings.model_copy(update={"memory_limit": settings.worker_memory})


def _name(output: dg.OutputContext) -> str:
    return f"{'.'.join(output.get_identifier()[1:])}.json"
