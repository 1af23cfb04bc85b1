"""The `audit` command line. Each command imports what it needs when it runs, so that a light one starts quickly."""

import sys


def main() -> None:
    """The console script."""
    try:
        from activity_audit.base.call_stack import with_room
        from activity_audit.cli.main import main as run

        with_room(run)()
    except KeyboardInterrupt:
        # Before there is anything that could say so.
        sys.exit(130)


__all__ = ["main"]
