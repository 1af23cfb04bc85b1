"""Groups with all their numbers, by time too, in every order, and cross tables: as the plain rows say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas
import pytest

from activity_audit.report.export.groups_file import GroupsAsked, export_groups
from activity_audit.report.queries.cross import cross
from activity_audit.report.queries.groups import FIELDS, ORDERS, Group, GroupOrder, ranked
from activity_audit.report.queries.measures import the_period_before
from activity_audit.report.queries.warehouse import Query
from activity_audit.warehouse.events.filters import Filters
from tests.integration.report_rows import END, FILTERS, RAGGED, START, WEEKDAYS, kept_by, labelled

_DAY = timedelta(days=1)
_OF_TIME: dict[str, Callable[[datetime], str]] = {
    "hour": lambda at: at.strftime("%Y-%m-%dT%H"),
    "day": lambda at: at.strftime("%Y-%m-%d"),
    "week": lambda at: (at - at.weekday() * _DAY).strftime("%Y-%m-%d"),
    "month": lambda at: at.strftime("%Y-%m"),
    "weekday": lambda at: WEEKDAYS[at.weekday()],
    "hour_of_day": lambda at: at.strftime("%H"),
}
# The period before has events too, and half of what is compared is within days.
_TWO_DAYS = Filters(END - 2 * _DAY, END, excluded=(("activity", "logout"),))
_HOURS = Filters(END - timedelta(hours=38), END - timedelta(hours=13), hours_of_day=("08", "10", "12", "20"))


def _valued(rows: list[dict[str, Any]], field: str, moved: timedelta = timedelta()) -> dict[Any, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows:
        found[_OF_TIME[field](row["event_time_utc"] + moved) if field in _OF_TIME else row[field]].append(row)
    return found


def _numbers(rows: list[dict[str, Any]]) -> tuple[int, int, int, int]:
    failures = sum(row["outcome"] == "FAILURE" for row in rows)
    people = {row["triggered_by"] for row in rows} - {None}
    return len(rows), len(rows) - failures, failures, len(people)


@pytest.mark.parametrize("field", FIELDS)
def test_groups_have_all_numbers_in_every_order(asked: Query, rows: list[dict[str, Any]], field: str) -> None:
    number = FIELDS.index(field)
    filters = (_TWO_DAYS, _HOURS)[number % 2]
    before = the_period_before(filters)
    assert before
    moved = timedelta() if field in ("weekday", "hour_of_day") else filters.start - before.start
    was = _valued(labelled(rows, kept_by(rows, before)), field, moved)
    now = _valued(labelled(rows, kept_by(rows, filters)), field)
    expected = {Group(value, *_numbers(now.get(value, [])), len(was.get(value, []))) for value in {*now, *was}}
    assert any(group.before for group in expected)
    for place, by in enumerate(ORDERS):
        order = GroupOrder(by, (place + number) % 3 > 0)
        found = ranked(asked, filters, field, order, people=True, before=before)
        some = [group for group in found.rows if group.count or group.before or field not in _OF_TIME]
        assert (len(some), set(some)) == (len(expected), expected), by
        if by != "value":
            measures = [getattr(group, by) for group in found.rows]
            assert measures == sorted(measures, reverse=order.descending)
    for order in (GroupOrder("value", descending=number % 2 > 0), GroupOrder("failure_rate"), GroupOrder()):
        found = ranked(asked, filters, field, order, before=before)
        limit = -(-len(found.rows) // 3)
        paged: list[Group] = []
        for _ in range(3):
            last = paged[-1] if paged else None
            paged += ranked(asked, filters, field, order, before=before, limit=limit, after=last).rows
        assert paged == found.rows, order
        assert found.number == len(found.rows)


def test_every_unit_of_time_is_there_in_its_order(asked: Query) -> None:
    two_weeks = Filters(START - 10 * _DAY, START + 4 * _DAY)
    for field, number in (
        ("hour", 14 * 24),
        ("day", 14),
        ("week", 3),
        ("month", 2),
        ("weekday", 7),
        ("hour_of_day", 24),
    ):
        found = [
            str(group.value) for group in ranked(asked, two_weeks, field, GroupOrder("value", False), limit=999).rows
        ]
        assert len(found) == number
        if field == "weekday":
            assert tuple(found) == WEEKDAYS
        else:
            assert found == sorted(found)
    fridays = replace(two_weeks, weekdays=("friday",), hours_of_day=("10", "11"))
    found = [group.value for group in ranked(asked, fridays, "hour", GroupOrder("value", False)).rows]
    assert found == ["2026-04-24T10", "2026-04-24T11", "2026-05-01T10", "2026-05-01T11"]
    with pytest.raises(ValueError, match="cannot be grouped"):
        ranked(asked, two_weeks, "event_id")
    with pytest.raises(ValueError, match="cannot be sorted"):
        ranked(asked, two_weeks, "day", GroupOrder("1; drop table x"))


@pytest.mark.parametrize(
    "fields",
    [("weekday", "hour_of_day"), ("entity", "outcome"), ("triggered_by", "day"), ("day", "application"),
     ("comments", "instance"), ("outcome", "outcome"), ("hour", "activity")],
)  # fmt: skip
def test_a_cross_table_has_every_event_once(asked: Query, rows: list[dict[str, Any]], fields: tuple[str, str]) -> None:
    for filters in (RAGGED, FILTERS[3]):
        kept = labelled(rows, kept_by(rows, filters))
        whole = cross(asked, filters, fields, people=True)
        values = [[group.value for group in ranked.rows] for ranked in (whole.rows, whole.columns)]
        found = {
            (values[0][row], values[1][column]): (cell.count, cell.success, cell.failure, cell.people)
            for (row, column), cell in whole.cells.items()
        }
        expected = {}
        for one, those in _valued(kept, fields[0]).items():
            for other, both in _valued(those, fields[1]).items():
                expected[one, other] = _numbers(both)
        assert found == expected
        few = cross(asked, filters, fields, limit=2, most_columns=1)
        assert sum(cell.count for cell in few.cells.values()) == len(kept), "what is not shown is with the others"
        assert {place for place, _ in few.cells} <= {-1, 0, 1}
        assert (few.rows.number, few.columns.number) == (len(values[0]), len(values[1]))


_READ: dict[str, Callable[[Path], pandas.DataFrame]] = {
    ".csv": pandas.read_csv, ".xlsx": pandas.read_excel, ".parquet": pandas.read_parquet
}  # fmt: skip


@pytest.mark.parametrize("suffix", _READ)
def test_groups_go_into_a_file_as_they_are_shown(asked: Query, tmp_path: Path, suffix: str) -> None:
    order, before = GroupOrder("failure"), the_period_before(_TWO_DAYS)
    made = GroupsAsked("comments", order, ("Comments", ""), people=True, before=before)
    about = export_groups(asked, _TWO_DAYS, made, tmp_path / f"groups{suffix}", END, lambda _: None)
    shown = ranked(asked, _TWO_DAYS, "comments", order, people=True, before=before).rows
    rows = _READ[suffix](tmp_path / f"groups{suffix}")
    assert (about.rows, about.grouped, len(rows)) == (len(shown), "Comments", len(shown))
    for title, measure in (("Events", "count"), ("FAILURE", "failure"), ("People", "people"), ("Change", "change")):
        assert rows[title].tolist() == [getattr(group, measure) for group in shown], title
    assert sum(rows["Share (%)"]) == pytest.approx(100)
    crossed = GroupsAsked("entity", order, ("Entity", "Weekday (UTC)"), "weekday", "failure_rate")
    about = export_groups(asked, _TWO_DAYS, crossed, tmp_path / f"cross{suffix}", END, lambda _: None)
    rows = _READ[suffix](tmp_path / f"cross{suffix}")
    assert rows.columns.tolist()[0] == "Entity"
    assert rows.columns.tolist()[-1] == "All"
    assert len(rows.columns) == 9
    assert about.as_dict()["grouped_by"] == "Entity and Weekday (UTC)"
