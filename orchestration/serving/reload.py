"""Makes Dagster's code server reload its code: `python -m orchestration.serving.reload SOCKET`."""

from __future__ import annotations

import sys

from activity_audit.base import acknowledgements, catalogue
from activity_audit.base.seeds import SeedError

# In seconds; with other work on the machine Dagster's imports alone may take a minute.
_PATIENCE = 300


def load_again(socket: str) -> str:
    """Load the code again, and what to say of it. With a wrong seed the server stays as it is, and goes on."""
    try:
        catalogue.check()
        acknowledgements.check()
    except SeedError as error:
        return f"A seed changed and is wrong, so Dagster continues without the change. {error}"
    from dagster._grpc.client import DagsterGrpcClient

    DagsterGrpcClient(socket=socket, use_ssl=False).reload_code(timeout=_PATIENCE)
    return (
        "The first feed hour or a seed has changed, and Dagster has loaded its code again. The report knows a changed "
        "seed when `audit serve` is started again."
    )


if __name__ == "__main__":
    sys.stderr.write(f"{load_again(sys.argv[1])}\n")
