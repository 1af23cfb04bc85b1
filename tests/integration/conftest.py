"""Fixtures that several modules of the integration tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activity_audit.dbt_runner import column_lineage
from activity_audit.report.queries.warehouse import Query, Warehouse
from activity_audit.settings.core import Settings, load_settings
from orchestration import instance
from tests.integration.evidence_support import HARD
from tests.integration.postgres_server import PostgresServer, postgres_server
from tests.integration.report_rows import TITLES, counted_warehouse, varied_records
from tests.integration.retention_support import EARLIER, read
from tests.integration.support import deliver, event, lines, query, run
from tests.made_once import made_once


def _settings_in(folder: Path) -> Settings:
    """The settings of the home in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_HOME", str(folder / "home"))
        return load_settings()


@pytest.fixture(scope="session", autouse=True)
def column_lineage_is_known() -> None:
    """The first run works it out, which takes seconds: on a clean checkout, of one worker, and not of each."""

    def make(folder: Path) -> None:
        settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"))
        deliver(settings, lines([event("a")]))
        run(settings)

    if not column_lineage.is_current():
        made_once("lineage", make)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests; each takes a database of its own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def report_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a hundred events of May and a record in quarantine, for tests that only read the report."""

    def make(folder: Path) -> None:
        settings = _settings_in(folder)
        deliver(settings, lines([event(f"e{number}", comments=f"=c{number}") for number in range(100)] + ["broken"]))
        run(settings)

    # What the report keeps in it, and what tests put beside it, is each worker's own.
    own = tmp_path_factory.mktemp("report")
    shutil.copytree(made_once("report", make) / "home", own / "home")
    return _settings_in(own)


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


@pytest.fixture(scope="session")
def retention_home() -> Settings:
    """Two feeds and two hours; the tests work on copies of it."""

    def _settings_in(folder: Path) -> Settings:
        return load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search,qm")

    return _settings_in(made_once("retention", lambda folder: _fill_for_retention(_settings_in(folder))))


def _fill_for_retention(settings: Settings) -> None:
    for hour in range(2):
        for feed in ("search", "qm"):
            # More rows than DuckLake keeps in its catalog, so that there are Parquet files.
            when = f"2026-05-01T{10 + hour}:{15 if feed == 'search' else 20}:00Z"
            records = [event(f"{feed}-{hour}-{n}", comments=f"comment {n}", eventTime=when) for n in range(20)]
            if feed == "search":
                # A pair that nobody documented, spelled in two ways.
                records[1] |= {"activity": "Odd Thing" if hour else "ODD thing"}
                records[2] |= {"activity": f"Only {hour}"}
            elif hour:
                # Of the other feed's application, and late.
                records[3] |= {"eventTime": EARLIER}
            content = lines([*records, records[0], "junk"])
            if (feed, hour) == ("search", 1):
                read(settings, content)
            else:
                deliver(settings, content, feed=feed, hour=hour)
    run(settings, 0, 2)
    # An upkeep looks after Dagster's runs too; made here, its instance is copied with the home.
    with instance.instance(settings):
        pass


@pytest.fixture(scope="session")
def evidence_home() -> Settings:
    """Two feeds and two runs, with everything that is hard on files, late events and refused records."""

    def _settings_in(folder: Path) -> Settings:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AUDIT_HOME", str(folder / "home"))
            return load_settings(applications="search,qm", ledger_head_file=folder / "heads")

    return _settings_in(made_once("evidence", lambda folder: _fill_for_evidence(_settings_in(folder))))


def _fill_for_evidence(settings: Settings) -> None:
    odd = [event("hard", comments=HARD, triggeredBy='"', instance=","), event("long", comments='x"' * 60_000)]
    no_zone = event("no-zone", eventTime="2026-05-01T10:00:00")
    # The last is a line of 2.4 MB in CSV.
    junk = [no_zone, 'junk, "with" quotes', b'{"a": "\xff\xfe\x00"}', "[]", b"\xff" * 300_000]
    plain = [event(f"plain-{n}", eventTime=f"2026-05-01T10:20:{n:02}Z") for n in range(30)]
    deliver(settings, lines([*plain, *odd, plain[0], *junk]), "a 'b', \"c\".ndjson")
    deliver(settings, lines([event("qm-1", application="QM", outcome="failure")]), feed="qm")
    run(settings)
    late = event("late", eventTime="2026-05-01T10:59:59.999999Z")
    outside = event("outside", eventTime="2026-05-01T12:00:00Z")
    deliver(settings, lines([late, outside, no_zone]), hour=2)
    deliver(settings, lines([event("again")]), "b.ndjson")
    run(settings, 0, 3)


@pytest.fixture(scope="session")
def varied_home() -> Settings:
    """One run with 400 events of many kinds, and a refused one, for tests that only read it."""

    def make(folder: Path) -> None:
        settings = _settings_in(folder)
        deliver(settings, lines([*varied_records(), event("refused", outcome="perhaps")]))
        run(settings)

    return _settings_in(made_once("varied", make))


@pytest.fixture(scope="module")
def varied_warehouse(varied_home: Settings) -> Iterator[Warehouse]:
    """What the report asks that home with, once its events are counted by who triggered them."""
    with counted_warehouse(varied_home) as warehouse:
        yield warehouse


@pytest.fixture
def asked(varied_warehouse: Warehouse) -> Iterator[Query]:
    """A question to that warehouse."""
    with varied_warehouse.query() as asked:
        yield asked


@pytest.fixture(scope="session")
def rows(varied_home: Settings) -> list[dict[str, Any]]:
    """Every event that was published there, as the nine fields."""
    found = query(varied_home, f"select {', '.join(TITLES)} from fact_activity_event")
    assert len(found) == 400
    return [dict(zip(TITLES, row, strict=True)) for row in found]
