"""Who is answered next, and what need not be asked again: without a warehouse."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

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


def test_files_are_named_only_where_their_rows_are_the_snapshots() -> None:
    day = datetime(2026, 5, 1)  # noqa: DTZ001
    files = [
        FactFile(f"/lake/it's/{number}.parquet", at, at + timedelta(hours=23), 100, number != 2)
        for number, at in ((number, day + timedelta(days=number)) for number in range(4))
    ]

    def source(first: int, last: int, *, are_all: bool = True) -> str:
        start, end = (datetime(2026, 5, 1 + number, tzinfo=UTC) for number in (first, last))
        return FactFiles(files, are_all=are_all).between(start, end).sql

    assert source(1, 2) == "read_parquet(['/lake/it''s/1.parquet'], hive_partitioning = false)"
    assert "0.parquet" in source(0, 2)
    assert source(1, 3) == FACT
    assert source(10, 12) == FACT
    assert source(1, 2, are_all=False) == FACT
    assert FactFiles(files, are_all=True).between(
        datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 1, 11, 30, tzinfo=UTC)
    ).rows == pytest.approx(50, abs=1)
