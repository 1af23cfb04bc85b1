"""Named reports: a name for what a URL of the report asks for, private to who saved it or shared with all."""

from __future__ import annotations

import json
from calendar import month_name, monthrange
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import uuid4

from filelock import FileLock

from activity_audit.base.files import rewrite
from activity_audit.base.hours import iso, now_utc
from activity_audit.warehouse.events.long_texts import LONGEST_QUERY

if TYPE_CHECKING:
    from activity_audit.report.queries.warehouse import Query

LONGEST_NAME = 100
_MOST = 200
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
    """One of them. `query` is the part of the URL behind the `?`, `view` how it is shown; the example has no owner."""

    id: str
    name: str
    owner: str | None
    shared: bool
    query: str
    saved_at: str
    view: str = "table"


class SavedReports:
    """The named reports in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def visible_to(self, name: str) -> list[SavedReport]:
        """The user's own and the shared ones, by name."""
        found = [report for report in self._read() if report.shared or report.owner == name]
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
    ) -> SavedReport:
        """Save one. The owner's own of the same name is replaced if it has the id `replace_id`.

        Where `shared` is not said, what is replaced stays shared or not, and what is new is not.

        Raises:
            SameNameError: if the owner has one of the name, and that one is not said to be replaced.
            SavedReportError: if the name is blank or too long, or there are too many.
        """
        name = " ".join(name.split())
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise SavedReportError(f"the name must have 1 to {LONGEST_NAME} characters")
        query = query.removeprefix("?")
        if len(query) > LONGEST_QUERY:
            raise SavedReportError("this selection is too large to be saved; choose fewer values")
        with self._changing() as reports:
            same = next((one for one in reports if one.owner == owner and one.name.casefold() == name.casefold()), None)
            if same and same.id != replace_id:
                raise SameNameError(same)
            if same:
                reports.remove(same)
                shared = same.shared if shared is None else shared
            elif sum(one.owner == owner for one in reports) >= _MOST:
                raise SavedReportError(f"you have {_MOST} already; delete one first")
            saved = SavedReport(
                same.id if same else str(uuid4()), name, owner, bool(shared), query, iso(now_utc()), view
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
        """Delete one's own.

        Raises:
            SavedReportError: if there is none of this id that is one's own.
        """
        with self._changing() as reports:
            old = _own(reports, report_id, owner)
            reports.remove(old)
        return old

    @contextmanager
    def _changing(self) -> Iterator[list[SavedReport]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(f".{self._path.name}.lock"), timeout=10):
            reports = self._read()
            yield reports
            rewrite(self._path, json.dumps([asdict(one) for one in reports], ensure_ascii=False, indent=2) + "\n")

    def _read(self) -> list[SavedReport]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        try:
            return [SavedReport(**entry) for entry in json.loads(text)]
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
        if one.id == report_id and one.owner == owner:
            return one
    raise SavedReportError("you have no such saved report; it may have been deleted in the meantime")
