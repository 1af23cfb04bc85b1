"""What may be asked of the report, and how names are found."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from activity_audit.report.export.export import parts
from activity_audit.warehouse.events import day_parts, names
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.long_texts import Digest

MAY = datetime(2026, 5, 1, tzinfo=UTC)


def _plain(hour: int, minute: int = 0) -> datetime:
    """A time of that day as the warehouse has it."""
    return MAY.replace(tzinfo=None, hour=hour, minute=minute)


def _filters(**values: object) -> Filters:
    return Filters(MAY, datetime(2026, 5, 1, 3, 30, tzinfo=UTC), **values)  # type: ignore[arg-type]


def test_values_are_bound_and_never_part_of_the_condition() -> None:
    chosen = _filters(applications=("Search", "x' or 1=1 --"), outcomes=("FAILURE",))
    where, values = chosen.where()
    assert where == "event_time_utc >= ? and event_time_utc < ? and list_contains(?, application) and outcome = ?"
    assert values == [_plain(0), _plain(3, 30), ["Search", "x' or 1=1 --"], "FAILURE"]


def test_null_is_a_value_and_a_field_to_exclude_by_is_one_of_ours() -> None:
    chosen = _filters(
        triggered_by=("ann", None), instances=(None,), excluded=(("entity", "Chat"), ("comments", None))
    )  # fmt: skip
    where, values = chosen.where()
    assert where == (
        "event_time_utc >= ? and event_time_utc < ? and entity is distinct from ? "
        "and (triggered_by = ? or triggered_by is null) and instance is null and comments is not null"
    )
    assert values[2:] == ["Chat", "ann"]
    assert chosen.fields == {"entity", "triggered_by", "instance", "comments"}
    assert chosen.without("triggered_by").without("entity").fields == {"instance", "comments"}
    with pytest.raises(ValueError, match="cannot be excluded by 'event_time_utc'"):
        _filters(excluded=(("event_time_utc", "x"),))


def test_many_values_are_one_condition_and_what_has_no_value_is_kept() -> None:
    long = Digest("0" * 64)
    excluded = (("entity", "a"), ("entity", "b"), ("entity", long), ("instance", "c"), ("instance", None))
    where, values = _filters(excluded=excluded, activities=("x", long, None)).where()
    assert where.partition("event_time_utc < ? and ")[2] == (
        "(entity is null or not list_contains(?, entity)) and sha256(entity) is distinct from ? "
        "and (activity = ? or list_contains(?, sha256(activity)) or activity is null) "
        "and instance is distinct from ? and instance is not null"
    )
    assert values[2:] == [["a", "b"], "0" * 64, "x", ["0" * 64], "c"]


def test_of_the_aggregate_is_asked_only_what_it_has() -> None:
    where, values = _filters(entities=("Chat",), comments="x", excluded=(("triggered_by", "ann"),)).where_hourly()
    assert where == "event_hour_utc >= ? and event_hour_utc < ? and entity = ?"
    assert values[2:] == ["Chat"]


def test_whole_hours_are_kept_of_the_aggregate() -> None:
    where, values = Filters(
        datetime(2026, 5, 1, 1, 59, tzinfo=UTC), datetime(2026, 5, 1, 2, 1, tzinfo=UTC)
    ).where_hourly()
    assert where == "event_hour_utc >= ? and event_hour_utc < ?"
    assert values == [_plain(1), _plain(2, 1)]


def test_an_empty_period_is_refused() -> None:
    with pytest.raises(ValueError, match="half-open"):
        Filters(MAY, MAY)


def test_the_period_is_cut_into_parts_that_can_be_sorted_and_have_every_hour_once() -> None:
    hours = [(_plain(hour), count) for hour, count in ((3, 2), (2, 3), (0, 9))]
    found = [(part.start.hour, part.end.hour, part.end.minute) for part in parts(_filters(), hours, most=5)]
    assert found == [(2, 3, 30), (0, 1, 0)]
    assert list(parts(_filters(), [], most=5)) == []


@pytest.fixture(scope="module")
def warehouse() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as audit")
    connection.execute("""
        create table audit.main.dim_application as from (values
            ('Analytics', 'Interaction Analytics', 'interaction-analytics'), ('Search', 'Search', 'search'),
            ('Unheard Of', 'Unheard Of', null)
        ) as t (application, display_name, slug)
    """)
    connection.execute("""
        create table audit.main.dim_entity_activity as from (values ('Chat', 'Interaction Viewed'), ('Email', null))
        as t (entity, activity)
    """)
    connection.execute("""
        create table audit.main.agg_activity_hourly as from (values ('CHAT', 'viewed'), ('Chat', 'Interaction viewed'))
        as t (entity, activity)
    """)
    return connection


def test_an_application_is_found_by_its_name_its_display_name_and_its_slug(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    asked = ["interaction analytics", "interaction-analytics", "unheard-of"]
    assert names.applications(warehouse, asked) == ("Analytics", "Unheard Of")
    with pytest.raises(names.UnknownNameError, match=r"no application has the name 'Serch'.* did you mean 'Search'\?"):
        names.applications(warehouse, ["Serch"])


def test_every_spelling_of_a_name_is_found(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert names.spellings(warehouse, "entity", ["chat"]) == ("Chat", "CHAT")
    assert names.spellings(warehouse, "activity", ["interaction viewed", "VIEWED"]) == (
        "Interaction Viewed", "Interaction viewed", "viewed"
    )  # fmt: skip
    assert names.spellings(warehouse, "entity", []) == ()
    with pytest.raises(names.UnknownNameError, match="no entity has the name 'xyz', neither"):
        names.spellings(warehouse, "entity", ["xyz"])


@pytest.mark.parametrize(
    ("text", "said", "hours"),
    [
        ("8:00-18:00", "08:00-18:00", [*range(8, 18)]),
        ("22:30 - 06:15", "22:30-06:15", [*range(7), 22, 23]),
        ("18:00-24:00", "18:00-00:00", [*range(18, 24)]),
        ("08:30-08:10", "08:30-08:10", [*range(24)]),
        ("08:10-08:50", "08:10-08:50", [8]),
    ],
)
def test_a_time_of_day_has_its_hours(text: str, said: str, hours: list[int]) -> None:
    clock = day_parts.clock_of(text)
    assert day_parts.clock_text(clock) == said
    assert day_parts.hours_of(clock) == hours


@pytest.mark.parametrize("text", ["", "8-18", "08:00", "08:00-08:00", "25:00-26:00", "08:00Z-09:00", "08:00-24:10"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 08:00-18:00"):
        day_parts.clock_of(text)


def test_matches_are_bound_and_an_hour_is_kept_if_some_of_it_may_be() -> None:
    chosen = _filters(
        contains=(("entity", "Ch"),), empty=("comments",), time_of_day=day_parts.clock_of("01:30-02:10"), search="x"
    )
    assert chosen.fields == {"event_time_utc", "entity", "comments", "search"}
    where, values = chosen.where_hourly()
    assert where.partition("event_hour_utc < ? and ")[2] == (
        "list_contains(?, hour(event_hour_utc)) and contains(lower(entity), lower(?))"
    )
    assert values[2:] == [[1, 2], "Ch"]
    kept = chosen.without("event_time_utc").without("search").without("entity").without("comments")
    assert kept == _filters()
    assert "contains" not in kept.as_dict()
    assert chosen.as_dict()["time_of_day"] == ("01:30", "02:10")
    with pytest.raises(ValueError, match="cannot be excluded by 'run_id'"):
        _filters(contains=(("run_id", "x"),))
