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
