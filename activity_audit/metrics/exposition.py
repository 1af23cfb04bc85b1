"""How metrics are read: over HTTP with a cache, or in a file for node_exporter; and whether the product is ready."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from activity_audit.base.faults import FaultError
from activity_audit.base.files import rewrite
from activity_audit.settings.core import Settings
from activity_audit.settings.private_files import for_people
from activity_audit.warehouse import lake

# How long figures are answered again before they are taken anew, in seconds, and how long readiness is.
_KEPT = 15.0
_READY_KEPT = 5.0
_MEMORY = "512MB"
# Status, media type and text of an answer over HTTP.
Answer = tuple[int, str, bytes]
JSON = "application/json"


class Watched:
    """Answers of a process that is watched; who asks meanwhile waits for the same look."""

    def __init__(self, settings: Settings, is_up: Callable[[], bool] = lambda: True) -> None:
        """`is_up` is whether what else the process needs answers, such as Dagster's pages."""
        # The process has other work, which needs its memory.
        self._settings = settings.model_copy(update={"memory_limit": _MEMORY})
        self._is_up = is_up
        self._metrics = _Kept(_KEPT, self._take)
        self._ready = _Kept(_READY_KEPT, self._look)

    def answer(self, path: str) -> Answer | None:
        """What a GET of this path gets; None where it is none of these."""
        match path:
            case "/metrics":
                return self._metrics.get()
            case "/health/live":
                return 200, JSON, b'{"status": "alive"}\n'
            case "/health/ready":
                return self._ready.get()
        return None

    def _take(self) -> Answer:
        from prometheus_client import CONTENT_TYPE_LATEST

        return 200, CONTENT_TYPE_LATEST, text(self._settings)

    def _look(self) -> Answer:
        checks = {"warehouse": warehouse_answers(self._settings), "pages": self._is_up()}
        is_ready = all(checks.values())
        said = {"status": "ready" if is_ready else "not ready", "checks": checks}
        return 200 if is_ready else 503, JSON, f"{json.dumps(said)}\n".encode()


class _Kept:
    """An answer that is kept for some seconds."""

    def __init__(self, seconds: float, make: Callable[[], Answer]) -> None:
        self._seconds = seconds
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[float, Answer] | None = None

    def get(self) -> Answer:
        """The answer, made again if it is older than it may be."""
        with self._lock:
            if self._made is None or time.monotonic() - self._made[0] > self._seconds:
                answer = self._make()
                self._made = time.monotonic(), answer
            return self._made[1]


def text(settings: Settings) -> bytes:
    """The metrics now, in Prometheus' text format."""
    from prometheus_client import generate_latest

    from activity_audit.metrics.figures import registry

    return generate_latest(registry(settings))


def warehouse_answers(settings: Settings) -> bool:
    """Whether the warehouse can be read; one into which nothing was published yet can."""
    try:
        lake.require_published(settings)
    except lake.NothingPublishedError:
        return True
    except (lake.WarehouseError, FaultError):
        return False
    return True


def write_file(settings: Settings) -> list[str]:
    """Write the metrics to AUDIT_METRICS_FILE, whole, if it is set; warnings, a sentence each."""
    path = settings.metrics_file
    if path is None:
        return []
    try:
        # Another user reads it.
        with for_people():
            rewrite(path, text(settings).decode())
    except OSError as error:
        return [f"AUDIT_METRICS_FILE={str(path)!r} could not be written: {error.strerror or error}"]
    return []
