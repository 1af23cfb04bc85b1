"""PostgreSQL or the bucket goes away in a stage of a run: nothing is half done, and what is said names the cause."""

from __future__ import annotations

import re
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from activity_audit.evidence.verify.verify import verify
from activity_audit.settings.core import Settings, load_settings
from tests import warm_process
from tests.integration.postgres_server import INITDB, postgres_server
from tests.integration.support import HOUR, event, key_differences, lines, process_environment, query, run, until
from tests.s3_server import Bucket

pytestmark = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")

# Runs the first hour, and at one stage waits until something is lost.
RUNS = """
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4
from activity_audit.base import catalogue
from activity_audit.base.faults import FaultError, sentence_of
from activity_audit.dbt_runner.project import TransformError
from activity_audit.ingest.sources.source import SourceError
from activity_audit.pipeline.run import land_feeds, update_warehouse
from activity_audit.settings.core import load_settings
from activity_audit.warehouse.lake import WarehouseError
from tests.integration.support import HOUR, until

arrived, lost, where = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def stage(name):
    if name == where:
        arrived.touch()
        until(lost.exists, 120)

settings, window = load_settings(), (HOUR, HOUR + timedelta(hours=1))
try:
    stage("landing")
    land_feeds(settings, catalogue.slugs(), window)
    update_warehouse(settings, str(uuid4()), catalogue.slugs(), window, stage)
except (WarehouseError, FaultError, SourceError, TransformError) as error:
    sys.exit(str(error))
except Exception as error:
    # As the command does.
    if said := sentence_of(error, settings.home):
        sys.exit(said)
    raise
"""
STAGES = ("landing", "staging", "checking", "publishing")


class Gate:
    """A door to a server on this machine that can be shut, so that nobody reaches what is behind it."""

    def __init__(self, port: int) -> None:
        self._behind = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._is_open = True
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """Cut every connection, and take no new one."""
        self._is_open = False
        for pair in self._pairs:
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Let everybody through again."""
        self._is_open = True

    def close(self) -> None:
        """End it."""
        self.shut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                came, _ = self._listener.accept()
                if not self._is_open:
                    came.close()
                    continue
                pair = (came, socket.create_connection(self._behind))
                self._pairs.append(pair)
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), selectors.DefaultSelector() as ready, closing(one), closing(other):
            ready.register(one, selectors.EVENT_READ, other)
            ready.register(other, selectors.EVENT_READ, one)
            while True:
                for key, _ in ready.select():
                    content = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                    if not content:
                        return
                    key.data.sendall(content)


def _machine(folder: Path, bucket: Bucket, catalog: str) -> Settings:
    return load_settings(
        home=folder / "home", applications="search", catalog=catalog, feed_url=f"{bucket.url}/feeds",
        raw_path=f"{bucket.url}/raw", data_path=f"{bucket.url}/lake",
    )  # fmt: skip


@contextmanager
def _stopped_at(settings: Settings, folder: Path, stage: str, endpoint: str) -> Iterator[subprocess.Popen]:
    """A run that waits at a stage; from the end of the block on it goes on."""
    arrived, lost = folder / f"{stage}.arrived", folder / f"{stage}.lost"
    environment = process_environment(
        settings, AUDIT_CATALOG=settings.catalog or "", AUDIT_DATA_PATH=settings.data_root,
        AUDIT_RAW_PATH=settings.raw_root, AWS_ENDPOINT_URL=endpoint,
    )  # fmt: skip
    command = [sys.executable, "-c", RUNS, str(arrived), str(lost), stage]
    process = warm_process.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(arrived.exists, 120)
    yield process
    lost.touch()


def _is_whole(settings: Settings, events: int) -> None:
    ((counted, distinct),) = query(settings, "select count(*), count(distinct event_id) from fact_activity_event")
    assert (counted, distinct) == (events, events)
    assert key_differences(settings) == []
    assert verify(settings).findings == []


def _one_sentence_of(process: subprocess.Popen, names: str) -> None:
    said = process.communicate(timeout=300)[1].strip()
    assert process.returncode == 1, said
    assert "Traceback" not in said, said
    assert re.search(names, said), said


@pytest.mark.parametrize("stage", [pytest.param(stage, marks=() if stage == "staging" else pytest.mark.slow)
                                   for stage in STAGES])  # fmt: skip
def test_a_bucket_that_is_lost_and_comes_back(bucket: Bucket, tmp_path: Path, stage: str) -> None:
    bucket.put(f"feeds/search/{HOUR:%Y-%m-%d/%H}/a.ndjson", lines([*(event(f"e{n}") for n in range(20)), "junk"]))
    with postgres_server() as server:
        settings = _machine(tmp_path, bucket, server.new_database())
        gate = Gate(int(bucket.endpoint.rpartition(":")[2]))
        with _stopped_at(settings, tmp_path, stage, f"http://127.0.0.1:{gate.port}") as process:
            gate.shut()
        _one_sentence_of(process, rf"127\.0\.0\.1:{gate.port}|{re.escape(bucket.url)}")
        gate.close()
        run(settings)
        _is_whole(settings, 20)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_postgresql_that_is_lost_and_comes_back(bucket: Bucket, tmp_path: Path, stage: str) -> None:
    bucket.put(f"feeds/search/{HOUR:%Y-%m-%d/%H}/a.ndjson", lines([*(event(f"e{n}") for n in range(20)), "junk"]))
    with postgres_server() as server:
        settings = _machine(tmp_path, bucket, server.new_database())
        with _stopped_at(settings, tmp_path, stage, bucket.endpoint) as process:
            server.kill()
        _one_sentence_of(process, "Postgre|server closed the connection")
        server.start()
        run(settings)
        _is_whole(settings, 20)
