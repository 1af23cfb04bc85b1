"""The book of deliveries: what readers subscribed to, the questions that they ask, and what became of both.

It is a file of the home, as saved reports are. Times are ISO 8601, UTC. Several processes may use it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, TypeVar

from activity_audit.base.hours import iso, now_utc, parse_time
from activity_audit.raw.database import IndexConnection, SqliteDatabase
from activity_audit.settings.core import Settings

State = Literal["due", "failing", "delivered", "given up", "passed over"]
Unit = Literal["hour", "day", "week", "month"]
_REBUILD = "Restore it from a backup, or move it away with its -wal and -shm: readers then subscribe again"
_OWNER = """report_id text not null, report_name text not null, owner text not null, permissions text not null,
        is_masked integer not null, seen_at text not null, created_at text not null, stopped_at text,
        stopped_why text"""
TABLES = (
    f"""create table if not exists subscription (
        id text primary key, every text not null, format text not null, folder text not null,
        recipients text not null, next_from text not null, {_OWNER}
    ) without rowid""",
    """create table if not exists delivery (
        subscription_id text not null, period_from text not null, period_to text not null, state text not null,
        name text not null, due_at text not null, tries integer not null, tried_at text, done_at text, says text,
        snapshot_id integer, row_count integer, sent_to text not null, primary key (subscription_id, period_from)
    ) without rowid""",
    f"""create table if not exists question (
        id text primary key, field text not null, every text not null, comparison text not null,
        number integer not null, owed text not null, problem text, {_OWNER}
    ) without rowid""",
    """create table if not exists finding (
        question_id text not null, window_from text not null, value text not null, event_count integer not null,
        found_at text not null, told_at text, primary key (question_id, window_from, value)
    ) without rowid""",
    "create table if not exists looked_hour (hour text primary key, event_count integer not null) without rowid",
    "create table if not exists looked (snapshot_id integer not null)",
)
# How long what was delivered, or found, is remembered.
_KEPT = timedelta(days=400)
_LONGEST = 300


@dataclass(frozen=True)
class Standing:
    """What a reader wants again and again of a saved report: who, with which permissions, and whether it goes on.

    `permissions` and `is_masked` are those that the owner had when they were seen last, at `seen_at`. The permissions
    have the names of the owner's roles among them, with which others may have shared the report.
    """

    TABLE: ClassVar[str]

    id: str
    report_id: str
    report_name: str
    owner: str
    permissions: str
    is_masked: int
    seen_at: str
    created_at: str
    stopped_at: str | None
    stopped_why: str | None


@dataclass(frozen=True)
class Subscription(Standing):
    """A saved report that is delivered, of each period when it is over: into a folder, or by mail to recipients.

    `next_from` is the beginning of the first period that nobody has seen to be over.
    """

    TABLE = "subscription"

    every: Unit
    format: str
    folder: str
    recipients: str
    next_from: str

    @property
    def to(self) -> tuple[str, ...]:
        """The addresses; none where it goes into a folder."""
        return tuple(self.recipients.split())


@dataclass(frozen=True)
class Delivery:
    """One period of a subscription, [from, to), and how far it is; `sent_to` are addresses that took it already."""

    subscription_id: str
    period_from: str
    period_to: str
    state: State
    name: str
    due_at: str
    tries: int = 0
    tried_at: str | None = None
    done_at: str | None = None
    says: str | None = None
    snapshot_id: int | None = None
    row_count: int | None = None
    sent_to: str = ""

    @property
    def period(self) -> tuple[datetime, datetime]:
        """Its period, aware."""
        return parse_time(self.period_from), parse_time(self.period_to)


@dataclass(frozen=True)
class Question(Standing):
    """A saved report with a threshold: whether its events in an hour or a day, or those of one value, are too many.

    `owed` are the beginnings of windows that have to be looked at; `problem` is why the last look failed.
    """

    TABLE = "question"

    field: str
    every: Unit
    comparison: str
    number: int
    owed: str
    problem: str | None


@dataclass(frozen=True)
class Finding:
    """A window, and a value as a URL has it, whose events were too many; the empty text where there is no value."""

    question_id: str
    window_from: str
    value: str
    event_count: int
    found_at: str
    told_at: str | None = None


Kept = TypeVar("Kept", Subscription, Delivery, Question, Finding)
_TABLE_OF: dict[type, str] = {Delivery: "delivery", Finding: "finding"}


class Book:
    """The book of a home."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.deliveries_file
        self._database = SqliteDatabase(self._path, TABLES, _REBUILD)

    @property
    def is_there(self) -> bool:
        """Whether somebody has ever subscribed or asked."""
        return self._path.exists()

    @contextmanager
    def changing(self) -> Iterator[IndexConnection]:
        """A transaction that keeps other writers out."""
        with self._database.connect() as connection:
            connection.lock()
            yield connection

    def find(self, kind: type[Kept], where: str = "true", values: Sequence[Any] = ()) -> list[Kept]:
        """The rows of a kind, in the order of their keys; none where there is no book."""
        if not self.is_there:
            return []
        with self._database.connect() as connection:
            return find_in(connection, kind, where, values)

    def add(self, *rows: Subscription | Delivery | Question) -> None:
        """Add rows; one whose key is there stays as it is."""
        with self.changing() as connection:
            for row in rows:
                add_in(connection, row)

    def change(self, row: Subscription | Delivery | Question | Finding, **values: Any) -> None:
        """Change some values of a row."""
        with self.changing() as connection:
            change_in(connection, row, **values)

    def remove(self, row: Subscription | Question) -> None:
        """Remove it, with what became of it."""
        with self.changing() as connection:
            connection.execute(f"delete from {row.TABLE} where id = ?", [row.id])
            connection.execute("delete from delivery where subscription_id = ?", [row.id])
            connection.execute("delete from finding where question_id = ?", [row.id])

    def forget(self) -> None:
        """Remove what was over long ago."""
        long_ago = iso((now_utc() - _KEPT).replace(microsecond=0))
        with self.changing() as connection:
            connection.execute("delete from delivery where due_at < ?", [long_ago])
            connection.execute("delete from finding where found_at < ?", [long_ago])


def find_in(connection: IndexConnection, kind: type[Kept], where: str, values: Sequence[Any]) -> list[Kept]:
    """The rows of a kind."""
    names = [field.name for field in fields(kind)]
    rows = connection.execute(f"select {', '.join(names)} from {_table(kind)} where {where}", values).fetchall()
    return [kind(**dict(zip(names, row, strict=True))) for row in rows]


def add_in(connection: IndexConnection, row: Subscription | Delivery | Question | Finding) -> None:
    """Add a row, unless its key is there."""
    names = [field.name for field in fields(row)]
    connection.execute(
        f"insert into {_table(type(row))} ({', '.join(names)}) values ({', '.join('?' * len(names))}) "
        "on conflict do nothing",
        [getattr(row, name) for name in names],
    )


def change_in(connection: IndexConnection, row: Subscription | Delivery | Question | Finding, **values: Any) -> None:
    """Change some values of a row."""
    match row:
        case Delivery():
            where, key = "subscription_id = ? and period_from = ?", [row.subscription_id, row.period_from]
        case Finding():
            where = "question_id = ? and window_from = ? and value = ?"
            key = [row.question_id, row.window_from, row.value]
        case _:
            where, key = "id = ?", [row.id]
    changed = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"update {_table(type(row))} set {changed} where {where}", [*values.values(), *key])


def _table(kind: type) -> str:
    return _TABLE_OF.get(kind) or str(kind.TABLE)  # type: ignore[attr-defined]


def at(time: datetime) -> str:
    """A time as the book has it, so that times are in the order of their texts."""
    return iso(time.replace(microsecond=0))


def said(text: str) -> str:
    """Why something failed, as the book keeps it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
