"""What validation says of a batch: counts, samples, warnings up to a tolerance, and what cannot be evaluated."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from expectations import conformance, feed_contract
from expectations.results import ExpectationNotEvaluated
from expectations.rules import JUDGED_RECORD, Rule, rows
from expectations.tolerances import TolerancesError, load_tolerances, policy, severity
from tests.unit.expectation_batch import UNREADABLE, Batch, failed, judged, reconciled, staged


def test_counts_and_sample_are_those_of_the_unexpected_rows(batch: Batch) -> None:
    batch.connection.execute(staged("outcome = 'MAYBE'", "feed = 'a'"))
    batch.connection.execute(staged("outcome = null", "feed = 'b'"))
    results = batch.check(conformance.NAME)
    outcome = results["outcome_is_success_or_failure"]
    assert (outcome.evaluated_count, outcome.unexpected_count, outcome.column) == (50, 50, "outcome")
    assert results["outcome_is_not_null"].unexpected_count == 45
    assert json.loads(outcome.sample)[0] == {
        "event_id": "a1",
        "feed": "a",
        "feed_hour_utc": "2026-03-01T05:00:00Z",
        "source_uri": "a/2026-03-01/05/part.ndjson",
        "source_record": 1,
        "outcome": "MAYBE",
    }


def test_both_rows_of_a_repeated_id_are_unexpected(batch: Batch) -> None:
    batch.connection.execute(staged("event_id = 'a8'"))
    repeated = batch.check(conformance.NAME)["event_id_is_unique_in_the_batch"]
    assert repeated.unexpected_count == 2
    assert [item["source_record"] for item in json.loads(repeated.sample)] == [7, 8]


def test_a_long_text_is_cut_in_the_sample(batch: Batch) -> None:
    batch.connection.execute(judged("outcome = repeat('X', 100000)"))
    sample = batch.check(feed_contract.NAME)["sent_outcome_is_success_or_failure"].sample
    assert len(sample) < 1000


def test_a_failure_is_a_warning_up_to_the_tolerance_and_an_error_above(batch: Batch) -> None:
    batch.connection.execute(judged(UNREADABLE, "feed = 'a' and source_record <= 2"))
    at_tolerance = batch.check(feed_contract.NAME)["record_is_readable"]
    batch.connection.execute(judged(UNREADABLE, "feed = 'a' and source_record = 3"))
    above = batch.check(feed_contract.NAME)["record_is_readable"]
    assert (at_tolerance.unexpected_count, at_tolerance.severity, at_tolerance.success) == (2, "warning", False)
    assert (above.unexpected_count, above.severity, above.success) == (3, "error", False)


def test_some_failures_are_always_errors_and_some_never(batch: Batch) -> None:
    assert batch.check(feed_contract.NAME)["activity_is_in_the_catalogue"].severity == "warning"
    batch.connection.execute(judged("is_documented = false", "true"))
    batch.connection.execute(reconciled("status = 'incomplete', detail = 'part.ndjson is missing'"))
    results = batch.check(feed_contract.NAME)
    assert results["activity_is_in_the_catalogue"].severity == "warning"
    incomplete = results["deliveries_agree_with_their_manifest"]
    assert incomplete.severity == "error"
    assert json.loads(incomplete.sample)[0]["detail"] == "part.ndjson is missing"


def test_only_conformance_blocks_and_always_as_an_error(batch: Batch) -> None:
    batch.connection.execute(staged("outcome = 'MAYBE'"))
    results = batch.check().values()
    assert all(result.blocking == (result.suite == conformance.NAME) for result in results)
    assert all(result.severity == "error" for result in results if result.blocking)


def test_an_empty_batch_passes_and_judges_nothing(batch: Batch) -> None:
    for table in (
        "intermediate.int_judged_record",
        "main.fact_activity_event",
        "quality.feed_reconciliation",
        "quality.known_event_id",
        "quality.vanished_event",
        "raw.delivery",
    ):
        batch.connection.execute(f"delete from work.{table}")
    results = batch.check()
    assert failed(results) == set()
    assert {name for name, result in results.items() if result.evaluated_count} == {
        "event_ids_are_known",
        "times_are_plain_timestamps",
    }


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("alter table work.main.fact_activity_event rename outcome to result", "expectation outcome_is_not_null could"),
        ("drop table audit.main.fact_activity_event", "expectation event_id_is_not_published_yet could"),
        ("alter table work.main.fact_activity_event drop column event_hour_utc", "event_hour_utc"),
        ("drop table work.main.fact_activity_event", "could not be evaluated on work.main.fact_activity_event"),
        ("delete from work.raw.run_context", "run_context must hold the run's one row"),
    ],
)
def test_what_cannot_be_evaluated_raises_and_leaves_no_page(batch: Batch, damage: str, message: str) -> None:
    batch.connection.execute(damage)
    with pytest.raises(ExpectationNotEvaluated, match=message):
        batch.validate(conformance.NAME)
    assert not list(batch.docs_dir.rglob("*.html"))


def test_the_callers_connection_stays_as_it_was(batch: Batch) -> None:
    batch.validate()
    assert batch.connection.execute("select count(*) from work.main.fact_activity_event").fetchone() == (95,)
    assert batch.connection.execute("select current_database()").fetchone() == ("memory",)
    relations = batch.connection.execute("select count(*) from duckdb_tables() where temporary").fetchone()
    assert relations == (0,)


@pytest.mark.parametrize(("suites", "keep_runs"), [(("nonsense",), 1), ((), 0)])
def test_a_wrong_argument_is_refused(batch: Batch, suites: tuple[str, ...], keep_runs: int) -> None:
    with pytest.raises(ValueError, match=r"unknown suites: nonsense|keep_runs is 0"):
        batch.validate(*suites, keep_runs=keep_runs)


RULE = Rule("rule", "Title", "Why.", JUDGED_RECORD, rows(JUDGED_RECORD, "false"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rule: missing"),
        ("rule = 1.1", "rule = 1.1: must be"),
        ("rule = -0.1", "rule = -0.1: must be"),
        ("rule = nan", "rule = NaN: must be"),
        ("rule = true", "rule = True: must be"),
        ("rule = '0.1'", "rule = 0.1: must be"),
        ("rule = 0.1\nother = 0.1", "other: no tolerance of that name"),
        ("rule =", "cannot be read"),
    ],
)
def test_a_wrong_tolerance_is_refused_by_key_and_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "tolerances.toml"
    path.write_text(text)
    with pytest.raises(TolerancesError) as error:
        load_tolerances([RULE], path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_share_that_is_exactly_the_tolerance_is_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "tolerances.toml"
    # 0.29 * 100 is below 29 in binary floating point.
    path.write_text("rule = 0.29")
    tolerances = load_tolerances([RULE], path)
    assert severity(RULE, tolerances, evaluated=100, unexpected=29) == "warning"
    assert severity(RULE, tolerances, evaluated=100, unexpected=30) == "error"
    assert severity(RULE, tolerances, evaluated=100, unexpected=0) == "error"
    assert "29%" in policy(RULE, tolerances, blocking=False)
    assert severity(RULE, {"rule": Decimal(0)}, evaluated=100, unexpected=1) == "error"


SILENT_RUN = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
from pathlib import Path
import expectations.runner
assert not {"great_expectations", "sqlalchemy", "pandas"} & set(sys.modules), "imported too early"
from tests.unit.expectation_batch import Batch, judged
batch = Batch(Path(sys.argv[1]))
batch.connection.execute(judged("outcome = 'MAYBE'"))
batch.validate()
assert "scipy.stats" not in sys.modules, "imported in vain"
"""


def test_a_run_prints_nothing_and_uses_no_network(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", SILENT_RUN, str(tmp_path)],
        env={"PYTHONPATH": f"{root}:{Path(__file__).parents[1]}", "HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
