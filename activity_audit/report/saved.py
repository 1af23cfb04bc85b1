"""Named reports: a name for what a URL of the report asks for, private to who saved it or shared with all."""

from __future__ import annotations

import json
from calendar import month_name, monthrange
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import uuid4

from filelock import FileLock

from activity_audit.base.files import rewrite
from activity_audit.base.hours import iso, now_utc, parse_time
from activity_audit.warehouse.events.long_texts import LONGEST_QUERY

if TYPE_CHECKING:
    from activity_audit.report.queries.warehouse import Query

LONGEST_NAME = 100
LONGEST_DESCRIPTION = 500
# So long a deleted one can be had again.
UNDO = timedelta(minutes=10)
_MOST = 200
_MOST_PEOPLE, _LONGEST_PERSON = 100, 200
EXAMPLE_ID = "example"
_APPLICATION = "Analytics"
_VIEWED = {"entity": "Chat", "activity": "Interaction Viewed"}


class SavedReportError(ValueError):
    """A named report cannot be saved or changed; the message says why."""


class SameNameError(SavedReportError):
    """One's own report of the name is there; `report` is it, and is replaced only if one says so."""

    def __init__(self, report: SavedReport) -> None:
        super().__init__(f"you already have a saved report “{report.name}”; choose to replace it")
        self.report = report


@dataclass(frozen=True)
class SavedReport:
    """One of them. `query` is the part of the URL behind the `?`, `view` how it is shown; the example has no owner.

    `people` are those whom it is shared with by name. One that was deleted, at `deleted_at`, is kept for a while.
    """

    id: str
    name: str
    owner: str | None
    shared: bool
    query: str
    saved_at: str
    view: str = "table"
    description: str = ""
    people: tuple[str, ...] = ()
    deleted_at: str = ""

    def is_visible_to(self, name: str) -> bool:
        """Whether it is there for the user."""
        return not self.deleted_at and (self.shared or self.owner == name or name in self.people)


class SavedReports:
    """The named reports in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def visible_to(self, name: str) -> list[SavedReport]:
        """The user's own, and those that are shared with them or with all, by name."""
        found = [report for report in self._read() if report.is_visible_to(name)]
        return sorted(found, key=lambda report: (report.name.casefold(), report.id))

    def own(self, report_id: str, name: str) -> SavedReport:
        """The user's own of this id.

        Raises:
            SavedReportError: if there is none.
        """
        return _own(self._read(), report_id, name)

    def save(
        self,
        name: str,
        owner: str,
        query: str,
        *,
        shared: bool | None = None,
        view: str = "table",
        replace_id: str = "",
        description: str | None = None,
        people: Iterable[str] | None = None,
        seen: str = "",
    ) -> SavedReport:
        """Save one. The owner's own of the same name is replaced if it has the id `replace_id`.

        Where `shared`, `description` or `people` is not said, what is replaced keeps its own, and what is new has none.
        `seen` is when what is replaced was saved, as the person who replaces it saw it.

        Raises:
            SameNameError: if the owner has one of the name, and that one is not said to be replaced.
            SavedReportError: if the name is blank or too long, there are too many, or it was changed since it was seen.
        """
        name = " ".join(name.split())
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise SavedReportError(f"the name must have 1 to {LONGEST_NAME} characters")
        said = " ".join(description.split()) if description is not None else None
        if said and (len(said) > LONGEST_DESCRIPTION or not said.isprintable()):
            raise SavedReportError(f"the description may have {LONGEST_DESCRIPTION} characters")
        named = tuple(dict.fromkeys(one for text in people if (one := text.strip()))) if people is not None else None
        if named and (len(named) > _MOST_PEOPLE or any(len(one) > _LONGEST_PERSON for one in named)):
            raise SavedReportError(f"it can be shared with {_MOST_PEOPLE} people by name; share it with everybody")
        query = query.removeprefix("?")
        if len(query) > LONGEST_QUERY:
            raise SavedReportError("this selection is too large to be saved; choose fewer values")
        with self._changing() as reports:
            same = _named(reports, name, owner)
            if same and same.id != replace_id:
                raise SameNameError(same)
            if same and seen and same.saved_at != seen:
                at = same.saved_at[:19].replace("T", " ")
                raise SavedReportError(f"“{same.name}” was changed meanwhile, {at} UTC; look at it, then save again")
            if same:
                reports.remove(same)
                shared = same.shared if shared is None else shared
                said = same.description if said is None else said
                named = same.people if named is None else named
            elif sum(one.owner == owner and not one.deleted_at for one in reports) >= _MOST:
                raise SavedReportError(f"you have {_MOST} already; delete one first")
            saved = SavedReport(
                same.id if same else str(uuid4()),
                name,
                owner,
                bool(shared),
                query,
                iso(now_utc()),
                view,
                said or "",
                named or (),
            )
            reports.append(saved)
        return saved

    def share(self, report_id: str, owner: str, shared: bool) -> SavedReport:
        """Share one's own with all, or keep it to oneself again.

        Raises:
            SavedReportError: if there is none of this id that is one's own.
        """
        with self._changing() as reports:
            old = _own(reports, report_id, owner)
            new = replace(old, shared=shared)
            reports[reports.index(old)] = new
        return new

    def delete(self, report_id: str, owner: str) -> SavedReport:
        """Delete one's own; for `UNDO` it can be had again.

        Raises:
            SavedReportError: if there is none of this id that is one's own.
        """
        with self._changing() as reports:
            old = _own(reports, report_id, owner)
            reports[reports.index(old)] = replace(old, deleted_at=iso(now_utc()))
        return old

    def restore(self, report_id: str, owner: str) -> SavedReport:
        """Have one's own again that was deleted.

        Raises:
            SavedReportError: if that was too long ago, or there is another of its name now.
        """
        with self._changing() as reports:
            old = next((one for one in reports if (one.id, one.owner) == (report_id, owner) and one.deleted_at), None)
            if old is None:
                raise SavedReportError("it cannot be had again: it was deleted too long ago, or it is there")
            if _named(reports, old.name, owner):
                raise SavedReportError(f"you have another saved report “{old.name}” by now; delete that first")
            new = replace(old, deleted_at="")
            reports[reports.index(old)] = new
        return new

    def deleted(self, name: str) -> list[SavedReport]:
        """The user's own that were deleted and can be had again, the newest first."""
        found = [one for one in self._read() if one.owner == name and one.deleted_at and not _is_over(one)]
        return sorted(found, key=lambda report: report.deleted_at, reverse=True)

    @contextmanager
    def _changing(self) -> Iterator[list[SavedReport]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(f".{self._path.name}.lock"), timeout=10):
            reports = [one for one in self._read() if not _is_over(one)]
            yield reports
            rewrite(self._path, json.dumps([asdict(one) for one in reports], ensure_ascii=False, indent=2) + "\n")

    def _read(self) -> list[SavedReport]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        try:
            return [SavedReport(**entry | {"people": tuple(entry.get("people", ()))}) for entry in json.loads(text)]
        except (ValueError, TypeError) as error:
            raise SavedReportError(f"{self._path} is damaged ({error}); restore it, or move it away") from None


def example(query: Query | None, now: datetime) -> SavedReport:
    """The document's own: who viewed chats in Interaction Analytics in May, of the newest year that has such events.

    Where there are none of any May it is the newest month that has some, and else the last May that has begun.
    """
    first = date(now.year if now.month >= 5 else now.year - 1, 5, 1)
    if query:
        found = query.rows(
            "select max(event_hour_utc) filter (month(event_hour_utc) = 5), max(event_hour_utc) "
            "from audit.main.agg_activity_hourly "
            "where application = ? and list_contains(?, entity) and list_contains(?, activity)",
            [_APPLICATION, *(list(query.labels.spellings(*name)) for name in _VIEWED.items())],
        )[0]
        newest = found[0] or found[1]
        first = newest.date().replace(day=1) if newest else first
    last = first.replace(day=monthrange(first.year, first.month)[1])
    return SavedReport(
        id=EXAMPLE_ID,
        name=f"Example: chats viewed in Interaction Analytics, {month_name[first.month]} {first.year}",
        owner=None,
        shared=True,
        query=f"period=from-to&from={first}&to={last}&application={_APPLICATION}&{urlencode(_VIEWED)}",
        saved_at="",
    )


def _own(reports: list[SavedReport], report_id: str, owner: str) -> SavedReport:
    for one in reports:
        if one.id == report_id and one.owner == owner and not one.deleted_at:
            return one
    raise SavedReportError("you have no such saved report; it may have been deleted in the meantime")


def _named(reports: list[SavedReport], name: str, owner: str) -> SavedReport | None:
    for one in reports:
        if one.owner == owner and one.name.casefold() == name.casefold() and not one.deleted_at:
            return one
    return None


def _is_over(report: SavedReport) -> bool:
    return bool(report.deleted_at) and parse_time(report.deleted_at) + UNDO < now_utc()
