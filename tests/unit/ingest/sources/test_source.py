"""What a source of feeds is, for the classes of users."""

from __future__ import annotations

from activity_audit.ingest.sources import source
from orchestration.feeds import source as former


def test_classes_of_users_find_it_at_its_former_address() -> None:
    assert all(getattr(former, name) is getattr(source, name) for name in former.__all__)
    assert {"Listing", "Offer", "SourceError", "SourceRefusedError"} <= set(former.__all__)
