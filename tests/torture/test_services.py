"""PostgreSQL or the bucket goes away in a stage of a run, or in a move: nothing is half done, and what is said names
the cause.
"""

from __future__ import annotations

import random
import re
import selectors
import socket
import subprocess
import threading
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from activity_audit.base.hours import iso
from activity_audit.settings.core import Settings, load_settings
from tests.integration.postgres_server import INITDB, postgres_server
from tests.integration.support import HOUR, audit, begin, deliver, event, lines, run
from tests.s3_server import Bucket
from tests.torture.figures import Figures
from tests.torture.state import require_well
from tests.torture.steps import ANY_CALL, ended, start_waiting, stopped

pytestmark = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")

# Just before a run begins each of its stages.
RUN = ("run", "--from", iso(HOUR), "--to", iso(HOUR + timedelta(hours=1)))
IDS = [f"e{n}" for n in range(20)]
FIGURES = Figures("a lost bucket or PostgreSQL")
STAGES = {
    "landing": "orchestration.assets.raw.land_feeds",
    "staging": "activity_audit.transform.staging.stage",
    "checking": "expectations.runner.validate",
    "publishing": "activity_audit.publish.publish.publish",
}


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


def _environment(settings: Settings, endpoint: str) -> dict[str, str]:
    return {
        "AUDIT_CATALOG": settings.catalog or "", "AUDIT_DATA_PATH": settings.data_root,
        "AUDIT_RAW_PATH": settings.raw_root, "AUDIT_APPLICATIONS": "search", "AWS_ENDPOINT_URL": endpoint,
    }  # fmt: skip


def _one_sentence_of(process: subprocess.Popen, names: str) -> None:
    said = ended(process, 1).strip()
    assert re.search(names, said), said


@pytest.mark.parametrize("stage", [pytest.param(stage, marks=() if stage == "staging" else pytest.mark.slow)
                                   for stage in STAGES])  # fmt: skip
def test_a_bucket_that_is_lost_and_comes_back(bucket: Bucket, tmp_path: Path, stage: str) -> None:
    bucket.put(f"feeds/search/{HOUR:%Y-%m-%d/%H}/a.ndjson", lines([*map(event, IDS), "junk"]))
    with postgres_server() as server:
        settings = _machine(tmp_path, bucket, server.new_database())
        gate = Gate(int(bucket.endpoint.rpartition(":")[2]))
        environment = _environment(settings, f"http://127.0.0.1:{gate.port}")
        with stopped(settings, tmp_path / stage, STAGES[stage], *RUN, **environment) as process:
            gate.shut()
        _one_sentence_of(process, rf"127\.0\.0\.1:{gate.port}|{re.escape(bucket.url)}")
        gate.close()
        run(settings)
        require_well(settings, IDS, FIGURES)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_postgresql_that_is_lost_and_comes_back(bucket: Bucket, tmp_path: Path, stage: str) -> None:
    bucket.put(f"feeds/search/{HOUR:%Y-%m-%d/%H}/a.ndjson", lines([*map(event, IDS), "junk"]))
    with postgres_server() as server:
        settings = _machine(tmp_path, bucket, server.new_database())
        environment = _environment(settings, bucket.endpoint)
        with stopped(settings, tmp_path / stage, STAGES[stage], *RUN, **environment) as process:
            server.kill()
        _one_sentence_of(process, "Postgre|server closed the connection")
        server.start()
        run(settings)
        require_well(settings, IDS, FIGURES)


def test_a_postgresql_that_is_lost_while_a_warehouse_moves_there(settings: Settings, tmp_path: Path) -> None:
    begin(settings, *map(event, IDS))
    with postgres_server() as server:
        there = settings.model_copy(update={"catalog": server.new_database()})
        command = ("move", "--catalog", there.catalog or "")
        # Its second call is at the end of the transaction that copies the catalog.
        step = "activity_audit.warehouse.move_marks.write"
        with stopped(settings, tmp_path / "copying", step, *command, call=2) as process:
            server.kill()
        _one_sentence_of(process, r"(?m)^Error: .*server closed the connection")
        server.start()
        require_well(settings, IDS, FIGURES)
        audit(settings, *command)
        require_well(there, IDS, FIGURES)


@pytest.mark.torture
def test_a_postgresql_that_is_lost_at_any_moment_of_a_run(
    settings: Settings, tmp_path: Path, rounds: int, seed: int
) -> None:
    figures, chance = Figures("PostgreSQL lost at any call of a run"), random.Random(seed)
    delivered: list[str] = []
    with postgres_server() as server:
        there = settings.model_copy(update={"catalog": server.new_database()})
        environment = {"AUDIT_CATALOG": there.catalog or ""}
        for round_ in range(max(1, rounds // 10)):
            new = [f"{round_}-{number}" for number in range(20)]
            deliver(there, lines([*map(event, new), "junk"]), hour=round_)
            delivered += new
            folder, call = tmp_path / f"round-{round_}", int(10 ** chance.uniform(2, 4.3))
            process = start_waiting(there, folder, ANY_CALL, "run", call=call, **environment)
            if process.poll() is None:
                server.kill()
                (folder / "go").touch()
                said = ended(process, None)
                assert process.returncode in (0, 1), f"seed {seed}, round {round_}, call {call}: {said}"
                server.start()
                figures.add(faults=1)
            process.communicate()
            audit(there, "run", **environment)
            require_well(there, delivered, figures)
            figures.add(rounds=1)
