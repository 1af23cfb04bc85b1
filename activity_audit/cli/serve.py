"""`audit serve`: the report, and Dagster with its schedule and sensors behind the report's sign-in."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import click
from filelock import FileLock, Timeout

from activity_audit.base.files import rewrite
from activity_audit.base.hours import now_utc
from activity_audit.base.process_tree import kept
from activity_audit.cli.output import pass_on, pinned, say
from activity_audit.settings.core import Settings, SettingsError

# Dagster's log has them wherever it goes.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# In bytes; what is longer becomes several lines.
_LONGEST_LINE = 65_536
# How long Dagster may take to end when its keeper was killed, in seconds.
_PATIENCE = 30.0
# A Unix socket's path must be short, and Dagster adds to this one.
_LONGEST_FOLDER = 60


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address of the port for monitoring.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=3000,
    show_default=True,
    help="The port that has /metrics and /health, and redirects to Dagster's pages.",
)
@click.option("--report-host", default="127.0.0.1", show_default=True, help="The address that the report listens on.")
@click.option("--report-port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--read-only", is_flag=True, help="Nobody can launch, stop or change anything in Dagster's pages.")
@click.pass_obj
def command(settings: Settings, host: str, port: int, report_host: str, report_port: int, read_only: bool) -> None:
    """Start the report, and Dagster with its schedule.

    Dagster's pages are at /dagster/ of the report. Its daemon runs the schedule, the sensors and backfills.

    If one of the two ends, the other ends too.
    """
    from activity_audit.dbt_runner.project import manifest
    from activity_audit.metrics.exposition import Watched
    from activity_audit.report.access.users import UsersFileError
    from activity_audit.report.dagster_door import PATH
    from activity_audit.report.dagster_door.old_address import leads_to
    from activity_audit.report.web.app import DagsterAt
    from activity_audit.report.web.server import PortTakenError, Served, check, serve
    from orchestration import instance as dagster_instance
    from orchestration.serving.processes import PAGES_SOCKET, listens

    if port == report_port:
        raise click.UsageError(f"--port and --report-port are both {port}; give Dagster and the report a port each")
    dagster: list[_Dagster] = []
    try:
        check(settings, report_host)
        check(settings, host)
        with ExitStack() as stack:
            old_address = stack.enter_context(_listen(host, port))
            stack.enter_context(_only_one(dagster_instance.prepare(settings)))
            with dagster_instance.instance(settings) as instance:
                dead = dagster_instance.fail_dead_runs(instance)
            if dead:
                say(f"{dead} dead run{'s were' if dead > 1 else ' was'} marked as failed: the process is gone.")
            manifest()
            folder = Path(stack.enter_context(_private_folder()))
            stack.callback(_stop, dagster)

            def start(served: Served) -> None:
                say(f"Report: {served.url}   (Ctrl-C stops)")
                by_link = served.url != served.base
                first = "   (open the report first, which signs you in)" if by_link else ""
                say(f"Dagster: {served.base}{PATH}/{first}   data docs: {settings.docs_dir / 'index.html'}")
                named = f"[{host}]" if ":" in host else host
                say(f"Metrics: http://{named}:{port}/metrics   health: /health/live, /health/ready")
                if by_link:
                    # The first link scrolls away above Dagster's log, and works only once.
                    stack.enter_context(pinned(f"Report: {served.base}   `audit link` prints a fresh link to it"))
                sys.stdout.flush()
                watched = Watched(settings, lambda: listens(folder / PAGES_SOCKET))
                stack.enter_context(leads_to(old_address, served.base, watched.answer))
                dagster.append(_start_dagster(folder))

            serve(
                settings,
                report_host,
                report_port,
                start,
                dagster=DagsterAt(folder / PAGES_SOCKET, read_only),
                stop=lambda: any(one.keeper.poll() is not None for one in dagster),
            )
            ended = [one.keeper.poll() for one in dagster]
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except (PortTakenError, UsersFileError) as error:
        raise click.ClickException(str(error)) from None
    if any(code is not None for code in ended):
        raise click.ClickException(f"Dagster ended with exit code {ended[0]}; its messages are above")


@contextmanager
def _only_one(dagster_home: Path) -> Iterator[None]:
    """Hold the home: two daemons on one would run each hour twice. The kernel lets go of it with this process."""
    lock = FileLock(dagster_home / "serve.lock")
    holder = dagster_home / "serve.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
        raise click.ClickException(f"another `audit serve` uses this home: {who}; stop it first") from None
    try:
        rewrite(holder, f"process {os.getpid()} on {socket.gethostname()}, since {now_utc():%Y-%m-%dT%H:%M:%SZ}")
        yield
    finally:
        lock.release()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(
            f"Dagster cannot listen on {host}:{port}: {reason}; choose another port with --port"
        ) from None


def _private_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that only its owner can open, with a short name."""
    where = tempfile.gettempdir()
    return tempfile.TemporaryDirectory(
        prefix="audit-", dir=where if len(where) < _LONGEST_FOLDER else "/tmp", ignore_cleanup_errors=True
    )


@dataclass(frozen=True)
class _Dagster:
    """Dagster's keeper, and the thread that passes on the log, which is over when the last that writes it ends."""

    keeper: subprocess.Popen[bytes]
    log: threading.Thread


def _start_dagster(folder: Path) -> _Dagster:
    """Dagster, which ends with this process, however that ends; its log quotes what sources sent."""
    keeper = kept([sys.executable, "-P", "-m", "orchestration.serving.processes", str(folder)], subprocess.PIPE)
    log = threading.Thread(target=_pass_on, args=(keeper.stdout,), daemon=True)
    log.start()
    return _Dagster(keeper, log)


def _pass_on(log: IO[bytes]) -> None:
    """Write a log to standard error until it ends. It is read to its end, lest who writes it waits."""
    for line in iter(lambda: log.readline(_LONGEST_LINE), b""):
        with suppress(OSError, ValueError):
            pass_on(_COLOURS.sub("", line.decode(errors="replace").removesuffix("\n")))


def _stop(dagster: list[_Dagster]) -> None:
    """End Dagster and all that it started."""
    for one in dagster:
        one.keeper.send_signal(signal.SIGTERM)
        one.keeper.wait()
        # A keeper that was killed leaves Dagster to end by itself, and no other may have this home before that.
        one.log.join(_PATIENCE)
