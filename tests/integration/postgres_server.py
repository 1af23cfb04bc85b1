"""A real PostgreSQL server on a Unix socket of its own, for catalogs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.integration.support import until

_PLACES = [*os.environ["PATH"].split(os.pathsep), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))]
INITDB = shutil.which("initdb", path=os.pathsep.join(_PLACES))
# It refuses to run as root.
_USER = "nobody" if os.geteuid() == 0 else None


class PostgresServer:
    """A server that can be killed and started again; `dsn` is the connection string of its first database.

    Its data and its socket are in `folder`.
    """

    def __init__(self, folder: Path, superuser: str = "audit") -> None:
        assert INITDB is not None
        self._binaries = Path(INITDB).resolve().parent
        self.folder = folder
        self._superuser = superuser
        self._process: subprocess.Popen | None = None
        self.dsn = self._dsn("postgres")
        self._do("initdb", "-D", f"{folder}/data", "-U", superuser, "--auth=trust")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [self._binaries / "postgres", "-D", f"{self.folder}/data", "-k", self.folder, "-c"]
        self._process = subprocess.Popen(
            [*command, "listen_addresses="], user=_USER, cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: self._is_ready(), 30)

    def kill(self) -> None:
        """End it at once, as `pg_ctl stop -m immediate` does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def new_database(self) -> str:
        """The connection string of an empty database."""
        name = f"test_{uuid4().hex}"
        self._do("createdb", "-h", str(self.folder), "-U", self._superuser, name)
        return self._dsn(name)

    def psql(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, by PostgreSQL's own client."""
        for statement in statements:
            self._do("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-U", self._superuser,
                     "-d", database, "-c", statement)  # fmt: skip

    def dsn_of(self, database: str, user: str) -> str:
        """The connection string of a database for a user."""
        return f"postgres:dbname={database} user={user} host={self.folder}"

    def _dsn(self, name: str) -> str:
        return self.dsn_of(name, self._superuser)

    def _is_ready(self) -> bool:
        command = [self._binaries / "pg_isready", "-q", "-h", self.folder]
        return subprocess.run(command, cwd=self.folder, check=False).returncode == 0

    def _do(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments], user=_USER, cwd=self.folder, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


@contextmanager
def postgres_server(superuser: str = "audit") -> Iterator[PostgresServer]:
    """A new server, until the end of the block."""
    # Not in pytest's folders: the path of a socket must be short, and the server's user must reach it.
    folder = Path(f"/tmp/activity-audit-postgres-{os.getpid()}-{uuid4().hex[:8]}")
    folder.mkdir()
    if _USER:
        shutil.chown(folder, _USER)
    try:
        server = PostgresServer(folder, superuser)
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
