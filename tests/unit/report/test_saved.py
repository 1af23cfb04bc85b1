"""Named reports: whose they are, and the example that is there from the start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import duckdb
import pytest

from activity_audit.report.saved import UNDO, SameNameError, SavedReportError, SavedReports, example
from activity_audit.report.web.urls import parse
from activity_audit.warehouse.events.filters import Filters

NOW = datetime(2026, 4, 24, tzinfo=UTC)


class Labels:
    """Those of a warehouse whose events have names in upper case too."""

    def spellings(self, _field: str, value: str) -> tuple[str, ...]:
        """As of the report's."""
        return value, value.upper()


class Counts:
    """A warehouse that has nothing but hourly counts."""

    labels = Labels()

    def __init__(self, hours: Sequence[str]) -> None:
        self._connection = duckdb.connect()
        self._connection.execute("attach ':memory:' as audit")
        self._connection.execute(
            "create table audit.main.agg_activity_hourly "
            "(event_hour_utc timestamp, application varchar, entity varchar, activity varchar)"
        )
        rows = [*((hour, "Analytics", "CHAT") for hour in hours), ("2030-05-01", "Analytics", "Voice")]
        self._connection.executemany(
            "insert into audit.main.agg_activity_hourly values (?, ?, ?, 'Interaction Viewed')", rows
        )

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As of a query."""
        return self._connection.execute(sql, list(values)).fetchall()


@pytest.mark.parametrize(
    ("hours", "month", "end"),
    [
        (["2024-05-03 10:00", "2023-05-31 23:00", "2026-02-01 00:00"], "May 2024", datetime(2024, 6, 1, tzinfo=UTC)),
        (["2024-02-03 10:00", "2023-12-31 23:00"], "February 2024", datetime(2024, 3, 1, tzinfo=UTC)),
        ([], "May 2025", datetime(2025, 6, 1, tzinfo=UTC)),
    ],
)
def test_the_example_is_of_a_month_that_has_such_events(hours: list[str], month: str, end: datetime) -> None:
    found = example(Counts(hours), NOW)  # type: ignore[arg-type]
    assert found.name.endswith(month)
    filters = parse(parse_qsl(found.query)).filters(NOW)
    assert filters == Filters(
        filters.start,
        end,
        applications=("Analytics",),
        entities=("Chat",),
        activities=("Interaction Viewed",),
    )
    assert filters.start == end.replace(month=end.month - 1)


def test_a_report_is_its_owners_until_it_is_shared(tmp_path: Path) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    assert saved.visible_to("clarissa") == []
    mine = saved.save("b", "clarissa", "?period=today", shared=False)
    saved.save("A", "clarissa", "period=yesterday", shared=True)
    assert [report.name for report in saved.visible_to("clarissa")] == ["A", "b"]
    assert [report.name for report in saved.visible_to("peter")] == ["A"]
    for change in (lambda: saved.share(mine.id, "peter", True), lambda: saved.delete(mine.id, "peter")):
        with pytest.raises(SavedReportError, match="no such saved report"):
            change()
    # Somebody else's of the same name is another.
    saved.save("b", "peter", "period=today", shared=True)
    seen = SavedReports(tmp_path / "saved.json").visible_to("clarissa")
    assert sorted(report.owner or "" for report in seen) == ["clarissa", "clarissa", "peter"]
    assert mine in seen
    saved.delete(mine.id, "clarissa")
    assert mine not in saved.visible_to("clarissa")


def test_one_of_the_same_name_is_replaced_only_by_its_id_and_stays_shared(tmp_path: Path) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    mine = saved.save("May", "clarissa", "period=today", shared=True)
    for wrong in ("", "x"):
        with pytest.raises(SameNameError, match="you already have a saved report “May”") as refused:
            saved.save("may", "clarissa", "period=yesterday", replace_id=wrong)
        assert refused.value.report == mine
    assert saved.visible_to("peter") == [mine]
    new = saved.save("may", "clarissa", "period=yesterday", replace_id=mine.id)
    assert (new.id, new.query, new.shared) == (mine.id, "period=yesterday", True)
    assert saved.save("MAY", "clarissa", "", shared=False, replace_id=mine.id).shared is False
    # Somebody else's id replaces nothing.
    assert saved.save("May", "peter", "", replace_id=mine.id).id != mine.id


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\u202eb", "a\x00b"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(SavedReportError, match="1 to 100 characters"):
        SavedReports(tmp_path / "saved.json").save(name, "clarissa", "", shared=False)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_text("[{]")
    with pytest.raises(SavedReportError, match=r"saved\.json is damaged"):
        SavedReports(tmp_path / "saved.json").visible_to("clarissa")


def test_a_deleted_one_can_be_had_again_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    mine = saved.save("May", "clarissa", "period=today", shared=True, description=" what  is asked ", people=["peter "])
    assert (mine.description, mine.people) == ("what is asked", ("peter",))
    saved.delete(mine.id, "clarissa")
    assert (saved.visible_to("peter"), saved.deleted("peter")) == ([], [])
    assert [one.id for one in saved.deleted("clarissa")] == [mine.id]
    with pytest.raises(SavedReportError, match="cannot be had again"):
        saved.restore(mine.id, "peter")
    assert saved.restore(mine.id, "clarissa") == mine
    assert saved.visible_to("peter") == [mine]
    saved.delete(mine.id, "clarissa")
    other = saved.save("may", "clarissa", "")
    assert other.id != mine.id
    with pytest.raises(SavedReportError, match="another saved report “May” by now"):
        saved.restore(mine.id, "clarissa")
    monkeypatch.setattr("activity_audit.report.saved.now_utc", lambda: datetime.now(UTC) + UNDO + timedelta(seconds=1))
    assert saved.deleted("clarissa") == []
    saved.delete(other.id, "clarissa")
    with pytest.raises(SavedReportError, match="deleted too long ago"):
        saved.restore(mine.id, "clarissa")
    assert mine.id not in (tmp_path / "saved.json").read_text()


def test_named_people_see_it_and_nobody_else(tmp_path: Path) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    mine = saved.save("May", "clarissa", "", people=["peter", "", "peter"])
    assert [bool(saved.visible_to(name)) for name in ("clarissa", "peter", "septimus")] == [True, True, False]
    kept = saved.save("May", "clarissa", "period=today", replace_id=mine.id, seen=mine.saved_at)
    assert kept.people == ("peter",), "what is not said stays"
    with pytest.raises(SavedReportError, match="“May” was changed meanwhile"):
        saved.save("May", "clarissa", "", replace_id=mine.id, seen="2026-01-01T00:00:00Z")
    assert saved.save("May", "clarissa", "", replace_id=mine.id, people=[]).people == ()


def test_the_file_of_an_earlier_release_opens(tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_text(
        '[{"id": "1", "name": "May", "owner": "clarissa", "shared": true, "query": "", "saved_at": ""}]'
    )
    (one,) = SavedReports(tmp_path / "saved.json").visible_to("peter")
    assert (one.view, one.description, one.people, one.deleted_at) == ("table", "", (), "")
