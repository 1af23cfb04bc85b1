"""With AUDIT_LOG=json every line on standard error is an object, with the run, the feed and the hour; without, text."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any

import pytest

from activity_audit.base.json_log import JsonFormatter, about, passed_on
from activity_audit.settings.core import Settings
from tests.integration.support import audit, deliver, event, lines

NAMES = {"time", "level", "message", "logger", "run_id", "feed", "hour"}


def _objects(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    assert all(set(one) == NAMES for one in found)
    assert all(datetime.fromisoformat(one["time"]).utcoffset().total_seconds() == 0 for one in found)  # type: ignore[union-attr]
    return found


def test_a_run_logs_its_id_feed_and_hour(settings: Settings) -> None:
    deliver(settings, lines([event("a"), "junk"]))
    done = audit(settings, "run", "--output", "json", AUDIT_LOG="json", AUDIT_FRESHNES="1h")
    (run,) = json.loads(done.stdout)["runs"]
    found = _objects(done.stderr)
    (landed,) = [one for one in found if one["message"].startswith("landed ")]
    assert (landed["run_id"], landed["feed"], landed["hour"]) == (run["run_id"], "search", "2026-05-01T10:00:00Z")
    stages = [one for one in found if one["message"].startswith("stage: ")]
    assert [one["message"] for one in stages] == ["stage: staging", "stage: checking", "stage: publishing"]
    assert {(one["run_id"], one["hour"]) for one in stages} == {(run["run_id"], "2026-05-01T10:00:00Z")}
    assert [one for one in found if one["logger"] == "dagster" and one["run_id"] == run["run_id"]]
    (warned,) = [one for one in found if "AUDIT_FRESHNES is not a setting" in one["message"]]
    assert warned["level"] == "warning"


def test_errors_are_objects_too(settings: Settings) -> None:
    for arguments, message in ((["status"], "nothing is published"), (["run", "--from", "x"], "x")):
        done = audit(settings, *arguments, check=False, AUDIT_LOG="json")
        (error,) = _objects(done.stderr)
        assert error["level"] == "error"
        assert message in error["message"]
    wrong = audit(settings, "status", check=False, AUDIT_LOG="yaml")
    assert "AUDIT_LOG='yaml': must be 'text' or 'json'" in wrong.stderr
    assert "Error: nothing is published" in audit(settings, "status", check=False).stderr


def test_a_record_has_no_secret_and_says_what_it_is_about() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "", 1, "at %s", ("postgresql://u:s3cret@h/d",), None)
    with about(run_id="r"), about(feed="search"):
        (found,) = _objects(JsonFormatter().format(record))
    assert (found["message"], found["level"]) == ("at postgresql://u:***@h/d", "warning")
    assert (found["run_id"], found["feed"], found["hour"]) == ("r", "search", None)
    try:
        raise ValueError("password=s3cret\n")
    except ValueError as error:
        failed = logging.LogRecord("a", logging.ERROR, "", 1, "no", (), (ValueError, error, error.__traceback__))
    (found,) = _objects(JsonFormatter().format(failed))
    assert "ValueError: password=***" in found["message"]
    assert found["run_id"] is None


@pytest.mark.parametrize(
    ("text", "level", "message", "run_id"),
    [
        ('{"event": "a b", "logger": "dagster.daemon", "level": "warning", "timestamp": "x"}', "warning", "a b", None),
        (
            "2026-11-30 22:23:14 +0000 - dagster - ERROR - hourly_pipeline - 59e2eea3-6b2e-4d39-8f0e-000000000000 - "
            "12 - STEP_FAILURE - token=s3cret",
            "error",
            "hourly_pipeline - 59e2eea3-6b2e-4d39-8f0e-000000000000 - 12 - STEP_FAILURE - token=***",
            "59e2eea3-6b2e-4d39-8f0e-000000000000",
        ),
        ("Dagster's daemon ended with exit code 1", "info", "Dagster's daemon ended with exit code 1", None),
        ("[1]", "info", "[1]", None),
        pytest.param("[" * 100_000, "info", "[" * 100_000, None, id="nested"),
    ],
)
def test_what_other_processes_write_is_passed_on(text: str, level: str, message: str, run_id: str | None) -> None:
    (found,) = _objects(passed_on(text))
    assert (found["level"], found["message"], found["run_id"]) == (level, message, run_id)
    ours = passed_on(text)
    assert passed_on(ours) == ours
