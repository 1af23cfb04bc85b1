"""Drift that somebody has acknowledged: it stops warning, it stays, and who acknowledged it when is history."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from activity_audit.base import catalogue
from activity_audit.base.acknowledgements import COLUMNS, FILE_NAME, check
from activity_audit.base.seeds import SeedError
from activity_audit.dbt_runner import column_lineage
from activity_audit.dbt_runner import project as transform
from activity_audit.pipeline.replay import replay
from activity_audit.pipeline.status import status
from activity_audit.settings.core import Settings
from tests.integration.support import deliver, event, lines, query, run
from tests.integration.tampering import findings

HEADER = ",".join(COLUMNS)


@pytest.fixture
def seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The seeds of a dbt project of the test's own."""
    project = tmp_path / "dbt_project"
    shutil.copytree(transform.DBT_PROJECT_DIR, project)
    monkeypatch.setattr(transform, "DBT_PROJECT_DIR", project)
    monkeypatch.setattr(transform, "target_dir", transform.target_dir.__wrapped__)
    monkeypatch.setattr(catalogue, "SEEDS_DIR", project / "seeds")
    monkeypatch.setattr(column_lineage, "is_current", lambda: True)
    transform.manifest.cache_clear()
    yield project / "seeds"
    transform.manifest.cache_clear()


def acknowledge(seeds: Path, *rows: str) -> None:
    """Make these the rows of the seed, as somebody does with a spreadsheet, which writes a byte order mark."""
    (seeds / FILE_NAME).write_text("\r\n".join([HEADER, *rows, ""]), encoding="utf-8-sig", newline="")
    # A process keeps what it has read of the project; the next command is another process.
    transform.manifest.cache_clear()


def document(seeds: Path, row: str) -> None:
    """Add a row to the catalogue."""
    with (seeds / "entity_activity.csv").open("a", encoding="utf-8") as file:
        file.write(f"{row}\n")
    transform.manifest.cache_clear()


def test_acknowledged_drift_stops_warning_and_stays(settings: Settings, seeds: Path) -> None:
    acknowledge(seeds, 'search,Search,UNHEARD-OF,Ada,2026-05-02,"known, and harmless"')
    deliver(settings, lines([event("a", activity="Unheard of"), event("b", activity="Strange"), "junk"]))
    run(settings)
    unexpected = "select unexpected_count from quality.validation_result where expectation like '%in_the_catalogue'"
    assert query(settings, unexpected) == [(1,)]
    drift = "select activity, acknowledged_by, acknowledged_on::varchar, acknowledgement from quality.catalogue_drift"
    assert query(settings, f"{drift} order by all") == [
        ("Strange", None, None, None), ("Unheard of", "Ada", "2026-05-02", "known, and harmless")
    ]  # fmt: skip
    assert (status(settings)["catalogue_drift"], status(settings)["acknowledged_drift"]) == (1, 1)

    acknowledge(seeds, "search,Search,UNHEARD-OF,Bob,2026-05-03,still", "Search,Search,Strange,Bob,2026-05-03,new")
    document(seeds, "Search,Search,Sing,documented")
    report = replay(settings, str(uuid4()))
    assert (report.judged, report.accepted, report.remaining) == (1, 0, 1)
    assert report.catalogue == [
        {"table": "dim_entity_activity", "change": "added", "name": "Search, Search, Sing, documented"},
        {"table": "catalogue_acknowledgement", "change": "changed", "name": "Search, Search, UNHEARD-OF, Bob"},
        {"table": "catalogue_acknowledgement", "change": "placed", "name": "Search, Search, Strange, Bob"},
    ]
    assert report.tables == ["main.dim_entity_activity", "quality.catalogue_acknowledgement"]
    assert query(settings, f"{drift} order by all") == [
        ("Strange", "Bob", "2026-05-03", "new"), ("Unheard of", "Bob", "2026-05-03", "still")
    ]  # fmt: skip
    history = "select activity, revision, action, acknowledged_by from quality.catalogue_acknowledgement order by all"
    assert query(settings, history) == [
        ("Strange", 1, "placed", "Bob"), ("UNHEARD-OF", 1, "placed", "Ada"), ("UNHEARD-OF", 2, "changed", "Bob")
    ]  # fmt: skip
    assert findings(settings) == []

    acknowledge(seeds, "Search,Search,Strange,,2026-05-02,")
    with pytest.raises(SeedError, match="line 2: acknowledged_by and why must not be blank"):
        run(settings, 1)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["application,entity"], f"its first line must be {HEADER}"),
        ([HEADER, "S,E,A,Ada,2026-05-01"], "line 2: it must have 6 fields"),
        ([HEADER, "S,E,A,Ada,2026-05-01,well, no"], "line 2: it must have 6 fields"),
        ([HEADER, "S,E,A,Ada,2026-05-01,w", ",E,A,Ada,2026-05-01,w"], "line 3: application must not be blank"),
        ([HEADER, "S,,A,Ada,2026-05-01,w"], "line 2: an activity needs its entity"),
        ([HEADER, "S,E,A,Ada,1.5.2026,w"], "line 2: acknowledged_on is '1.5.2026'; it must be a date such as"),
        ([HEADER, "QM,Voice & Chat,,Ada,2026-05-01,w", "qm,voice and chat,,Bob,2026-05-01,w"],
         "line 3: it names the same as line 2"),
    ],
)  # fmt: skip
def test_a_row_that_says_too_little_is_refused(tmp_path: Path, rows: list[str], problem: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(SeedError) as raised:
        check(path)
    assert problem in str(raised.value)


def test_the_acknowledgements_that_the_product_ships_are_none() -> None:
    assert check() == 0
