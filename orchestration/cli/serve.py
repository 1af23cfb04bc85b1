"""`audit serve`: Dagster with its schedule and sensors on, and a link to it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from orchestration.settings import Settings

_WORKSPACE = Path(__file__).resolve().parents[2] / "workspace.yaml"


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address that Dagster listens on.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
@click.pass_obj
def command(settings: Settings, host: str, port: int) -> None:
    """Start Dagster: its UI, and the daemon that runs the schedule, the sensors and backfills."""
    from orchestration import dagster_instance
    from orchestration.transform import manifest

    with dagster_instance.instance(settings) as instance:
        dagster_instance.fail_dead_runs(instance)
    manifest()
    click.echo(f"Dagster: http://{host}:{port}   data docs: {settings.docs_dir / 'index.html'}   (Ctrl-C stops)")
    dagster = Path(sys.executable).with_name("dagster")
    arguments = [str(dagster), "dev", "--workspace", str(_WORKSPACE), "--host", host, "--port", str(port)]
    # Dagster takes this process's place, so that a signal to it reaches Dagster and stops all of it.
    sys.stdout.flush()
    os.execv(arguments[0], arguments)
