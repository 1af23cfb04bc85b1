"""Secrets stay where they were given: in no file of a home, in no output, and on no command line.

The same processes show who may reach what: only loopback is listened on, and files are their owner's alone.
"""

from __future__ import annotations

import socket
import stat
import subprocess
from pathlib import Path

import psutil
import pytest

from activity_audit.settings.core import Settings, load_settings
from tests import warm_process
from tests.integration.report_support import PERIOD, browser, csrf, export, served
from tests.integration.support import AUDIT, audit, deliver, event, lines, process_environment, until

# A word for each, which nothing else has.
PLANTED = {
    "AUDIT_REPORT_OIDC_CLIENT_SECRET": "planted-oidc-secret",
    "AUDIT_ALERT_TO": "json://somebody:planted-alert-password@127.0.0.1:1/planted-alert-token",
    "CXONE_ACCESS_KEY_SECRET": "planted-cxone-secret",
    "PGPASSWORD": "planted-postgres-password",
    "AWS_SECRET_ACCESS_KEY": "planted-aws-secret",
}
_OTHERS = 0o077


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home that a process with secrets made, whose user has the usual umask; its output is beside it."""
    folder = tmp_path_factory.mktemp("secrets")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "feeds"))
    deliver(settings, lines([event("a"), "junk"]))
    (folder / "said").mkdir()
    _say(settings, "run", "run", "--from", "2026-05-01T10:00", "--to", "2026-05-01T11:00")
    return settings


def _say(settings: Settings, name: str, *arguments: str, **environment: str) -> int:
    done = warm_process.run(
        [AUDIT, *arguments],
        env=process_environment(settings, **PLANTED | environment),
        capture_output=True,
        text=True,
        umask=0o022,
    )
    (settings.home.parent / "said" / name).write_text(done.stdout + done.stderr)
    return done.returncode


def _leaks(folder: Path) -> list[str]:
    """The files that have a planted secret, which all begin alike."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [str(path.relative_to(folder)) for path in files if b"planted-" in path.read_bytes()]


def _open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if stat.S_IMODE(path.lstat().st_mode) & _OTHERS
            and not path.is_symlink()]  # fmt: skip


def _listening(process: psutil.Process) -> set[str]:
    tree = [process, *process.children(recursive=True)]
    found = [connection for one in tree for connection in one.net_connections("inet")]
    return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}


def _command_lines(process: psutil.Process) -> str:
    return "\n".join(" ".join(one.cmdline()) for one in (process, *process.children(recursive=True)))


def test_commands_keep_secrets_and_files_to_themselves(home: Settings) -> None:
    assert _say(home, "status", "status") in (0, 1)
    assert _say(home, "review", "review", "--no-verify") == 0
    period = ("--from", "2026-05-01", "--to", "2026-05-02")
    assert _say(home, "evidence", "evidence", *period, "--out", str(home.home.parent / "pack")) == 0
    assert _say(home, "backup", "backup", "--to", str(home.home.parent / "backups")) == 0
    assert _open_to_others(home.home.parent / "backups") == []
    # What cannot be reached is named, and how it would have been reached is not.
    wrong = "postgres:host=127.0.0.1 port=1 user=audit dbname=audit password=planted-in-dsn"
    assert _say(home, "lost", "sql", "select 1", AUDIT_CATALOG=wrong, AUDIT_DATA_PATH=str(home.home / "data")) == 1
    assert "***" in (home.home.parent / "said" / "lost").read_text()
    assert _say(home, "alert", "alert", "test") == 1
    assert _say(home, "twice", "status", AUDIT_REPORT_OIDC_CLIENT_SECRET_FILE="/nowhere") == 2
    assert _leaks(home.home.parent) == []
    assert _open_to_others(home.home) == []


def test_the_report_keeps_secrets_and_listens_on_loopback(home: Settings) -> None:
    with served(home, **PLANTED) as server:
        process = psutil.Process(server.process.pid)
        assert _listening(process) == {"127.0.0.1"}
        assert "planted-" not in _command_lines(process)
        with browser(server.base, follow_redirects=True) as client:
            client.headers["X-CSRF-Token"] = csrf(client.get(server.link))
            assert client.get(f"/?{PERIOD}").status_code == 200
            assert export(client, f"/export?{PERIOD}", "csv")["state"] == "done"
            assert _open_to_others(home.home) == []
    assert _leaks(home.home.parent) == []


@pytest.mark.slow
def test_everything_that_serve_starts_does_so_too(home: Settings) -> None:
    said = home.home.parent / "said" / "serve"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with said.open("w") as output:
        serve = subprocess.Popen(
            [AUDIT, "serve", "--port", str(port), "--report-port", "0"],
            env=process_environment(home, **PLANTED),
            stdout=output,
            stderr=subprocess.STDOUT,
            umask=0o022,
        )
    try:
        until(lambda: serve.poll() is not None or said.read_text().count("http://") >= 2, 240)
        process = psutil.Process(serve.pid)
        until(lambda: len(process.children(recursive=True)) >= 4, 240)
        assert _listening(process) == {"127.0.0.1"}
        assert "planted-" not in _command_lines(process)
        audit(home, "run", check=False, **PLANTED)
    finally:
        serve.terminate()
        serve.wait(120)
    assert _leaks(home.home.parent) == []
    assert _open_to_others(home.home) == []
