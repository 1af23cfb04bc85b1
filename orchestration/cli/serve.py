"""`audit serve`: Dagster with its schedule and sensors on, and the report, with a link to each."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click

from orchestration.keeper import kept
from orchestration.settings import Settings, SettingsError

_WORKSPACE = Path(__file__).resolve().parents[2] / "workspace.yaml"


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address that Dagster listens on.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
@click.option("--report-host", default="127.0.0.1", show_default=True, help="The address that the report listens on.")
@click.option("--report-port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.pass_obj
def command(settings: Settings, host: str, port: int, report_host: str, report_port: int) -> None:
    """Start Dagster (its UI, and the daemon that runs the schedule, the sensors and backfills) and the report.

    What ends one of them ends both.
    """
    from orchestration import dagster_instance
    from orchestration.transform import manifest
    from report.access.users import UsersFileError
    from report.web.server import PortTakenError, Served, serve

    if port == report_port:
        raise click.UsageError(f"--port and --report-port are both {port}; Dagster and the report need one each")
    _require_free(host, port)
    with dagster_instance.instance(settings) as instance:
        dead = dagster_instance.fail_dead_runs(instance)
    if dead:
        click.echo(f"{dead} dead run{'s were' if dead > 1 else ' was'} marked as failed: the process is gone.")
    manifest()
    url = f"http://{host}:{port}"
    dagster: list[subprocess.Popen[bytes]] = []

    def start(served: Served) -> None:
        click.echo(f"Report: {served.url}   (Ctrl-C stops)")
        click.echo(f"Dagster: {url}   (answers in some seconds)   data docs: {settings.docs_dir / 'index.html'}")
        sys.stdout.flush()
        dagster.append(_start_dagster(host, port))

    try:
        serve(
            settings,
            report_host,
            report_port,
            start,
            dagster_url=settings.report.dagster_url or url,
            stop=lambda: any(process.poll() is not None for process in dagster),
        )
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except (PortTakenError, UsersFileError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        ended = [_stop(process) for process in dagster]
    if any(ended):
        raise click.ClickException(f"Dagster ended with exit code {ended[0]}; its messages are above")


def _require_free(host: str, port: int) -> None:
    """Dagster would go on without its UI, and its link lead to whoever has the port."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            return  # Dagster may know another address of this name.
        reason = error.strerror or error
        raise click.ClickException(
            f"Dagster cannot listen on {host}:{port}: {reason}; choose another port with --port"
        ) from None


def _start_dagster(host: str, port: int) -> subprocess.Popen[bytes]:
    """Dagster, which ends with this process, however that ends."""
    dagster = Path(sys.executable).with_name("dagster")
    return kept([str(dagster), "dev", "--workspace", str(_WORKSPACE), "--host", host, "--port", str(port)])


def _stop(process: subprocess.Popen[bytes]) -> int:
    """End Dagster and all that it started; its exit code if it had ended by itself, else 0."""
    if (ended := process.poll()) is not None:
        return ended
    process.send_signal(signal.SIGTERM)
    return process.wait()
