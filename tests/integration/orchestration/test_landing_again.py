"""Landing is tried again after an error of its source, and after nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from activity_audit.cli.dagster_runs import error_of
from activity_audit.ingest.landing import LandingReport
from activity_audit.ingest.sources.source import SourceError, SourceRefusedError
from activity_audit.settings.core import Settings
from orchestration import instance as dagster_instance
from orchestration.assets import raw
from orchestration.definitions import build_definitions
from orchestration.jobs import HOURLY
from orchestration.partitions import range_tags
from tests.integration.support import HOUR


class _Landing:
    """Stands for `land_feeds` and its waiting: each call has the next outcome, and no time goes by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.outcomes: list[BaseException | LandingReport] = []
        self.waited: list[float] = []
        self._settings, self._instance = settings, instance
        monkeypatch.setattr(raw, "land_feeds", self)
        monkeypatch.setattr(raw, "_TRIES", raw._TRIES.copy(sleep=self.waited.append))

    def __call__(self, *_: object) -> LandingReport:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def run(self, *outcomes: BaseException | LandingReport) -> dg.ExecuteInProcessResult:
        """Materialise an hour of one feed, with nobody watching, as under `audit serve`."""
        self.outcomes += outcomes
        job = build_definitions(self._settings, begin=HOUR, watching=False).resolve_job_def(HOURLY)
        return job.execute_in_process(
            instance=self._instance,
            raise_on_error=False,
            asset_selection=[raw.asset_key("search")],
            tags=dict(range_tags(HOUR, HOUR + timedelta(hours=1))),
        )


@pytest.fixture
def landing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Landing]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dagster_instance.instance(settings) as instance:
        yield _Landing(monkeypatch, settings, instance)


def test_a_source_that_is_out_of_reach_for_a_while_is_asked_again(landing: _Landing) -> None:
    result = landing.run(*[SourceError("the source is out of reach")] * 3, LandingReport())
    assert result.success
    assert landing.outcomes == []
    assert [5 <= landing.waited[0] <= 7, 10 <= landing.waited[1] <= 12, 20 <= landing.waited[2] <= 22] == [True] * 3


def test_after_the_last_try_the_run_says_what_the_source_said(landing: _Landing, settings: Settings) -> None:
    result = landing.run(*[SourceError("the source is out of reach")] * 4)
    assert not result.success
    assert len(landing.waited) == 3
    assert error_of(result, settings) == "the source is out of reach"


def test_what_asking_again_cannot_change_ends_the_run(landing: _Landing, settings: Settings) -> None:
    result = landing.run(SourceRefusedError("the access key is wrong"))
    assert landing.waited == []
    assert error_of(result, settings) == "the access key is wrong"


def test_a_run_that_is_stopped_while_it_lands_does_not_go_on(landing: _Landing, settings: Settings) -> None:
    result = landing.run(DagsterExecutionInterruptedError(), LandingReport())
    assert not result.success
    assert landing.waited == []
    with pytest.raises(KeyboardInterrupt):
        error_of(result, settings)
