"""Readers who look all the time while something happens, and are never to see half of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake
from tests import warm_process
from tests.integration.support import process_environment
from tests.torture.figures import Figures
from tests.torture.state import UNBALANCED, sums

_PROGRAM = "from tests.torture.readers import _look; import sys; _look(*sys.argv[1:])"


@contextmanager
def readers(settings: Settings, figures: Figures, number: int = 1, pause: float = 0.02) -> Iterator[list[int]]:
    """Have processes read a published home during the block; afterwards the list has every count of events they saw.

    Each look is one transaction, in which all counts agree and no feed hour is there by half; a later look never has
    fewer events. Fails, once the block has ended, where that was not so.
    """
    seen: list[int] = []
    with TemporaryDirectory() as folder, ExitStack() as stack:
        stop = Path(folder) / "stop"
        started = [stack.enter_context(_reader(settings, stop, pause)) for _ in range(number)]
        try:
            yield seen
        finally:
            stop.touch()
            said = [(*process.communicate(timeout=120), process.returncode) for process in started]
        for output, complaint, code in said:
            assert code == 0, complaint
            counts = json.loads(output)
            figures.add(reads=counts["reads"])
            seen += counts["counts"]


def _reader(settings: Settings, stop: Path, pause: float) -> subprocess.Popen:
    command = [sys.executable, "-c", _PROGRAM, str(stop), str(pause)]
    return warm_process.Popen(
        command, env=process_environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _look(stop: str, pause: str) -> None:
    """Be a reader, until the file is there."""
    settings, counts, reads = load_settings(), [0], 0
    while reads == 0 or not Path(stop).exists():
        with lake.reader(settings) as connection:
            connection.execute("begin")
            found = sums(connection)
            unbalanced = connection.execute(UNBALANCED).fetchall()
        assert len(set(found.values())) == 1, found
        assert unbalanced == [], unbalanced
        events = found["count(*) of main.fact_activity_event"]
        assert events >= counts[-1], (events, counts[-1])
        counts += [events] if events != counts[-1] else []
        reads += 1
        time.sleep(float(pause))
    sys.stdout.write(json.dumps({"reads": reads, "counts": counts[1:]}))
