"""What the integration tests share: writing feeds, running hours, and reading everything back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from click.testing import CliRunner, Result

from activity_audit.base import catalogue
from activity_audit.cli.main import cli
from activity_audit.pipeline.run import land_feeds, update_warehouse
from activity_audit.pipeline.stages import Outcome
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from tests import warm_process
from tests.made_once import made_once
from tests.warm_process import AUDIT

HOUR = datetime(2026, 5, 1, 10, tzinfo=UTC)
TABLES = (
    "main.fact_activity_event",
    "main.dim_entity_activity",
    "main.dim_application",
    "main.agg_activity_hourly",
    "quality.feed_reconciliation",
    "quality.feed_delivery",
    "quality.quarantined_event",
)
# What differs between two homes, or two days, that went through the same.
VOLATILE = {"run_id", "raw_sha256", "ingested_at_utc", "reconciled_at_utc", "landed_at_utc", "quarantined_at_utc"}
LINEAGE = {"feed", "feed_hour_utc", "source_uri", "source_record", "event_time_source"}


def event(event_id: str, **fields: Any) -> dict[str, Any]:
    """A record of the feed `search` that is as it should be, but for `fields`; a field that is `...` is left out."""
    record = {
        "application": "Search",
        "entity": "Search",
        "activity": "Search query",
        "eventTime": "2026-05-01T10:15:00Z",
        "eventId": event_id,
        "triggeredBy": "clarissa.dalloway@classics.example",
        "instance": "i-1",
        "outcome": "SUCCESS",
        "comments": "",
    }
    return {name: value for name, value in (record | fields).items() if value is not ...}


def lines(records: Iterable[dict[str, Any] | str | bytes]) -> bytes:
    """Records as line-delimited JSON; a text or bytes stands as it is."""
    return b"".join(
        (record if isinstance(record, bytes) else (record if isinstance(record, str) else json.dumps(record)).encode())
        + b"\n"
        for record in records
    )


def deliver(settings: Settings, content: bytes, name: str = "a.ndjson", feed: str = "search", hour: int = 0) -> Path:
    """Put a file into the landing folder of a feed; `hour` counts from HOUR."""
    folder = Path(settings.feed_root) / feed / f"{HOUR + timedelta(hours=hour):%Y-%m-%d/%H}"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    target.write_bytes(content)
    return target


def run(settings: Settings, first: int = 0, hours: int = 1, feeds: Sequence[str] | None = None) -> Outcome:
    """Run feed hours [first, first + hours) after HOUR inside this process, without Dagster."""
    chosen = feeds or catalogue.slugs()
    window = (HOUR + timedelta(hours=first), HOUR + timedelta(hours=first + hours))
    land_feeds(settings, chosen, window)
    return update_warehouse(settings, str(uuid4()), chosen, window)


def begin(settings: Settings, *records: dict[str, Any] | str, hour: int = 0) -> str:
    """A new home as `deliver` and `run` of an hour leave it, without the feed's file; the id of that run.

    It is made once for the same hour, records and settings, and copied.
    """
    assert (settings.catalog, settings.data_path, settings.ledger_head_file) == (None, None, None)
    content = lines(records or [event("a")])

    def make(folder: Path) -> None:
        first = settings.model_copy(update={"home": folder / "home", "feed_url": str(folder / "landing")})
        deliver(first, content, hour=hour)
        (folder / "run_id").write_text(run(first, hour).run_id)

    key = f"{hour} {settings.model_dump_json(exclude={'home', 'feed_url'})} ".encode() + content
    made = made_once(f"begun-{hashlib.sha256(key).hexdigest()}", make)
    shutil.copytree(made / "home", settings.home, dirs_exist_ok=True)
    return (made / "run_id").read_text()


def query(settings: Settings, sql: str, at: str | None = None) -> list[tuple[Any, ...]]:
    """The rows of a query on the published warehouse."""
    with lake.reader(settings, at) as connection:
        return connection.execute(sql).fetchall()


def one(settings: Settings, sql: str, at: str | None = None) -> Any:
    """The one value of a query on the published warehouse."""
    return query(settings, sql, at)[0][0]


def dump(settings: Settings, leave_out: set[str] = VOLATILE) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, sorted, without the columns of `leave_out`."""
    content = {}
    with lake.reader(settings) as connection:
        for table in TABLES:
            columns = [row[0] for row in connection.execute(f"describe {table}").fetchall() if row[0] not in leave_out]
            rows = connection.execute(f"select {', '.join(columns)} from {table}").fetchall()
            content[table] = sorted(rows, key=repr)
    return content


def events(settings: Settings) -> list[tuple[Any, ...]]:
    """The accepted events with their content, without lineage."""
    return dump(settings, VOLATILE | LINEAGE)["main.fact_activity_event"]


def key_differences(settings: Settings) -> list[tuple[Any, ...]]:
    """The rows in which `quality.known_event_id` is not what the fact gives, with how often each side has them."""
    rows = query(settings, "select event_id, event_hour_utc from fact_activity_event")
    given = Counter((int.from_bytes(hashlib.md5(row[0].encode()).digest()[:6], "little"), row[1]) for row in rows)
    known = Counter(query(settings, "select event_id_key, event_hour_utc from quality.known_event_id"))
    return [(*row, given[row], known[row]) for row in sorted(given | known) if given[row] != known[row]]


def audit(
    settings: Settings, *arguments: str, check: bool = True, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess:
    """Run the real command."""
    given = process_environment(settings, **environment)
    done = warm_process.run([AUDIT, *arguments], env=given, capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def said(settings: Settings, *arguments: str, exit_code: int = 0, **environment: str) -> Result:
    """Run the command in this process, which takes a third of the time: for what is only its output."""
    done = CliRunner(env=process_environment(settings, **environment)).invoke(cli, arguments)
    assert done.exit_code == exit_code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def until(happened: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so; fail if it does not come."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def process_environment(settings: Settings, **environment: str) -> dict[str, str]:
    """The environment of a real process on this home."""
    feeds = {"AUDIT_FEED_URL": settings.feed_url} if settings.feed_url else {}
    return {**os.environ, "AUDIT_HOME": str(settings.home), **feeds, **environment}


def modules_that_tell(folder: Path) -> Path:
    """Put modules with well-known names into a folder; the file that is there once one of them was imported."""
    marked = folder / "imported"
    tells = f"open({str(marked)!r}, 'a').write(__name__)\nraise ImportError('this is not the module that was meant')\n"
    for name in ("json", "gql", "signal", "click", "yaml", "dagster", "dagster_webserver", "orchestration", "dbt"):
        (folder / f"{name}.py").write_text(tells)
    return marked


@contextmanager
def taken_port() -> Iterator[int]:
    """A port of this machine on which somebody else listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]
