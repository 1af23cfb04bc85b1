"""`audit --help` shows every command as the command describes itself, and needs none of them for that."""

from __future__ import annotations

import subprocess
import sys

import click

from activity_audit.cli.main import COMMANDS, cli

_HEAVY = ("pyarrow", "numpy", "pandas", "dagster", "dbt", "great_expectations", "starlette")
_HELP = f"""
import sys
from activity_audit.cli.main import cli
cli(["--help"], standalone_mode=False)
assert not set({_HEAVY}) & set(sys.modules), set({_HEAVY}) & set(sys.modules)
"""


def test_each_command_is_described_as_it_describes_itself() -> None:
    for name, sentence in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)  # type: ignore[attr-defined]
        assert (command.name, command.help.splitlines()[0]) == (name, sentence)


def test_the_list_of_commands_imports_none() -> None:
    done = subprocess.run([sys.executable, "-c", _HELP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, sentence in COMMANDS.items():
        assert f"  {name:<8}  {sentence}\n" in done.stdout
