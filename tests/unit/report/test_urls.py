"""What a URL of the report says, and the pure parts of its pages."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from activity_audit.base.hours import HOUR, naive
from activity_audit.report import bars as charts
from activity_audit.report import periods, time_fields
from activity_audit.report.heat import Cell, rows
from activity_audit.report.queries.groups import ORDERS, Group, GroupOrder
from activity_audit.report.queries.orders import Order
from activity_audit.report.texts import bytes_text, decode, encode, time_text, value_text
from activity_audit.report.web.column_filters import filtered
from activity_audit.report.web.cursors import decode_group, decode_key, encode_group, encode_key
from activity_audit.report.web.pages.layout import chips
from activity_audit.report.web.urls import (
    ACROSS,
    CHARTS,
    FIELDS,
    GROUPABLE,
    MEASURES,
    PARAMETERS,
    BadLinkError,
    State,
    parse,
)
from activity_audit.warehouse.coverage import Coverage
from activity_audit.warehouse.events import day_parts
from activity_audit.warehouse.events.filters import CHOICES, EXCLUDABLE
from activity_audit.warehouse.events.long_texts import LONGEST, LONGEST_QUERY, Digest, Value, short

NOW = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)
NOON = NOW.replace(minute=0)


def _opened(state: State) -> list[tuple[str, Value]]:
    return list(zip(state.group, state.path, strict=False))


ROOT = Path(__file__).parents[3]
_at = datetime.fromisoformat
_texts = st.text() | st.sampled_from(
    ["~null", "~empty", "~", "~~x", "a&b=c", "Zoë +%", "~sha256:", "~esc:%00", "a\n%0A", "\0", "x" * 251, "é" * 126]
)
_values = (st.none() | _texts).map(short)
_states = st.builds(
    State,
    period=st.sampled_from([name for name in periods.NAMES if name != "from-to"]),
    lists=st.builds(
        lambda lists, parts: lists | parts,
        st.dictionaries(st.sampled_from(list(CHOICES)), st.lists(_values, min_size=1, unique=True).map(tuple)),
        st.fixed_dictionaries({}, optional={part: st.just(values[2:4]) for part, values in day_parts.VALUES.items()}),
    ),
    zoom=st.lists(
        st.integers(0, 9999).map(lambda hour: (NOON + hour * HOUR, NOON + (hour + 5) * HOUR)), max_size=3
    ).map(tuple),
    order=st.none() | st.builds(GroupOrder, st.sampled_from(ORDERS), st.booleans()),
    across=st.sampled_from(["", *ACROSS]),
    measure=st.sampled_from(MEASURES),
    chart=st.sampled_from(["", *CHARTS]),
    compare=st.booleans(),
    people=st.booleans(),
    comments=st.text(),
    excluded=st.lists(st.tuples(st.sampled_from(EXCLUDABLE), _values), unique=True).map(tuple),
    sort=st.sampled_from(FIELDS),
    descending=st.booleans(),
    columns=st.lists(st.sampled_from(FIELDS), min_size=1, unique=True).map(tuple),
    group=st.just(("application", "entity")),
    path=st.lists(_values, max_size=2).map(tuple),
).filter(lambda state: all(value in state.lists.get(name, (value,)) for name, value in _opened(state)))


def _read(url: str) -> State:
    return parse(parse_qsl(urlsplit(url).query, keep_blank_values=True))


# How long the states take to be made is the machine's affair.
@trials(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_states)
def test_a_state_comes_back_from_its_url(state: State) -> None:
    # The order of the lists is that of the columns, whoever chose first.
    ordered = {name: state.lists[name] for name in (*CHOICES, *day_parts.CHOICES) if name in state.lists}
    found = _read(state.url("/groups"))
    assert (found, list(found.lists)) == (state, list(ordered))


@given(_values)
def test_a_value_comes_back_from_its_text(value: Value) -> None:
    code = encode(value)
    assert code
    assert decode(code) == value
    assert not any(character in code for character in "\0\r\n\t"), "a browser changes them in a form"
    assert len(code.encode()) <= 3 * LONGEST


def test_the_documents_example_as_a_url() -> None:
    state = State("from-to", date(2026, 5, 1), date(2026, 5, 31)).with_list("application", ["Analytics"])
    assert state.url() == "/?period=from-to&from=2026-05-01&to=2026-05-31&application=Analytics"
    filters = state.filters(NOW)
    assert (filters.start, filters.end) == (datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    assert filters.applications == ("Analytics",)


def test_groups_that_are_open_and_an_hour_narrow_the_filters() -> None:
    state = _read("/?period=today&hour=2026-06-10T11&entity=A&entity=B&group=entity&group=outcome&path=B")
    filters = state.filters(NOW)
    assert (filters.start, filters.end) == (
        datetime(2026, 6, 10, 11, tzinfo=UTC),
        datetime(2026, 6, 10, 12, tzinfo=UTC),
    )
    assert filters.entities == ("B",)
    assert filters.outcomes == ()


def test_times_that_are_grouped_by_narrow_the_filters() -> None:
    def period(query: str) -> tuple[datetime, datetime]:
        filters = _read(f"/?period=from-to&from=2026-05-03&to=2026-05-31&{query}").filters(NOW)
        return filters.start, filters.end

    def of(start: str, end: str) -> tuple[datetime, datetime]:
        return _at(start).replace(tzinfo=UTC), _at(end).replace(tzinfo=UTC)

    assert period("group=week&path=2026-04-27") == of("2026-05-03", "2026-05-04"), "no further than the period"
    assert period("group=month&group=hour&path=2026-05&path=2026-05-31T23") == of("2026-05-31T23", "2026-06-01")
    assert period("zoom=2026-05-05T00/2026-05-09T00&zoom=2026-05-06T08/2026-05-06T12") == of(
        "2026-05-06T08", "2026-05-06T12"
    )
    state = _read("/?period=from-to&from=2026-05-03&to=2026-05-31&group=weekday&path=monday&hour_of_day=08")
    filters = state.filters(NOW)
    assert (filters.weekdays, filters.hours_of_day) == (("monday",), ("08",))
    week = state.narrowed("week", "2026-04-27", filters)
    assert week.zoom == (of("2026-05-03", "2026-05-04"),)
    assert week.narrowed("week", "2026-04-27", week.filters(NOW)) == week, "twice the same is once"
    assert week.to_zoom(0) == state
    assert state.with_order("failure").order == GroupOrder("failure", descending=True)
    assert state.with_order("failure").with_order("failure").order == GroupOrder("failure", descending=False)


def test_a_group_whose_value_is_filtered_away_is_not_open() -> None:
    opened = "/?group=entity&group=outcome&group=instance&path=Chat&path=SUCCESS"
    assert _read(opened).path == ("Chat", "SUCCESS")
    assert _read(f"{opened}&entity=Email&entity=Chat").path == ("Chat", "SUCCESS")
    assert _read(f"{opened}&outcome=FAILURE").path == ("Chat",)
    closed = _read(f"{opened}&entity=Email")
    assert closed.path == ()
    assert closed.filters(NOW).entities == ("Email",)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("comments=a&comments=b", "once"),
        ("group=entity&path=a&path=b", "more groups"),
        ("entty=Chat", "entty"),
        ("period=yesteryear", "yesteryear"),
        ("period=from-to&from=31.5.2026&to=2026-05-31", "31.5.2026"),
        ("period=from-to&from=2026-05-31&to=2026-05-01", "before it begins"),
        ("period=from-to", "first and the last day"),
        ("period=today&hour=2020-01-01T00", "period"),
        ("hour=noon", "noon"),
        ("sort=-run_id", "run_id"),
        ("columns=entity,secret", "secret"),
        ("zoom=2026-05-31T12/2026-05-31T12", "zoom into"),
        ("zoom=2026-05-31", "zoom into"),
        ("zoom=2026-05-31T10/9999-12-31T10", "zoom into"),
        ("weekday=someday", "someday"),
        ("hour_of_day=24", "24"),
        ("across=comments", "comments"),
        ("order=-run_id", "run_id"),
        ("measure=mood", "mood"),
        ("chart=pie", "pie"),
        ("compare=2", "“2”"),
        ("group=day&path=2026-05-32", "2026-05-32"),
        ("group=week&path=2026-05-05", "2026-05-05"),
        ("group=month&path=9999-12", "9999-12"),
        ("group=weekday&path=7", "“7”"),
        ("group=event_time_utc", "event_time_utc"),
        ("group=application&group=entity&group=activity&group=outcome", "3 times"),
        ("not=event_time_utc:x", "event_time_utc"),
        ("&".join(f"not=entity:{number}" for number in range(480)), f"where {LONGEST_QUERY:,} are allowed"),
        ("comments=" + "é" * 2000, f"where {LONGEST_QUERY:,} are allowed"),
    ],
)
def test_a_link_that_cannot_be_read_says_what_is_wrong(query: str, names: str) -> None:
    with pytest.raises(BadLinkError, match=re.escape(names)):
        _read(f"/?{query}").filters(NOW)


def test_the_parameters_are_documented() -> None:
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    table = text.split("| parameter | means |")[1].split("\n\n")[0]
    documented = [name for line in table.splitlines() for name in re.findall(r"`([\w-]+)`", line.partition(" | ")[0])]
    assert sorted(documented) == sorted([*PARAMETERS])
    for name in periods.NAMES:
        assert f"`{name}`" in table


def test_a_long_text_is_told_by_its_hash() -> None:
    long = short("x" * 1_000_000)
    assert isinstance(long, Digest)
    assert (short("x" * LONGEST), short("é" * LONGEST)) == ("x" * LONGEST, short("é" * LONGEST))
    assert isinstance(short("é" * LONGEST), Digest)
    assert len(encode("x" * 1_000_000)) < 100
    assert decode(encode("x" * 1_000_000)) == decode("x" * 1_000_000) == long
    assert decode("~sha256:" + "g" * 64) == "~sha256:" + "g" * 64
    state = _read(f"/?group=comments&path={encode('x' * 1_000_000)}")
    filters = state.filters(NOW)
    assert filters.comments_are == (long,)
    assert filters.where()[0].endswith("list_contains(?, sha256(comments))")
    assert filters.without("comments").fields == frozenset()


def test_a_page_has_so_many_links_of_filters() -> None:
    values = tuple(f"value-{number}" for number in range(300))
    for state in (State(lists={"entity": values}), State(excluded=tuple(("entity", value) for value in values))):
        made = chips(state, "/")
        assert [chip.url is not None for chip in made] == [True] * 50 + [False] * 250
        assert sum(len(chip.url or "") for chip in made) < 500_000


def test_places_come_back_and_damage_is_told() -> None:
    key = ("Chat", _at("2026-05-01T10:00:00.000005"), "e-1")
    fields = Order("entity").fields
    assert decode_key(encode_key(key), fields) == key
    assert decode_key(encode_key((None, *key[1:])), fields) == (None, *key[1:])
    assert decode_key(encode_key(("f", 7)), ("feed", "source_record")) == ("f", 7)
    assert decode_key(None, fields) is None
    group = Group(None, 5, 4, 1)
    assert decode_group(encode_group(group)) == group
    for text in ("!", "aaaa", encode_key(key[:2]), encode_group(group)):
        with pytest.raises(BadLinkError, match="damaged"):
            decode_key(text, fields)
    with pytest.raises(BadLinkError, match="damaged"):
        decode_group(encode_key(key))


def test_bars_are_as_high_as_their_numbers() -> None:
    labels, numbers = ["a", "b", "c"], [[30, 0, 10], [10, 0, 0]]
    chart = charts.chart("stacked", labels, numbers, labels)
    first, second, third = chart.columns
    below, above = first.marks
    assert below.height == pytest.approx(3 * above.height, abs=0.05)
    assert above.y + above.height == pytest.approx(below.y, abs=0.05)
    assert below.y + below.height == pytest.approx(chart.baseline, abs=0.05)
    assert above.y == pytest.approx(chart.top, abs=0.05), "the axis ends where the highest does"
    assert [mark.height for mark in second.marks] == [0, 0]
    assert third.x + third.width <= 100
    assert [tick.value for tick in chart.ticks] == [0, 10, 20, 30, 40]
    (whole,) = charts.chart("bar", labels, numbers, labels).columns[0].marks
    assert whole.height == pytest.approx(below.height + above.height, abs=0.05)
    lines = charts.chart("line", labels, numbers, labels)
    assert [len(line.split()) for line in lines.lines] == [3, 3]
    assert [tick.value for tick in lines.ticks][-1] == 30
    assert charts.chart("stacked", [], [[], []], []).columns == []


@pytest.mark.parametrize("highest", [0, 1, 3, 5, 7, 99, 101, 1001, 5100, 123_456_789])
def test_an_axis_fits_what_it_shows(highest: int) -> None:
    ticks = [tick.value for tick in charts.chart("bar", ["x"], [[highest]], ["x"]).ticks]
    assert ticks[-2] < max(highest, 1) <= ticks[-1], "no step of it is empty"
    assert len(ticks) <= 7
    assert {later - earlier for earlier, later in pairwise(ticks)} == {ticks[1]}


def test_the_parts_of_a_share_are_in_proportion() -> None:
    assert (charts.share(96, 100), charts.share(4, 100)) == (96, 4)
    assert charts.share(960, 100_000) / charts.share(40, 100_000) == 24, "of a small group too"
    assert 0 < charts.share(1, 10_000_000) < 0.001, "something is never nothing"
    assert charts.share(0, 5) == charts.share(0, 0) == 0
    told = [charts.percent(value, 10_000) for value in (0, 1, 10, 400, 9_999, 10_000)]
    assert told == ["0 %", "< 0.1 %", "0.1 %", "4.0 %", "> 99.9 %", "100 %"]
    assert charts.percent(0, 0) == "0 %"


def test_the_heat_map_shows_the_worst() -> None:
    hours = [_at(f"2026-05-01T{hour:02}:00") for hour in range(3)]
    cells = [
        Cell("search", naive(hours[0]), received=5, accepted=5),
        Cell("search", naive(hours[1]), received=5, accepted=4, refused=1, quarantined=1),
        Cell("search", naive(hours[2]), missing=1, detail="nothing came"),
        Cell("qm", naive(hours[0]), early=1, received=1, accepted=1),
    ]
    looked, unknown, waiting = Coverage(1, recorded=1), Coverage(1, unknown=1), Coverage(waiting=1)
    by_hour = {("search", naive(hour)): looked for hour in hours}
    by_hour |= {("search", naive(_at("2026-05-01T03:00"))): unknown, ("qm", naive(hours[0])): unknown}
    by_hour |= {("search", naive(_at("2026-05-01T04:00"))): waiting, ("wfm", naive(hours[0])): unknown}
    slots = [naive(_at("2026-05-01")) + timedelta(hours=hour) for hour in range(24)]
    qm, search, wfm = rows("hour", slots, cells, by_hour)
    assert [row.feed for row in (qm, search, wfm)] == ["qm", "search", "wfm"]
    states = [mark.state for mark in search.marks[:6]]
    assert states == ["balanced", "quarantined", "missing", "unknown", "waiting", "none"]
    assert "nothing came" in search.marks[2].text
    # A look before the hour was over says what came until then, and no more.
    assert (qm.marks[0].state, wfm.marks[0].state) == ("unknown", "unknown")
    assert "so far 1 received" in qm.marks[0].text
    begin = naive(_at("2026-05-01"))
    by_day = {("search", begin): Coverage(4, unknown=1, recorded=3, missing=1, waiting=1), ("qm", begin): unknown}
    cells = [
        Cell("search", begin, hours=3, missing=1, refused=1, received=10, accepted=9, quarantined=1),
        Cell("qm", begin, early=1, received=1, accepted=1),
    ]
    qm, search = rows("day", [begin - timedelta(days=1), begin], cells, by_day)
    assert [mark.state for mark in search.marks] == ["none", "missing"]
    assert search.marks[1].text == "hours: 1 missing, 1 unknown, 1 quarantined, 1 balanced, 1 waiting"
    assert [mark.state for mark in qm.marks] == ["none", "unknown"]


def test_values_as_texts() -> None:
    assert time_text(_at("2026-05-01T10:00")) == "2026-05-01 10:00:00"
    assert time_text(_at("2026-05-01T10:00:00.5")) == "2026-05-01 10:00:00.500"
    assert time_text(_at("2026-05-01T10:00:00.000005")) == "2026-05-01 10:00:00.000005"
    assert time_text(_at("2026-05-01T12:00+02:00")) == "2026-05-01 10:00:00"
    assert [value_text(value) for value in (None, "", " ", "Chat")] == ["(no value)", "(blank)", "(blank)", "Chat"]
    assert [bytes_text(size) for size in (0, 999, 1500, 2_500_000_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "2.5 TB",
    ]
    assert set(GROUPABLE) < {*FIELDS, *time_fields.FIELDS}


def test_a_period_begins_and_ends_at_a_minute_and_old_links_work() -> None:
    state = _read("/?period=from-to&from=2026-05-01+08:30&to=2026-05-02T18:00")
    assert "from=2026-05-01T08%3A30&to=2026-05-02T18%3A00" in state.url()
    filters = state.filters(NOW)
    assert (filters.start, filters.end) == (
        datetime(2026, 5, 1, 8, 30, tzinfo=UTC),
        datetime(2026, 5, 2, 18, tzinfo=UTC),
    )
    assert _read("/?period=from-to&from=2026-05-01T10:00&to=2026-05-01").filters(NOW).end == datetime(
        2026, 5, 2, tzinfo=UTC
    )
    with pytest.raises(BadLinkError, match="before it begins"):
        _read("/?period=from-to&from=2026-05-01T10:00&to=2026-05-01T10:00").filters(NOW)


@pytest.mark.parametrize(
    ("column", "how", "what", "names"),
    [
        ("run_id", "is", "x", "run_id"),
        ("entity", "like", "x", "like"),
        ("entity", "time-of-day", "08:00-09:00", "the Event Time"),
        ("event_time_utc", "is", "x", "the Event Time"),
        ("entity", "contains", "", "type what"),
        ("entity", "contains", "x" * 201, "at most 200"),
        ("event_time_utc", "time-of-day", "8-9", "08:00-18:00"),
    ],
)
def test_a_filter_of_a_column_that_cannot_be_says_why(column: str, how: str, what: str, names: str) -> None:
    with pytest.raises(BadLinkError, match=names):
        filtered(State(), column, how, what)


def test_what_is_matched_is_part_of_the_link() -> None:
    state = State()
    for column, how, what in (
        ("entity", "contains", "a:b~"), ("comments", "is", "~null"), ("outcome", "is", "x"),
        ("instance", "empty", ""), ("comments", "not-empty", ""), ("event_time_utc", "time-of-day", "8:00-9:30"),
    ):  # fmt: skip
        state = filtered(state, column, how, what)
    assert _read(state.url()) == state
    assert state.filtered_by == {"entity", "comments", "outcome", "instance", "event_time_utc"}
    assert state.filters(NOW).comments_are == ("~null",)
    assert state.without_filters() == State()
