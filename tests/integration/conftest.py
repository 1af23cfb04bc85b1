"""Fixtures that several modules of the integration tests share."""

from __future__ import annotations

import pytest

from orchestration.settings import Settings, load_settings
from tests.integration.support import deliver, event, lines, run


@pytest.fixture(scope="session")
def report_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a hundred events of May and a record in quarantine, for tests that only read the report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_HOME", str(tmp_path_factory.mktemp("report") / "home"))
        settings = load_settings()
    deliver(settings, lines([event(f"e{number}", comments=f"=c{number}") for number in range(100)] + ["broken"]))
    run(settings)
    return settings


@pytest.fixture(scope="session")
def integrity_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two feeds and two hours, each hour published by a run of its own; the tests work on copies of it."""
    folder = tmp_path_factory.mktemp("integrity")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search,qm")
    for hour in range(2):
        for feed in ("search", "qm"):
            # More rows than DuckLake keeps in its catalog, so that there are Parquet files.
            records = [event(f"{feed}-{hour}-{n}", comments=f"comment {n}") for n in range(20)]
            deliver(settings, lines([*records, records[0], "junk"]), feed=feed, hour=hour)
        run(settings, hour)
    return settings
