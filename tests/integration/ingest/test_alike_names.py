"""Files whose names differ only in bytes that are not UTF-8: landed once each, and verified by their own hashes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from activity_audit.base import catalogue
from activity_audit.evidence.verify.verify import verify
from activity_audit.ingest.planning import plan
from activity_audit.ingest.sources import file_systems
from activity_audit.settings.core import Settings
from tests.integration.support import HOUR, deliver, event, lines, one, query, run

BYTES, TEXT = os.fsdecode(b"twin\xff.ndjson"), r"twin\xff.ndjson"
DELIVERIES = "select name, received, accepted, duplicate from quality.feed_delivery"


def _three(settings: Settings) -> None:
    for count, name in enumerate(("a.ndjson", BYTES, TEXT), 1):
        deliver(settings, lines([event(f"{count}-{n}") for n in range(count)]), name)


def test_files_with_alike_names_are_landed_and_verified(settings: Settings) -> None:
    _three(settings)
    run(settings)
    assert plan(settings, catalogue.slugs()).ranges == []
    report = verify(settings)
    assert report.intact
    assert report.findings == []
    assert report.counts["delivered files that are still there"] == 3
    changed = Path(settings.feed_root) / f"search/{HOUR:%Y-%m-%d/%H}" / BYTES
    changed.write_bytes(b"{}")
    (found,) = verify(settings).findings
    assert (found.problem, file_systems.path_of(found.what)) == ("changed", str(changed))
    found.what.encode()


@pytest.mark.slow
def test_a_home_that_knows_them_by_one_name_has_no_event_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def former(path: str) -> str:
        return os.fsencode(path).decode("utf-8", errors="backslashreplace")

    _three(settings)
    with monkeypatch.context() as patch:
        patch.setattr(file_systems, "name_of", former)
        patch.setattr(file_systems, "uri_of", lambda path: f"file://{former(path)}")
        run(settings)
        assert plan(settings, catalogue.slugs()).ranges
    for _ in range(2):
        run(settings)
    assert plan(settings, catalogue.slugs()).ranges == []
    assert one(settings, "select count(*) from fact_activity_event") == 6
    assert sorted(query(settings, DELIVERIES)) == [
        ("a.ndjson", 1, 1, 0),
        (r"twin\/xff.ndjson", 2, 0, 2),
        (TEXT, 2, 2, 0),
        (TEXT, 3, 3, 0),
    ]
    report = verify(settings)
    assert report.findings == []
    assert report.counts["delivered files that are still there"] == 3
