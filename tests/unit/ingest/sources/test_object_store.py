"""Where a listing of a bucket begins."""

from __future__ import annotations

import pytest

from activity_audit.ingest.sources.object_store import _just_before


@pytest.mark.parametrize(
    ("first", "before"),
    [("2026-05-01/10", "2026-05-01/1/~"), ("2026-05-01/09", "2026-05-01/08~"), ("2026-05-01", "2026-05-00~"), ("", "")],
)
def test_a_listing_begins_just_before_the_first_and_at_no_folder(first: str, before: str) -> None:
    # Of "2026-05-01/10" SeaweedFS lists what comes behind the folder, and nothing that is in it.
    assert _just_before(first) == before
    assert before <= first
