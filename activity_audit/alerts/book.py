"""The book of alerts: which causes are open, and what each place was told of them.

The home has one for what is about itself, `$AUDIT_HOME/alerts.sqlite`. What is about the warehouse is with its catalog,
in the schema `activity_audit_alerts` of its database or in a file beside it, for all homes that use the warehouse.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal

from activity_audit.alerts.causes import KINDS, Cause
from activity_audit.base.hours import iso, now_utc
from activity_audit.raw.database import IndexConnection, IndexDatabase, SqliteDatabase
from activity_audit.raw.postgres import PostgresDatabase
from activity_audit.settings.core import Settings
from activity_audit.warehouse.lake_location import postgres_dsn

Phase = Literal["begun", "over", "passed"]
SCHEMA = "activity_audit_alerts"
_FILE = "alerts.sqlite"
_BESIDE_CATALOG = "alerts"
_REBUILD = "Move it away, with its -wal and -shm: what is still wrong is then told once more"
_TABLES = (
    """create table if not exists alert (
        alert_id text primary key, kind text not null, about text not null, says text not null,
        began_at text not null, over_at text
    ) without rowid""",
    "create index if not exists alert_open on alert (kind, over_at)",
    """create table if not exists told (
        alert_id text not null, target text not null, begun_at text, over_at text, claimed_until text not null,
        primary key (alert_id, target)
    ) without rowid""",
)
# Longer than any service is waited for. Who dies while sending leaves the message to others after that.
_CLAIM = timedelta(minutes=2)
# How long a message is tried, and how long the book remembers what is over.
_TRIED = timedelta(days=7)
_KEPT = timedelta(days=90)
_NEVER = ""


@dataclass(frozen=True)
class Alert:
    """A cause in the book; times are ISO 8601, UTC. `untold` is how many places have yet to be told something."""

    alert_id: str
    kind: str
    about: str
    says: str
    began_at: str
    over_at: str | None
    untold: int = 0


@dataclass(frozen=True)
class Owed:
    """Alerts of one kind of which a place is to be told the same: that they begun, are over, or came and passed."""

    kind: str
    phase: Phase
    alerts: tuple[Alert, ...]


class Book:
    """The alerts of a home, or of a warehouse. Several processes may use it at once."""

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database

    def note(self, kind: str, found: Sequence[Cause], judged: Callable[[str], bool], targets: Collection[str]) -> None:
        """Open what is new of the causes that were found now; these places (their keys) are to be told all of them.

        What is open, is of the kind, was judged, and was not found is over. Of a kind that has no end, a cause that
        the book has in any state is not new.
        """
        now, causes = _at(now_utc()), {cause.about: cause for cause in found}
        if not causes and not self._open(kind):
            return
        with self._database.connect() as connection:
            connection.lock()
            has_end = KINDS[kind].has_end
            known = {about: key for key, about in _open_in(connection, kind, over_too=not has_end)}
            for about, cause in causes.items():
                if about not in known:
                    key = str(uuid.uuid4())
                    over = None if has_end else now
                    connection.execute(
                        "insert into alert values (?, ?, ?, ?, ?, ?)", [key, kind, about, cause.says, now, over]
                    )
                    _add_targets(connection, key, targets, over)
            for about, key in known.items() if has_end else ():
                if about in causes:
                    # A place that is named later, or whose URL was corrected, gets what is still wrong.
                    rows = connection.execute("select target from told where alert_id = ?", [key]).fetchall()
                    _add_targets(connection, key, set(targets) - {target for (target,) in rows})
                elif judged(about):
                    connection.execute("update alert set over_at = ? where alert_id = ?", [now, key])
            _forget(connection)

    def alerts(self, targets: Collection[str]) -> list[Alert]:
        """What is open, or has still to be told to one of these places (their keys); the oldest first."""
        with self._database.connect() as connection:
            rows = connection.execute(
                "select alert_id, kind, about, says, began_at, over_at from alert order by began_at, about"
            ).fetchall()
            untold = Counter(
                key
                for key, target in connection.execute(
                    "select told.alert_id, target from told join alert on alert.alert_id = told.alert_id "
                    "where told.begun_at is null or (alert.over_at is not null and told.over_at is null)"
                ).fetchall()
                if target in targets
            )
        found = [replace(Alert(*row), untold=untold[row[0]]) for row in rows]
        return [alert for alert in found if alert.over_at is None or alert.untold]

    def claim(self, target: str) -> list[Owed]:
        """What a place is to be told. Until it is told, or two minutes have passed, nobody else gets it."""
        if not self._owed(target, _at(now_utc())):
            return []
        with self._database.connect() as connection:
            connection.lock()
            rows = _owed_in(connection, target, _at(now_utc()))
            until = _at(now_utc() + _CLAIM)
            for row in rows:
                connection.execute(
                    "update told set claimed_until = ? where alert_id = ? and target = ?", [until, row[0], target]
                )
        found = [(_phase(row[5], row[6]), Alert(*row[:6])) for row in rows]
        found.sort(key=lambda one: (one[1].kind, one[0], one[1].about))
        return [
            Owed(kind, phase, tuple(alert for _, alert in group))
            for (kind, phase), group in groupby(found, key=lambda one: (one[1].kind, one[0]))
        ]

    def tell(self, target: str, owed: Owed, *, delivered: bool) -> None:
        """Note that a place was told something, or could not be and is to be told again."""
        now = _at(now_utc())
        with self._database.connect() as connection:
            connection.lock()
            for alert in owed.alerts:
                begun, over = (now if owed.phase != "over" else None), (now if owed.phase != "begun" else None)
                connection.execute(
                    "update told set claimed_until = ?, begun_at = coalesce(begun_at, ?), "
                    "over_at = coalesce(over_at, ?) where alert_id = ? and target = ?",
                    [_NEVER, begun if delivered else None, over if delivered else None, alert.alert_id, target],
                )

    # A look that changes nothing takes no lock: most looks find what they found before.
    def _open(self, kind: str) -> list[Any]:
        with self._database.connect() as connection:
            return _open_in(connection, kind)

    def _owed(self, target: str, now: str) -> list[Any]:
        with self._database.connect() as connection:
            return _owed_in(connection, target, now)


def book_of(settings: Settings, kind: str) -> Book:
    """The book that has causes of this kind."""
    return home_book(settings) if KINDS[kind].of_home else warehouse_book(settings)


def home_book(settings: Settings) -> Book:
    """The book of what is about this home."""
    return Book(SqliteDatabase(settings.home / _FILE, _TABLES, _REBUILD))


def warehouse_book(settings: Settings) -> Book:
    """The book of what is about the warehouse."""
    if settings.catalog_file:
        path = settings.catalog_file.with_name(f"{settings.catalog_file.name}.{_BESIDE_CATALOG}")
        return Book(SqliteDatabase(path, _TABLES, _REBUILD))
    return Book(PostgresDatabase(postgres_dsn(settings), SCHEMA, _TABLES, "the book of alerts"))


def _add_targets(connection: IndexConnection, key: str, targets: Collection[str], over: str | None = None) -> None:
    """Have places be told of a cause, and, unless it has no end, of its end; `over` is when that was, without one."""
    rows = [[key, target, None, over, _NEVER] for target in sorted(targets)]
    connection.executemany("insert into told values (?, ?, ?, ?, ?)", rows)


def _open_in(connection: IndexConnection, kind: str, *, over_too: bool = False) -> list[Any]:
    where = "kind = ?" if over_too else "kind = ? and over_at is null"
    return connection.execute(f"select alert_id, about from alert where {where}", [kind]).fetchall()


def _owed_in(connection: IndexConnection, target: str, now: str) -> list[Any]:
    """The alerts that the place is to be told something of, and that nobody is telling it now."""
    return connection.execute(
        "select alert.alert_id, kind, about, says, began_at, alert.over_at, told.begun_at "
        "from told join alert on alert.alert_id = told.alert_id "
        "where target = ? and claimed_until < ? "
        "and (told.begun_at is null or (alert.over_at is not null and told.over_at is null))",
        [target, now],
    ).fetchall()


def _phase(over_at: str | None, told_at: str | None) -> Phase:
    if over_at is None:
        return "begun"
    return "over" if told_at else "passed"


def _forget(connection: IndexConnection) -> None:
    """Remove what is over for long, and with it what could not be told in all that time."""
    tried, kept = _at(now_utc() - _TRIED), _at(now_utc() - _KEPT)
    connection.execute("delete from told where alert_id in (select alert_id from alert where over_at < ?)", [tried])
    connection.execute("delete from alert where over_at < ?", [kept])


def _at(time: datetime) -> str:
    """A time as the book has it, so that times are in the order of their texts."""
    return iso(time.replace(microsecond=0))
