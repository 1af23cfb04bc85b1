"""The `audit` command line. Each command imports what it needs when it runs, so that a light one starts quickly."""

from orchestration.cli.main import main

__all__ = ["main"]
