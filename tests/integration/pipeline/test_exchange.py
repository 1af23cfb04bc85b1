"""The exchange of a distributed run, in a folder and in a bucket."""

from __future__ import annotations

import pickle
from datetime import timedelta
from pathlib import Path

import pytest

from activity_audit.base.hours import now_utc
from activity_audit.transform.exchange import Exchange, Handed, Plan, new_attempt, sweep
from tests.s3_server import Bucket


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where exchanges are."""
    if request.param == "folder":
        return str(tmp_path / "a [folder]")
    bucket: Bucket = request.getfixturevalue("bucket")
    return f"{bucket.url}/exchange"


def begun(root: str, name: str, days: int) -> Exchange:
    exchange = Exchange(f"{root}/{name}")
    exchange.begin(
        Plan(release="r", planned_at=now_utc() - timedelta(days=days), future_tolerance=timedelta(0), parts=2)
    )
    return exchange


def test_only_what_is_complete_is_taken_and_one_of_each_part(root: str) -> None:
    exchange = begun(root, "run", 0)
    assert exchange.done("parse") == {}
    attempts = [new_attempt("parse", part) for part in (0, 1, 1)] + [new_attempt("judge-1", 0)]
    for attempt in attempts:
        # Another process sees what this one writes.
        pickle.loads(pickle.dumps(exchange)).complete(Handed(attempt=attempt, files={"a.b": f"{attempt}.parquet"}))
    done = exchange.done("parse")
    assert list(done) == [0, 1]
    assert done[0].attempt == attempts[0]
    assert done[1].attempt in attempts[1:3]
    assert len(exchange.attempts()) == 4
    assert exchange.is_there()
    exchange.remove()
    assert not exchange.is_there()


def test_old_exchanges_are_removed(root: str) -> None:
    sweep(root, now_utc())
    new, old = begun(root, "new", 0), begun(root, "old", 3)
    sweep(root, now_utc() - timedelta(days=2))
    assert (new.is_there(), old.is_there()) == (True, False)
