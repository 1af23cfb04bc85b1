"""Homes of each release open in the next: versions are recorded, steps are taken once, newer homes are refused."""

from __future__ import annotations

import importlib.util
import shutil
import tarfile
from pathlib import Path

import pytest

from activity_audit.evidence.verify.verify import verify
from activity_audit.raw.lake import raw_lake
from activity_audit.report.access.permissions import user_of
from activity_audit.report.saved.book import SavedReports
from activity_audit.settings.core import Settings, load_settings
from activity_audit.upkeep import migrations
from activity_audit.upkeep.migrations import CannotMigrateError, Step, migrate
from activity_audit.warehouse import home_record, home_version, lake, older_release
from tests.integration.support import audit, begin, deliver, event, key_differences, lines, query, run, said
from tests.integration.tampering import warehouse

_ROOT = Path(__file__).parents[3]
_HOMES = _ROOT / "tests/integration/older_homes"
_PACKED = sorted(_HOMES.glob("version-*.tar.xz"))
EVENTS = "select event_id from fact_activity_event order by all"


def _recorded(settings: Settings) -> tuple[int, int]:
    with lake.reader(settings) as connection:
        return home_version.of_warehouse(connection), home_record.version(settings)


def test_what_homes_keep_is_as_it_was_when_the_version_was_raised() -> None:
    spec = importlib.util.spec_from_file_location("pack_home", _ROOT / "scripts/pack_home.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept = (_HOMES / "definitions.txt").read_text()
    assert module.definitions() == kept, "what homes keep was changed: see tests/integration/older_homes/README.md"
    assert [step.version for step in migrations.STEPS] == list(range(2, home_version.VERSION + 1))
    assert _PACKED


def test_each_step_is_taken_once_and_a_killed_one_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(settings)
    assert _recorded(settings) == (home_version.VERSION, home_version.VERSION)
    assert not older_release.is_older(settings)
    taken: list[str] = []
    base = home_version.VERSION

    def killed(_: Settings) -> None:
        taken.append("home")
        if taken.count("home") == 1:
            raise KeyboardInterrupt

    steps = (Step(base + 1, "one", lambda _: taken.append("warehouse")), Step(base + 2, "two", home=killed))
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, *steps))
    monkeypatch.setattr(home_version, "VERSION", base + 2)
    # Until a run has taken them, who reads is right.
    assert query(settings, EVENTS) == [("a",)]
    assert older_release.is_older(settings)
    with warehouse(settings) as connection:
        with pytest.raises(KeyboardInterrupt):
            migrate(connection, settings)
        assert (home_version.of_warehouse(connection), home_record.version(settings)) == (base + 2, base + 1)
        migrate(connection, settings)
        migrate(connection, settings)
    assert taken == ["warehouse", "home", "home"]
    assert _recorded(settings) == (base + 2, base + 2)


def test_a_home_that_cannot_be_migrated_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(settings)

    def refused(_: object) -> None:
        raise CannotMigrateError("first do this")

    monkeypatch.setattr(migrations, "STEPS", (Step(home_version.VERSION + 1, "one", refused),))
    monkeypatch.setattr(home_version, "VERSION", home_version.VERSION + 1)
    deliver(settings, lines([event("b")]), hour=1)
    with pytest.raises(CannotMigrateError, match="first do this"):
        run(settings, 1)
    assert query(settings, EVENTS) == [("a",)]


def test_what_a_newer_release_wrote_is_refused(settings: Settings) -> None:
    begin(settings)
    with warehouse(settings) as connection:
        home_version.record(connection, home_version.VERSION + 1)
    with pytest.raises(lake.NewerReleaseError, match="install that release or a later one"):
        query(settings, EVENTS)
    deliver(settings, lines([event("b")]), hour=1)
    with pytest.raises(lake.NewerReleaseError):
        run(settings, 1)
    assert "a newer release wrote" in said(settings, "sql", "select 1", exit_code=1).stderr
    # Of a warehouse that several homes share, what is in the home alone.
    home_record.set_version(settings, home_version.VERSION + 1)
    for command in (["run"], ["status"], ["backup", "--list"]):
        assert f"the home {settings.home} has version" in said(settings, *command, exit_code=1).stderr


@pytest.fixture(params=_PACKED, ids=lambda path: path.stem)
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A home as the release left it that brought this version; nothing waits for a run."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path / "home", filter="data")
    return load_settings(home=tmp_path / "home", applications="search")


def test_a_packed_home_opens_and_goes_on(packed: Settings) -> None:
    assert query(packed, EVENTS) == [("a",), ("b",), ("c",)]
    assert verify(packed).findings == []
    assert [report.name for report in SavedReports(packed.saved_file).visible_to(user_of("ada", []))] == ["mine"]
    deliver(packed, lines([event("a"), event("d")]), hour=1)
    totals = run(packed, 1).totals
    assert (totals["received"], totals["accepted"], totals["duplicate"]) == (2, 1, 1)
    assert key_differences(packed) == []
    assert _recorded(packed) == (home_version.VERSION, home_version.VERSION)


@pytest.mark.slow
def test_the_commands_open_a_packed_home(packed: Settings) -> None:
    with warehouse(packed) as connection:
        connection.execute(
            "delete from __ducklake_metadata_audit.ducklake_metadata where key = 'activity_audit_version'"
        )
    with raw_lake(packed).index.connect() as index:
        index.execute("drop table set_aside")
    assert "Nothing new" in audit(packed, "run").stdout
    assert _recorded(packed) == (home_version.VERSION, home_version.VERSION)
    # Dagster's records open too, and are not needed.
    audit(packed, "maintain")
    shutil.rmtree(packed.dagster_home)
    assert "Nothing new" in audit(packed, "run").stdout
