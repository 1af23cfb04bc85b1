"""Logs as JSON: one object a line on standard error, with the run, the feed and the hour that a line is about."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from activity_audit.base.masking import without_secrets

SETTING = "AUDIT_LOG"
# What a line is about, as far as it is known where it is written.
_ABOUT = ("run_id", "feed", "hour")
_LEVELS = {"warning: ": "WARNING", "Error: ": "ERROR"}
# How Dagster writes a line for people, and the id of a run in it.
_DAGSTER = re.compile(r"[\d-]+ [\d:]+ [+-]\d{4} - (?P<logger>\S+) - (?P<level>[A-Z]+) - (?P<message>.*)")
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039


@contextmanager
def about(**names: str) -> Iterator[None]:
    """Lines that are logged in the block are about this `run_id`, `feed` or `hour` (ISO 8601, UTC, or an interval)."""
    before = _about.set({**_about.get(), **names})
    try:
        yield
    finally:
        _about.reset(before)


def is_on() -> bool:
    """Whether this process logs JSON; a process is told by its environment, before it reads any settings."""
    return os.environ.get(SETTING, "").lower() == "json"


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        # Dagster's own loggers know their run.
        meta = getattr(record, "dagster_meta", None)
        known = {**_about.get(), **({"run_id": meta["run_id"]} if meta and meta.get("run_id") else {})}
        text = record.getMessage() if meta is None else meta.get("orig_message") or record.getMessage()
        if record.exc_info:
            text = f"{text}\n{''.join(traceback.format_exception(*record.exc_info)).rstrip()}"
        return line(record.levelname, text, record.name, known, record.created)


def line(
    level: str, message: str, logger: str, known: Mapping[str, str] = MappingProxyType({}), created: float | None = None
) -> str:
    """A line of the log; `known` is what it is about, `created` seconds since 1970, now by default."""
    at = datetime.now(UTC) if created is None else datetime.fromtimestamp(created, UTC)
    content: dict[str, Any] = {"time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    content |= {"level": level.lower(), "message": without_secrets(message), "logger": logger}
    return json.dumps(content | {name: known.get(name) for name in _ABOUT})


def passed_on(text: str) -> str:
    """A line that another process wrote: as it is if it is one of ours, else as a message of its own.

    Dagster's processes write JSON of their own, and their runs lines of text, with the run's id.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        # It begins with what sources sent, which may nest deeper than Python.
        found = None
    if isinstance(found, dict) and {"time", "level", "message", "logger"} <= set(found):
        return text
    if isinstance(found, dict) and "event" in found:
        said = f"{found['event']}\n{found.get('exception', '')}".rstrip()
        return line(str(found.get("level", "info")), said, str(found.get("logger", "dagster")))
    if match := _DAGSTER.fullmatch(text):
        run = _RUN_ID.search(match["message"])
        known = {"run_id": run[0]} if run else {}
        return line(match["level"], match["message"], match["logger"], known)
    return line("INFO", text, "dagster")


def said(text: str) -> None:
    """Write what a command says on standard error."""
    prefix = next((prefix for prefix in _LEVELS if text.startswith(prefix)), "")
    sys.stderr.write(f"{line(_LEVELS.get(prefix, 'INFO'), text.removeprefix(prefix), 'audit', _about.get())}\n")


def begin() -> None:
    """Have what is logged in this process written as JSON to standard error, from INFO on, if AUDIT_LOG=json."""
    if is_on():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter())
        root = logging.getLogger()
        root.handlers = [handler]
        root.setLevel(logging.INFO)
        # It tells of each of its plugins.
        logging.getLogger("alembic").setLevel(logging.WARNING)
