"""Runs dbt inside this process: it parses a changed project once, and builds once for each run."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cache, lru_cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from filelock import FileLock

from activity_audit.base.catalogue import DBT_PROJECT_DIR
from activity_audit.dbt_runner import target as dbt_target

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


class TransformError(RuntimeError):
    """dbt could not parse or build; the message is dbt's."""


@cache
def manifest() -> dict[str, Any]:
    """dbt's manifest of the project; it is parsed if that was not done yet for the project's files as they are."""
    with _locked():
        # It may be missing, or left half written by a process that was killed.
        with suppress(FileNotFoundError, ValueError):
            if is_parsed():
                return json.loads(manifest_file().read_text(encoding="utf-8"))
        _parse()
        dbt_target.drop_older(target_dir())
        return json.loads(manifest_file().read_text(encoding="utf-8"))


@contextmanager
def _locked() -> Iterator[None]:
    lock = FileLock(target_dir() / ".parse.lock")
    with dbt_target.named_where_unwritable():
        dbt_target.make(target_dir())
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _parse() -> None:
    # dbt would begin with what is in it.
    _parsed_file().unlink(missing_ok=True)
    invoke("parse", target=target_dir())


@cache
def target_dir() -> Path:
    """The folder with dbt's manifest and all that is worked out of it, which is one for the life of the process."""
    return dbt_target.folder(DBT_PROJECT_DIR)


def manifest_file() -> Path:
    """Where dbt's manifest is, once there is one."""
    return target_dir() / "manifest.json"


def is_parsed() -> bool:
    """Whether the folder has the two files that dbt writes when it has parsed the project."""
    return manifest_file().exists() and _parsed_file().exists()


def _parsed_file() -> Path:
    return target_dir() / "partial_parse.msgpack"


def build(
    prepare: Callable[[duckdb.DuckDBPyConnection], None],
    target: Path,
    *,
    instance: str | None = None,
    keep_manifest: bool = False,
    select: str | None = None,
) -> dict[str, float]:
    """Build every seed and model, or those that `select` names, into the scratch database that `prepare` attaches.

    It is attached to the DuckDB instance of that name (`:memory:<name>`), or to one that is of the build alone.

    Returns how long each took, in seconds, by its unique id.

    dbt's compiled SQL goes to `target`, and its manifest with it if it is wanted; writing that takes a while.

    Raises:
        TransformError: naming each model that failed, with the database's message.
    """
    from activity_audit.dbt_runner.session import using

    schemas = sorted({node["schema"] for node in manifest()["nodes"].values() if node["resource_type"] != "test"})

    def prepared(connection: duckdb.DuckDBPyConnection) -> None:
        prepare(connection)
        # dbt would ask for them one by one.
        for schema in schemas:
            connection.execute(f"create schema if not exists work.{schema}")

    with using(prepared, instance):
        done = invoke("build", "--resource-type", "seed", "--resource-type", "model",
                      *([] if keep_manifest else ["--no-write-json"]), *(["--select", select] if select else []),
                      target=target, parsed=parsed())  # fmt: skip
    return {result.node.unique_id: result.execution_time for result in done.results}


def parsed() -> Manifest:
    """dbt's own form of the manifest, which may be used for one command after another."""
    try:
        dbt_target.make(target_dir())
        return _parsed(_parsed_file(), _parsed_file().stat().st_mtime_ns)
    except Exception:
        # msgpack and dbt raise all kinds of errors where the file is damaged.
        with _locked():
            _parse()
            return _parsed(_parsed_file(), _parsed_file().stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _parsed(path: Path, _written_ns: int) -> Manifest:
    from dbt.contracts.graph.manifest import Manifest

    return Manifest.from_msgpack(path.read_bytes())


def invoke(*arguments: str, target: Path, parsed: Any = None) -> Any:
    """Run a dbt command quietly; what it would print is part of the error if it fails.

    Raises:
        TransformError: dbt failed.
        BaseException: what interrupts a command, which dbt has for one more failure.
    """
    from dbt.cli.main import dbtRunner

    from activity_audit.dbt_runner.events import only_warnings_and_errors

    messages: list[str] = []

    def collect(event: Any) -> None:
        if event.info.level in ("error", "warn"):
            messages.append(event.info.msg)

    with redirect_stdout(StringIO()), only_warnings_and_errors(), _interruptible():
        result = dbtRunner(manifest=parsed, callbacks=[collect]).invoke(
            [
                *arguments,
                *("--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR)),
                *("--target-path", str(target), "--log-path", str(target), "--log-level-file", "none"),
                *("--log-level", "none", "--no-print", "--no-use-colors", "--no-send-anonymous-usage-stats"),
                *("--no-version-check", "--no-populate-cache"),
            ]
        )
    if result.exception is not None and not isinstance(result.exception, Exception):
        raise result.exception
    if not result.success:
        reason = "\n".join(messages) or str(result.exception)
        raise TransformError(f"dbt {arguments[0]} failed:\n{reason}")
    return result.result


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have Ctrl-C raise a KeyboardInterrupt. For another error, as Dagster's is, dbt would not end its queries."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if is_main}
    heard = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in heard:
            signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
