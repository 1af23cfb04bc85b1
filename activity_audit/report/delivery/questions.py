"""Asks each new snapshot the questions of readers: of the hours whose events changed, were there too many?

The counts of all hours are kept from look to look, so that an hour is looked at when something was added to it, however
late, and not otherwise. What a look has no time for, or fails at, stays owed to the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from activity_audit.alerts.causes import Cause
from activity_audit.alerts.rounds import observe
from activity_audit.base.faults import FaultError
from activity_audit.base.hours import aware, contiguous_ranges, now_utc, parse_time, unit_begin, unit_end
from activity_audit.base.masking import without_secrets
from activity_audit.report.access.users import UsersFileError
from activity_audit.report.delivery import standing
from activity_audit.report.delivery.book import Book, Finding, Question, Unit, add_in, at, change_in, find_in, said
from activity_audit.report.delivery.standing import StoppedError
from activity_audit.report.saved.reports import SavedReportError
from activity_audit.report.texts import count_text, encode
from activity_audit.report.web.urls import BadLinkError, State
from activity_audit.warehouse import lake
from activity_audit.warehouse.events.columns import COLUMNS

if TYPE_CHECKING:
    from activity_audit.raw.database import IndexConnection
    from activity_audit.report.queries.warehouse import Query, Warehouse
    from activity_audit.settings.core import Settings

FIELDS = ("application", "entity", "activity", "outcome", "triggered_by", "instance")
# The windows, as the form has them, and how a count is compared with the number.
WINDOWS: dict[Unit, str] = {"hour": "an hour", "day": "a day (UTC)"}
COMPARISONS = {"more": "more than", "least": "at least"}
_OPERATORS = {"more": ">", "least": ">="}
TITLES = {column.field: column.title for column in COLUMNS}
# How long a look may take for each question, in seconds, and what it reads at a time.
_TIME = 30.0
_BLOCK = timedelta(days=7)
MOST_FINDINGS = 1000
_HOURS = "select event_hour_utc, cast(sum(event_count) as bigint) from audit.main.agg_activity_hourly group by all"
_FAULTS = (lake.WarehouseError, FaultError, OSError, BadLinkError, SavedReportError, UsersFileError)
Rows = Callable[[str], list[tuple[Any, ...]]]


def hours_of(rows: Rows) -> dict[str, int]:
    """How many events each hour has that has some, by its text in the book."""
    return {at(aware(hour)): count for hour, count in rows(_HOURS)}


def begin(book: Book, question: Question, hours: dict[str, int], snapshot: int) -> None:
    """Add a question, which is about events that come after this snapshot."""
    is_first = not book.find(Question, "stopped_at is null")
    with book.changing() as connection:
        # What changed while nobody asked anything is nobody's question.
        if is_first:
            _keep(connection, hours, snapshot)
        add_in(connection, question)


def again(book: Book, question: Question, hours: dict[str, int], snapshot: int) -> None:
    """Have a question that was stopped be asked again, as `begin` does."""
    others = book.find(Question, "stopped_at is null and id <> ?", [question.id])
    with book.changing() as connection:
        if not others:
            _keep(connection, hours, snapshot)
        change_in(connection, question, stopped_at=None, stopped_why=None, problem=None, owed="")


def is_new(settings: Settings) -> bool:
    """Whether there is a question, and a snapshot that it was not asked of, or a look at one that was killed.

    Raises:
        WarehouseError: if nothing is published, or it cannot be read.
    """
    book = Book(settings)
    active = book.find(Question, "stopped_at is null")
    if not active:
        return False
    with lake.reader(settings) as connection:
        return any(one.owed and not one.problem for one in active) or lake.snapshot(connection).snapshot_id != _looked(
            book
        )


def look(settings: Settings) -> list[str]:
    """Ask all questions of the newest snapshot, and tell of what they find; warnings, a sentence each.

    Never fails: a question that cannot be answered is a warning and an alert, and is asked again.
    """
    book = Book(settings)
    if not book.find(Question):
        return []
    try:
        with FileLock(settings.report_dir / ".questions.lock", timeout=0):
            _look(settings, book)
            return _tell(settings, book)
    except (Timeout, lake.NothingPublishedError):
        return []
    except _FAULTS as error:
        return [f"questions could not be asked: {without_secrets(str(error))}"]


def _look(settings: Settings, book: Book) -> None:
    active = book.find(Question, "stopped_at is null")
    if not active:
        return
    with lake.reader(settings, pinned=True) as connection:
        snapshot = lake.snapshot(connection).snapshot_id
        if snapshot != _looked(book):
            _note(book, hours_of(lambda sql: connection.execute(sql).fetchall()), snapshot)
            active = book.find(Question, "stopped_at is null")
    if not any(one.owed for one in active):
        return
    from activity_audit.report.queries.warehouse import Warehouse

    with closing(Warehouse(settings)) as warehouse:
        for question in active:
            if question.owed:
                _ask(settings, book, question, warehouse, snapshot)
    book.forget()


def _note(book: Book, hours: dict[str, int], snapshot: int) -> None:
    """Owe each question the windows of the hours that changed, and keep the counts as they are now."""
    with book.changing() as connection:
        known = dict(connection.execute("select hour, event_count from looked_hour").fetchall())
        changed = [parse_time(hour) for hour, count in hours.items() if known.get(hour) != count]
        for question in find_in(connection, Question, "stopped_at is null", []):
            windows = {at(unit_begin(hour, question.every)) for hour in changed}
            owed = " ".join(sorted(windows.union(question.owed.split())))
            change_in(connection, question, owed=owed)
        _keep(connection, hours, snapshot)


def _keep(connection: IndexConnection, hours: dict[str, int], snapshot: int) -> None:
    connection.execute("delete from looked_hour")
    connection.executemany("insert into looked_hour values (?, ?)", list(hours.items()))
    connection.execute("delete from looked")
    connection.execute("insert into looked values (?)", [snapshot])


def _looked(book: Book) -> int | None:
    with book.changing() as connection:
        row = connection.execute("select snapshot_id from looked").fetchone()
    return row[0] if row else None


def _ask(settings: Settings, book: Book, question: Question, warehouse: Warehouse, snapshot: int) -> None:
    """Look at the windows that a question is owed, the newest first, for as long as it may take."""
    from activity_audit.report.queries.warehouse import QueryStoppedError

    ends_at, problem = time.monotonic() + _TIME, None
    owed = set(question.owed.split())
    try:
        user = standing.owner_now(settings, question)
        _, state = standing.asked(settings, question, user)
        for windows in _blocks(owed, question.every):
            left = ends_at - time.monotonic()
            if left <= 0:
                problem = f"{count_text(len(owed))} windows are left for the next look"
                break
            with warehouse.query(snapshot=snapshot, timeout=left, masked=user.is_masked) as query:
                found = findings(query, question, state, windows)
            owed -= {at(window) for window in windows}
            with book.changing() as connection:
                for one in found:
                    add_in(connection, one)
                    change_in(connection, one, event_count=one.event_count)
                change_in(connection, question, owed=" ".join(sorted(owed)))
    except StoppedError as error:
        book.change(question, stopped_at=at(now_utc()), stopped_why=said(str(error)), owed="", problem=None)
        return
    except (*_FAULTS, QueryStoppedError) as error:
        problem = said(without_secrets(str(error)))
    if problem != question.problem:
        book.change(question, problem=problem)


def _blocks(owed: Iterable[str], every: Unit) -> Iterable[list[datetime]]:
    """The windows that are read together, the newest first: those that are near one another, of a week at most."""
    windows = sorted(map(parse_time, owed), reverse=True)
    while windows:
        newest = windows[0]
        near = [one for one in windows if newest - one < _BLOCK]
        yield near
        windows = windows[len(near) :]


def findings(query: Query, question: Question, state: State, windows: Collection[datetime]) -> list[Finding]:
    """The windows, and values, whose events are too many; of more than `MOST_FINDINGS` those with the most events.

    Raises:
        QueryStoppedError: if it takes too long.
    """
    from activity_audit.report.queries.counts import cells, together

    hours = [hour for window in windows for hour in _hours(window, question.every)]
    parts = []
    fields = (question.field,) if question.field else ()
    for start, end in contiguous_ranges(hours, timedelta(0)):
        filters = query.labels.spelled(standing.of_period(state, start, end).filters(now_utc()))
        parts.append(cells(query, filters, fields, by="hour"))
    counted = together(parts)
    value = question.field or "null"
    rows = query.rows(
        f"select date_trunc('{question.every}', begins) as of_window, {value} as found, "
        f"cast(sum(n) as bigint) as total from ({counted.sql}) group by all "
        f"having total {_OPERATORS[question.comparison]} ? order by total desc limit {MOST_FINDINGS}",
        [*counted.values, question.number],
        reads=counted.reads,
    )
    now = at(now_utc())
    return [
        Finding(question.id, at(aware(window)), encode(found) if question.field else "", total, now)
        for window, found, total in rows
    ]


def _hours(window: datetime, every: Unit) -> Iterable[datetime]:
    hour, end = window, unit_end(window, every)
    while hour < end:
        yield hour
        hour = unit_end(hour, "hour")


def _tell(settings: Settings, book: Book) -> list[str]:
    """Tell of findings that nobody was told of, and of questions that could not be answered."""
    by_id = {one.id: one for one in book.find(Question)}
    untold = [one for one in book.find(Finding, "told_at is null") if one.question_id in by_id]
    causes = [
        Cause(
            "question_found",
            f"{one.question_id} {one.window_from} {one.value}",
            _says(settings, by_id[one.question_id], one),
        )
        for one in untold
    ]
    warnings = observe(settings, "question_found", causes) if causes else []
    now = at(now_utc())
    with book.changing() as connection:
        for one in untold:
            change_in(connection, one, told_at=now)
    failed = [
        Cause("question_failed", one.id, f"The question “{one.report_name}” of {one.owner} {why}.")
        for one in by_id.values()
        if (why := _wrong(one))
    ]
    return [*warnings, *(one.says.rstrip(".") for one in failed), *observe(settings, "question_failed", failed)]


def _wrong(question: Question) -> str | None:
    if question.stopped_at:
        return f"stopped: {question.stopped_why}" if question.stopped_why else None
    return f"could not be answered: {question.problem}" if question.problem else None


def _says(settings: Settings, question: Question, finding: Finding) -> str:
    """What is reported of a finding. It goes to other systems, so it does not say of whom it is."""
    where = f": {settings.report.url}/questions#{question.id}" if settings.report.url else ""
    return (
        f"“{question.report_name}” ({threshold_text(question)}): {count_text(finding.event_count)} in the "
        f"{question.every} {finding.window_from}{where}"
    )


def threshold_text(question: Question) -> str:
    """What is too many, in words: `more than 5 events of one Triggered By in an hour`."""
    of = f" of one {TITLES[question.field]}" if question.field else ""
    compared = f"{COMPARISONS[question.comparison]} {count_text(question.number)}"
    return f"{compared} {'event' if question.number == 1 else 'events'}{of} in {WINDOWS[question.every]}"
