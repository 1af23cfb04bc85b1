"""Who is answered next, what need not be asked again, and what need not be read: without a warehouse."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from activity_audit.base.hours import naive
from activity_audit.base.vocabulary import FACT
from activity_audit.report.queries.cache import Answers
from activity_audit.report.queries.event_ids import EventIds
from activity_audit.report.queries.files import FactFile, FactFiles
from activity_audit.report.queries.scheduler import Turns
from activity_audit.warehouse.events.filters import Filters
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
    # It is not kept, and drives out nothing.
    for question in ("larger than all", "b", "larger than all"):
        ask(question, 11 if question == "larger than all" else 3)
    assert calls[-2:] == ["larger than all", "larger than all"]


def _file(number: int, *, is_plain: bool = True) -> FactFile:
    first = datetime(2026, 5, 1 + number)  # noqa: DTZ001
    return FactFile(f"/it's/{number}.parquet", first, first + timedelta(hours=23), 100, is_plain)


FILES = [_file(0), _file(1), _file(2, is_plain=False), _file(3)]


def _days(first: int, last: int, **chosen: Any) -> Filters:
    return Filters(datetime(2026, 5, 1 + first, tzinfo=UTC), datetime(2026, 5, 1 + last, tzinfo=UTC), **chosen)


def test_files_are_named_only_where_their_rows_are_the_snapshots(tmp_path: Path) -> None:
    files = FactFiles(FILES, EventIds(tmp_path), are_all=True)
    reading = files.reading(_days(1, 2, outcomes=("FAILURE",)))
    assert reading == (
        "from read_parquet(['/it''s/1.parquet'], hive_partitioning = false) where true and outcome = ?",
        ["FAILURE"],
        100,
    )
    assert files.reading(_days(1, 3)).sql == f"from {FACT} where event_time_utc >= ? and event_time_utc < ?"
    assert files.reading(_days(10, 12)) == (f"from {FACT} where false", [], 0)
    assert FACT in FactFiles(FILES, EventIds(tmp_path), are_all=False).reading(_days(1, 2)).sql


def test_of_a_file_that_is_not_all_in_the_period_the_times_are_looked_at(tmp_path: Path) -> None:
    files = FactFiles(FILES, EventIds(tmp_path), are_all=True)
    half = replace(_days(0, 1), end=datetime(2026, 5, 1, 11, 30, tzinfo=UTC))
    sql, values, rows = files.reading(half)
    assert sql.endswith("where event_time_utc >= ? and event_time_utc < ?")
    assert (len(values), rows) == (2, 50)
    sql, values, rows = files.reading(replace(_days(0, 2, applications=("Search",)), start=half.end))
    assert sql.index("1.parquet") < sql.index("0.parquet")
    assert values == ["Search", naive(half.end), naive(_days(0, 2).end), "Search"]
    assert rows == 150


def test_an_id_is_looked_for_only_in_files_that_may_have_it_and_never_missed(tmp_path: Path) -> None:
    files = []
    with duckdb.connect() as connection:
        for number in range(4):
            path = tmp_path / f"{number}.parquet"
            connection.execute(f"copy (select 'e-' || (range * 4 + {number}) as event_id from range(5000)) to '{path}'")
            files.append(replace(_file(number), path=str(path), rows=5000))
        ids = EventIds(tmp_path / "kept")
        assert ids.among(files, ["nobody"]) == files
        ids.learn(connection, files)
        again = EventIds(tmp_path / "kept")
        again.learn(duckdb.connect(), files)
        for known in (ids, again):
            for number in range(400):
                assert files[number % 4] in known.among(files, ["nobody", f"e-{number}"])
            others = sum(len(known.among(files, [f"x-{number}"])) for number in range(1000))
            assert others < 100
        assert FactFiles(files, ids, are_all=True).reading(_days(0, 4, event_ids=("nobody",))).rows == 0
        # One that is not whole is made again, and one whose file is gone is removed.
        kept = next((tmp_path / "kept").glob("*/0.parquet"))
        kept.write_bytes(b"")
        EventIds(tmp_path / "kept").learn(connection, files[:2])
        assert kept.stat().st_size == 7500
        assert len(list(kept.parent.iterdir())) == 2
