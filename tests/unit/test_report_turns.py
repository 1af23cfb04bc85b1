"""Who is answered next, and what need not be asked again: without a warehouse."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestration.hours import naive
from report.filters import Filters
from report.queries.answers import Answers
from report.queries.files import FACT, FactFile, FactFiles
from report.queries.turns import Turns
from tests.integration.support import until


class GoneError(Exception):
    """A reader who does not wait any more."""


def _nothing() -> None:
    return


def _waiting(turns: Turns) -> int:
    return len(turns._waiting)


def test_the_next_turn_is_of_who_came_first_and_one_who_leaves_holds_up_nobody() -> None:
    turns = Turns(1)
    turns.take(0, _nothing)
    order: list[int] = []

    def ask(number: int) -> None:
        turns.take(number, _nothing)
        order.append(number)
        turns.give()

    def leave() -> None:
        raise GoneError

    with ThreadPoolExecutor(4) as readers:
        waiting = []
        for place, number in enumerate((3, 1, 2), 1):
            waiting.append(readers.submit(ask, number))
            until(lambda place=place: _waiting(turns) == place)
        with pytest.raises(GoneError):
            turns.take(0, leave)
        turns.give()
        for one in waiting:
            one.result(10)
    assert order == [1, 2, 3]
    turns.take(4, leave)


def test_a_question_that_is_being_answered_is_not_asked_twice() -> None:
    answers = Answers(10)
    asked = 0
    may_answer = threading.Event()

    def ask() -> list[int]:
        nonlocal asked
        asked += 1
        assert may_answer.wait(10)
        return [1]

    waiting = threading.Semaphore(0)

    def wait(answer: threading.Event) -> None:
        waiting.release()
        assert answer.wait(10)

    with ThreadPoolExecutor(5) as readers:
        found = [readers.submit(answers.answer, "question", ask, wait) for _ in range(5)]
        for _ in range(4):
            assert waiting.acquire(timeout=10)
        may_answer.set()
        assert [one.result(10) for one in found] == [[1]] * 5
    assert asked == 1


def test_what_failed_is_asked_again_and_the_least_recent_answers_make_room() -> None:
    answers = Answers(10)
    calls: list[str] = []

    def ask(question: str, rows: int) -> list[int]:
        def look() -> list[int]:
            calls.append(question)
            if not rows:
                raise GoneError
            return [0] * rows

        return answers.answer(question, look, lambda _: None)

    with pytest.raises(GoneError):
        ask("a", 0)
    for question in ("a", "b", "a", "c", "a", "b"):
        ask(question, 3)
    assert calls == ["a", "a", "b", "c", "b"]
    ask("larger than all", 11)
    ask("a", 3)
    assert calls[-2:] == ["larger than all", "a"]


def _file(number: int, *, is_plain: bool = True) -> FactFile:
    first = datetime(2026, 5, 1 + number)  # noqa: DTZ001
    return FactFile(f"/it's/{number}.parquet", first, first + timedelta(hours=23), 100, is_plain)


FILES = [_file(0), _file(1), _file(2, is_plain=False), _file(3)]


def _days(first: int, last: int, **chosen: Any) -> Filters:
    return Filters(datetime(2026, 5, 1 + first, tzinfo=UTC), datetime(2026, 5, 1 + last, tzinfo=UTC), **chosen)


def test_files_are_named_only_where_their_rows_are_the_snapshots() -> None:
    files = FactFiles(FILES, are_all=True)
    reading = files.reading(_days(1, 2, outcomes=("FAILURE",)))
    assert reading == (
        "from read_parquet(['/it''s/1.parquet'], hive_partitioning = false) where true and outcome = ?",
        ["FAILURE"],
        100,
    )
    for filters in (_days(1, 3), _days(10, 12)):
        assert files.reading(filters).sql.startswith(f"from {FACT} where event_time_utc >= ? ")
    assert FACT in FactFiles(FILES, are_all=False).reading(_days(1, 2)).sql


def test_of_a_file_that_is_not_all_in_the_period_the_times_are_looked_at() -> None:
    files = FactFiles(FILES, are_all=True)
    half = replace(_days(0, 1), end=datetime(2026, 5, 1, 11, 30, tzinfo=UTC))
    sql, values, rows = files.reading(half)
    assert sql.endswith("where event_time_utc >= ? and event_time_utc < ?")
    assert (len(values), rows) == (2, 50)
    sql, values, rows = files.reading(replace(_days(0, 2, applications=("Search",)), start=half.end))
    assert sql.index("1.parquet") < sql.index("0.parquet")
    assert values == ["Search", naive(half.end), naive(_days(0, 2).end), "Search"]
    assert rows == 150
