"""Named reports: whose they are, and the example that is there from the start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import duckdb
import pytest

from activity_audit.report.access.permissions import User, user_of
from activity_audit.report.saved.book import UNDO, SavedReports
from activity_audit.report.saved.example import example
from activity_audit.report.saved.reports import Details, SameNameError, SavedReportError
from activity_audit.report.web.urls import parse
from activity_audit.warehouse.events.filters import Filters

NOW = datetime(2026, 4, 24, tzinfo=UTC)
CLARISSA, PETER, SEPTIMUS = (user_of(name, ["viewer"]) for name in ("clarissa", "peter", "septimus"))


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
    assert saved.visible_to(CLARISSA) == []
    mine = saved.save("b", "clarissa", "?period=today", Details(shared=False))
    saved.save("A", "clarissa", "period=yesterday", Details(shared=True))
    assert [report.name for report in saved.visible_to(CLARISSA)] == ["A", "b"]
    assert [report.name for report in saved.visible_to(PETER)] == ["A"]
    for change in (lambda: saved.share(mine.id, "peter", True), lambda: saved.delete(mine.id, "peter")):
        with pytest.raises(SavedReportError, match="no such saved report"):
            change()
    # Somebody else's of the same name is another.
    saved.save("b", "peter", "period=today", Details(shared=True))
    seen = SavedReports(tmp_path / "saved.json").visible_to(CLARISSA)
    assert sorted(report.owner or "" for report in seen) == ["clarissa", "clarissa", "peter"]
    assert mine in seen
    saved.delete(mine.id, "clarissa")
    assert mine not in saved.visible_to(CLARISSA)


def test_one_of_the_same_name_is_replaced_only_by_its_id_and_stays_shared(tmp_path: Path) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    mine = saved.save("May", "clarissa", "period=today", Details(shared=True))
    for wrong in ("", "x"):
        with pytest.raises(SameNameError, match="you already have a saved report “May”") as refused:
            saved.save("may", "clarissa", "period=yesterday", replace_id=wrong)
        assert refused.value.report == mine
    assert saved.visible_to(PETER) == [mine]
    new = saved.save("may", "clarissa", "period=yesterday", replace_id=mine.id)
    assert (new.id, new.query, new.shared) == (mine.id, "period=yesterday", True)
    assert saved.save("MAY", "clarissa", "", Details(shared=False), replace_id=mine.id).shared is False
    # Somebody else's id replaces nothing.
    assert saved.save("May", "peter", "", replace_id=mine.id).id != mine.id


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\u202eb", "a\x00b"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(SavedReportError, match="1 to 100 characters"):
        SavedReports(tmp_path / "saved.json").save(name, "clarissa", "", Details(shared=False))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_text("[{]")
    with pytest.raises(SavedReportError, match=r"saved\.json is damaged"):
        SavedReports(tmp_path / "saved.json").visible_to(CLARISSA)


def test_a_deleted_one_can_be_had_again_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    mine = saved.save("May", "clarissa", "period=today", Details(" what  is asked ", True, ["peter "]))
    assert (mine.description, mine.people) == ("what is asked", ("peter",))
    saved.delete(mine.id, "clarissa")
    assert (saved.visible_to(PETER), saved.deleted("peter")) == ([], [])
    assert [one.id for one in saved.deleted("clarissa")] == [mine.id]
    with pytest.raises(SavedReportError, match="cannot be had again"):
        saved.restore(mine.id, "peter")
    assert saved.restore(mine.id, "clarissa") == mine
    assert saved.visible_to(PETER) == [mine]
    saved.delete(mine.id, "clarissa")
    other = saved.save("may", "clarissa", "")
    assert other.id != mine.id
    with pytest.raises(SavedReportError, match="another saved report “May” by now"):
        saved.restore(mine.id, "clarissa")
    later = datetime.now(UTC) + UNDO + timedelta(seconds=1)
    monkeypatch.setattr("activity_audit.report.saved.book.now_utc", lambda: later)
    assert saved.deleted("clarissa") == []
    saved.delete(other.id, "clarissa")
    with pytest.raises(SavedReportError, match="deleted too long ago"):
        saved.restore(mine.id, "clarissa")
    assert mine.id not in (tmp_path / "saved.json").read_text()


def test_named_people_see_it_and_nobody_else(tmp_path: Path) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    mine = saved.save("May", "clarissa", "", Details(people=["peter", "", "peter"]))
    assert [bool(saved.visible_to(one)) for one in (CLARISSA, PETER, SEPTIMUS)] == [True, True, False]
    kept = saved.save("May", "clarissa", "period=today", replace_id=mine.id, seen=mine.saved_at)
    assert kept.people == ("peter",), "what is not said stays"
    with pytest.raises(SavedReportError, match="“May” was changed meanwhile"):
        saved.save("May", "clarissa", "", replace_id=mine.id, seen="2026-01-01T00:00:00Z")
    assert saved.save("May", "clarissa", "", replace_id=mine.id, details=Details(people=[])).people == ()


def test_the_file_of_an_earlier_release_opens(tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_text(
        '[{"id": "1", "name": "May", "owner": "clarissa", "shared": true, "query": "", "saved_at": ""}]'
    )
    (one,) = SavedReports(tmp_path / "saved.json").visible_to(PETER)
    assert (one.view, one.description, one.people, one.deleted_at) == ("table", "", (), "")


def test_whoever_has_a_role_sees_what_is_shared_with_it(tmp_path: Path) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    mine = saved.save("May", "clarissa", "", Details(roles=["Auditor ", "fraud team"]))
    assert mine.roles == ("auditor", "fraud team")
    readers = (user_of("a", ["AUDITOR"]), user_of("b", ["Fraud Team"]), user_of("c", ["view"]), user_of("d", [""]))
    assert [bool(saved.visible_to(one)) for one in readers] == [True, True, False, False]
    # No roles are shared with nobody, a user without any included.
    saved.save("May", "clarissa", "", Details(roles=["", " "]), replace_id=mine.id)
    assert [bool(saved.visible_to(one)) for one in readers] == [False] * 4


def test_what_is_said_of_one_can_be_edited(tmp_path: Path) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    mine = saved.save("May", "clarissa", "period=today", Details("old", people=["peter"]), view="groups")
    saved.save("June", "clarissa", "")
    new = saved.edit(mine.id, "clarissa", " Chats of  May ", Details("new", True, [], ["auditor"]), mine.saved_at)
    assert (new.id, new.query, new.view, new.name) == (mine.id, "period=today", "groups", "Chats of May")
    assert (new.description, new.shared, new.people, new.roles) == ("new", True, (), ("auditor",))
    assert saved.own(mine.id, "clarissa") == new
    for name, owner, seen, why in (
        ("june", "clarissa", "", "another saved report “June”"),
        ("x", "peter", "", "no such saved report"),
        ("x", "clarissa", "2026-01-01T00:00:00Z", "was changed meanwhile"),
        ("", "clarissa", "", "1 to 100 characters"),
    ):
        with pytest.raises(SavedReportError, match=why):
            saved.edit(mine.id, owner, name, Details(), seen)
    assert saved.own(mine.id, "clarissa") == new


def test_favourites_come_first_and_one_opens_first(tmp_path: Path) -> None:
    saved = SavedReports(tmp_path / "saved.json")
    a, b = (saved.save(name, "clarissa", "", Details(shared=True)) for name in "ab")
    hidden = saved.save("c", "clarissa", "")
    saved.mark(b.id, PETER, "favourite_of", True)
    assert [one.name for one in saved.visible_to(PETER)] == ["b", "a"]
    assert [one.name for one in saved.visible_to(CLARISSA)] == ["a", "b", "c"], "they are of one person"
    saved.mark(a.id, PETER, "first_of", True)
    saved.mark(b.id, CLARISSA, "first_of", True)
    saved.mark(b.id, PETER, "first_of", True)
    assert [(one.name, sorted(one.first_of)) for one in saved.visible_to(CLARISSA)] == [
        ("a", []), ("b", ["clarissa", "peter"]), ("c", [])
    ]  # fmt: skip
    # What replaces or restores one keeps its marks.
    saved.save("b", "clarissa", "period=today", replace_id=b.id)
    saved.delete(b.id, "clarissa")
    assert saved.restore(b.id, "clarissa").favourite_of == ("peter",)
    saved.mark(b.id, PETER, "favourite_of", False)
    saved.mark(b.id, PETER, "first_of", False)
    assert [(one.favourite_of, one.first_of) for one in saved.visible_to(PETER)] == [((), ()), ((), ("clarissa",))]
    for report_id in (hidden.id, "x"):
        with pytest.raises(SavedReportError, match="no such saved report"):
            saved.mark(report_id, PETER, "favourite_of", True)


@pytest.mark.parametrize(
    ("query", "plain", "masked"),
    [("outcome=FAILURE", True, True), ("triggered_by=ann", True, False), ("nothing=1", False, False)],
)
def test_what_a_reader_cannot_open_is_not_asked(tmp_path: Path, query: str, plain: bool, masked: bool) -> None:
    one = SavedReports(tmp_path / "saved.json").save("May", "clarissa", query)
    readers: list[User] = [CLARISSA, user_of("peter", ["masked-viewer"])]
    assert [one.asked_by(reader) is not None for reader in readers] == [plain, masked]
