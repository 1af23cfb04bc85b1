"""One small thing in one feed stops no other: it is set aside by name, reported, and tried again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR as ONE_HOUR
from activity_audit.dbt_runner.project import TransformError
from activity_audit.ingest.landing import open_index
from activity_audit.ingest.planning import plan
from activity_audit.ingest.raw_writer import write_parquet
from activity_audit.pipeline.run import land_feeds
from activity_audit.pipeline.status import status
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import Settings
from activity_audit.transform import staging
from tests.integration.support import HOUR, audit, deliver, event, lines, one, query, run

PUBLISHED = "select string_agg(event_id, ',' order by event_id) from fact_activity_event"
CHECK = (
    "select success, severity, is_blocking, sample from quality.validation_result "
    "where expectation = 'every_delivery_could_be_processed' order by validated_at_utc desc limit 1"
)
WINDOW = (HOUR, HOUR + ONE_HOUR)


@pytest.fixture
def narrow(settings: Settings) -> Settings:
    return settings.model_copy(update={"applications": ["search"]})


def state(settings: Settings, feed: str) -> tuple[str, str | None]:
    (row,) = query(settings, f"select status, detail from quality.feed_reconciliation where feed = '{feed}'")
    return row


def ranges(settings: Settings) -> list[Any]:
    return plan(settings, catalogue.slugs()).ranges


@pytest.mark.parametrize("by_command", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_command_names_it_and_publishes_the_rest(settings: Settings, by_command: bool) -> None:
    deliver(settings, lines([event("a")]))
    bad = deliver(settings, b"", "_manifest.json", feed="qm")
    with bad.open("r+b") as file:
        file.truncate(17 << 20)
    old = Path(settings.feed_root) / "qm/0999-01-01/10"
    old.mkdir(parents=True)
    environment = {"AUDIT_APPLICATIONS": "search"}
    done = audit(settings, "run", check=False, **environment)
    assert done.returncode == 1, done.stdout + done.stderr
    for path in (bad, old.parent):
        assert f"file://{path}" in done.stdout.replace("\n", "")
    assert "Traceback" not in done.stdout + done.stderr
    assert one(settings, PUBLISHED) == "a"
    narrow = settings.model_copy(update={"applications": ["search"]})
    report = status(narrow)
    assert {found["source_uri"] for found in report["set_aside"]} == {f"file://{bad}", f"file://{old.parent}"}
    assert any("2 deliveries or folders are set aside" in sentence for sentence in report["broken"])
    if by_command:
        assert audit(settings, "run", check=False, **environment).returncode == 1
    bad.unlink()
    shutil.rmtree(old.parent)
    if by_command:
        audit(settings, "run", **environment)
    else:
        run(narrow)
    assert state(settings, "qm") == ("balanced", None)
    report = status(narrow)
    assert report["set_aside"] == []
    assert not any("incomplete" in sentence or "set aside" in sentence for sentence in report["broken"])


def test_a_hostile_manifest_or_a_fault_of_a_reader_makes_its_own_hour_incomplete(
    narrow: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = b'{"files":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    surrogate = b'{"files":[{"name":"\\ud800"}]}'
    large = b'{"files":[{"name":"a.ndjson","records":9223372036854775808}]}'
    deliver(narrow, lines([event("a")]))
    unnamed = b'{"files": [{"records": 1}]}'
    hostile = {"qm": deep, "wfm": surrogate, "recording": large, "storage": unnamed}
    for feed, manifest in hostile.items():
        deliver(narrow, lines([event(feed)]), feed=feed)
        deliver(narrow, manifest, "_manifest.json", feed=feed)
    deliver(narrow, lines([event("x", application="Supervisor")]), feed="supervisor")

    def fails(stream: Any, size: int, declared: Any, target: Path, metadata: str, *others: Any) -> int:
        if '"supervisor"' in metadata:
            raise ZeroDivisionError("of a kind that nobody foresaw")
        return write_parquet(stream, size, declared, target, metadata, *others)

    monkeypatch.setattr("activity_audit.ingest.landing_pass.write_parquet", fails)
    run(narrow)
    assert one(narrow, PUBLISHED) == ",".join(sorted(["a", *hostile]))
    assert state(narrow, "search") == ("balanced", None)
    for feed in hostile:
        status_, detail = state(narrow, feed)
        assert (feed, status_) == (feed, "incomplete")
        assert "the manifest cannot be read" in str(detail), feed
    status_, detail = state(narrow, "supervisor")
    assert (status_, "of a kind that nobody foresaw" in str(detail)) == ("incomplete", True)


def spoil(settings: Settings, name: str) -> Path:
    """Make staging fail with a delivery that is landed: its raw file is no Parquet file any more."""
    land_feeds(settings, catalogue.slugs(), WINDOW)
    (found,) = [d for d in open_index(local_lake(settings.raw_dir)).deliveries(catalogue.slugs()) if d.name == name]
    path = settings.raw_dir / found.raw_path
    path.with_suffix(".good").write_bytes(path.read_bytes())
    path.write_bytes(b"PAR1 no more PAR1")
    return path


@pytest.mark.parametrize("others", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_delivery_that_cannot_be_staged_is_found_and_set_aside(narrow: Settings, others: int) -> None:
    names = [f"s{number}" for number in range(others)]
    for name in names:
        deliver(narrow, lines([event(name)]), f"{name}.ndjson")
    deliver(narrow, lines([event("q", application="QM")]), "bad.ndjson", feed="qm")
    deliver(narrow, b'{"files":[{"name":"bad.ndjson"}]}', "_manifest.json", feed="qm")
    path = spoil(narrow, "bad.ndjson")
    outcome = run(narrow)
    assert one(narrow, PUBLISHED) == ",".join(names)
    (warning,) = outcome.warnings
    assert "qm/2026-05-01/10/bad.ndjson (qm 2026-05-01T10:00:00Z) is set aside: Invalid" in warning
    status_, detail = state(narrow, "qm")
    assert (status_, str(detail).partition(":")[0]) == ("incomplete", "bad.ndjson cannot be processed and is set aside")
    success, severity, is_blocking, sample = query(narrow, CHECK)[0]
    assert (success, severity, is_blocking) == (False, "error", False)
    assert all(text in sample for text in ('"qm"', "2026-05-01T10:00:00Z", "bad.ndjson", "Invalid"))
    assert "deliveries were landed more than" not in " ".join(status(narrow)["broken"])
    # It is tried again, by itself, and does not keep the sensor running.
    first = plan(narrow, catalogue.slugs())
    assert (first.ranges, first.again) == ([WINDOW], frozenset([HOUR]))
    run(narrow)
    assert plan(narrow, catalogue.slugs()).fingerprint == first.fingerprint
    # A new hour is not run with what is only tried again; between the two are hours that no run has looked at.
    later = deliver(narrow, lines([event("c")]), hour=48)
    assert ranges(narrow) == [(HOUR + ONE_HOUR, HOUR + timedelta(hours=49)), WINDOW]
    shutil.rmtree(later.parents[1])
    path.write_bytes(path.with_suffix(".good").read_bytes())
    path.with_suffix(".good").unlink()
    assert run(narrow).warnings == []
    assert one(narrow, PUBLISHED) == ",".join(["q", *names])
    assert state(narrow, "qm") == ("balanced", None)
    assert query(narrow, CHECK)[0][0]
    assert ranges(narrow) == []


@pytest.mark.slow
@pytest.mark.parametrize("mend", ["remove", "correct"])
def test_the_source_ends_what_cannot_be_staged(narrow: Settings, mend: str) -> None:
    deliver(narrow, lines([event("a")]))
    landed = deliver(narrow, lines([event("q", application="QM")]), "bad.ndjson", feed="qm")
    spoil(narrow, "bad.ndjson")
    run(narrow)
    landed.unlink()
    if mend == "correct":
        deliver(narrow, lines([event("r", application="QM")]), "bad.ndjson", feed="qm")
    run(narrow)
    assert one(narrow, PUBLISHED) == ("a" if mend == "remove" else "a,r")
    # What happened stays on record, and is no trouble any more.
    status_, detail = state(narrow, "qm")
    assert (status_, "its source no longer has it" in str(detail)) == ("balanced", True)
    assert query(narrow, CHECK)[0][0]
    assert ranges(narrow) == []
    assert status(narrow)["set_aside"] == []
    assert not any("not published" in sentence for sentence in status(narrow)["broken"])


@contextmanager
def staging_fails(error: Callable[[Any], str | None]) -> Iterator[None]:
    """Have staging fail with what `error` says of a batch's deliveries."""
    real = staging.scratch.fill

    def fill(connection: Any, batch: Any, settings: Settings) -> None:
        if message := error(batch.deliveries):
            raise TransformError(f"dbt build failed:\n{message}")
        real(connection, batch, settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("activity_audit.transform.staging.scratch.fill", fill)
        yield


def test_what_is_no_deliverys_fault_sets_none_aside(narrow: Settings) -> None:
    for name in "abc":
        deliver(narrow, lines([event(name)]), f"{name}.ndjson")
    errors: dict[str, Callable[[Any], str | None]] = {
        "without any": lambda _: "Out of Memory Error: failed to allocate",
        "disk full": lambda deliveries: "IO Error: No space left on device" if deliveries else None,
        "with each": lambda deliveries: "Out of Memory Error: failed to allocate" if deliveries else None,
    }
    for name, error in errors.items():
        with staging_fails(error), pytest.raises(TransformError):
            run(narrow)
        assert plan(narrow, catalogue.slugs()).again == frozenset(), name
    run(narrow)
    assert one(narrow, PUBLISHED) == "a,b,c"


def _too_much(fits: int) -> Callable[[Any], str | None]:
    """What staging says of more deliveries than fit into memory at once."""
    return lambda deliveries: "Out of Memory Error: too much" if len(deliveries) > fits else None


def test_what_fits_is_published_and_the_rest_waits(narrow: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        deliver(narrow, lines([event(name)]), f"{name}.ndjson")
    build = staging.project.build

    def build_what_is_published(attach: Any, target: Path, **options: Any) -> dict[str, float]:
        # What is only tried has a number after the id of the run; that it can be filled is enough here.
        return {} if re.search(r"-\d{1,2}\.dbt$", target.name) else build(attach, target, **options)

    monkeypatch.setattr(staging.project, "build", build_what_is_published)
    with staging_fails(_too_much(1)):
        run(narrow)
    assert one(narrow, PUBLISHED) == "a"
    (left,) = status(narrow)["set_aside"]
    assert left["source_uri"].endswith("/b.ndjson")
    assert "too much" in left["reason"]
    assert ranges(narrow) == [WINDOW]


@pytest.mark.slow
@pytest.mark.parametrize("fits", [1, 2])
def test_what_fits_only_in_part_is_published_in_parts(narrow: Settings, fits: int) -> None:
    names = "abc"[: fits + 1]
    for name in names:
        deliver(narrow, lines([event(name)]), f"{name}.ndjson")
    with staging_fails(_too_much(fits)):
        # As many as can be are published, and the next run takes the others.
        run(narrow)
        assert one(narrow, "select count(*) from fact_activity_event") == fits
        run(narrow)
        assert state(narrow, "search") == ("balanced", None)
    assert one(narrow, PUBLISHED) == ",".join(names)
