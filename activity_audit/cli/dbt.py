"""`audit dbt`: dbt on the project of this release, for a person who looks into a run or changes a model."""

from __future__ import annotations

import os
import sys

import click

from activity_audit.base.catalogue import DBT_PROJECT_DIR
from activity_audit.dbt_runner.project import manifest
from activity_audit.settings.core import Settings

_DBT = "from dbt.cli.main import cli; cli(prog_name='audit dbt')"


@click.command("dbt", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(settings: Settings, arguments: tuple[str, ...]) -> None:
    """Run dbt by hand, on the project of this release.

    ARGUMENTS are dbt's own, such as `show -s stg_record`. dbt reads the published warehouse, and writes into
    $AUDIT_HOME/dbt.
    """
    # dbt creates the empty tables of a new home from it.
    manifest()
    os.environ |= {
        "DBT_PROJECT_DIR": str(DBT_PROJECT_DIR),
        "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR),
        "DBT_TARGET_PATH": str(settings.dbt_dir),
        "DBT_LOG_PATH": str(settings.dbt_dir),
    }
    if "show" in arguments:
        # dbt would run a model's tests too, and they fail where the model is not built.
        os.environ.setdefault("DBT_INDIRECT_SELECTION", "empty")
    os.execv(sys.executable, [sys.executable, "-P", "-c", _DBT, *arguments])
