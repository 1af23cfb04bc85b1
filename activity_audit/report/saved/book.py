"""The saved reports of a home, in one file: saving, changing, sharing, marking, deleting and restoring them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from filelock import FileLock

from activity_audit.base.files import rewrite
from activity_audit.base.hours import iso, now_utc, parse_time
from activity_audit.report.saved.reports import (
    NOTHING_SAID,
    Details,
    SameNameError,
    SavedReport,
    SavedReportError,
    name_of,
)
from activity_audit.warehouse.events.long_texts import LONGEST_QUERY

if TYPE_CHECKING:
    from activity_audit.report.access.permissions import User

Mark = Literal["favourite_of", "first_of"]
# So long a deleted one can be had again.
UNDO = timedelta(minutes=10)
_MOST = 200
_GONE = "you have no such saved report; it may have been deleted in the meantime"


class SavedReports:
    """The named reports in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def visible_to(self, user: User) -> list[SavedReport]:
        """The user's own, and those that are shared with them or with all: their favourites first, by name."""
        found = [report for report in self._read() if report.is_visible_to(user)]
        return sorted(found, key=lambda one: (user.name not in one.favourite_of, one.name.casefold(), one.id))

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
        details: Details = NOTHING_SAID,
        *,
        view: str = "table",
        replace_id: str = "",
        seen: str = "",
    ) -> SavedReport:
        """Save one. The owner's own of the same name is replaced if it has the id `replace_id`.

        What `details` do not say, what is replaced keeps, and what is new does not have. `seen` is when what is
        replaced was saved, as the person who replaces it saw it.

        Raises:
            SameNameError: if the owner has one of the name, and that one is not said to be replaced.
            SavedReportError: if the name is blank or too long, there are too many, or it was changed since it was seen.
        """
        name, said, query = name_of(name), details.said(), query.removeprefix("?")
        if len(query) > LONGEST_QUERY:
            raise SavedReportError("this selection is too large to be saved; choose fewer values")
        with self._changing() as reports:
            same = _named(reports, name, owner)
            if same and same.id != replace_id:
                raise SameNameError(same)
            if same:
                _require_unchanged(same, seen)
                reports.remove(same)
            elif sum(one.owner == owner and not one.deleted_at for one in reports) >= _MOST:
                raise SavedReportError(f"you have {_MOST} already; delete one first")
            old = same or SavedReport(str(uuid4()), name, owner, False, query, "")
            saved = replace(old, name=name, query=query, view=view, saved_at=iso(now_utc()), **said)
            reports.append(saved)
        return saved

    def edit(self, report_id: str, owner: str, name: str, details: Details, seen: str = "") -> SavedReport:
        """Give one's own another name, and say something else of it; what it asks stays. `seen` is as for `save`.

        Raises:
            SavedReportError: if there is none of this id, another of this name, or it was changed since it was seen.
        """
        name, said = name_of(name), details.said()

        def edited(old: SavedReport, reports: list[SavedReport]) -> SavedReport:
            _require_unchanged(old, seen)
            same = _named(reports, name, owner)
            if same and same.id != report_id:
                raise SavedReportError(f"you have another saved report “{same.name}”; choose another name")
            return replace(old, name=name, saved_at=iso(now_utc()), **said)

        return self._change_own(report_id, owner, edited)

    def mark(self, report_id: str, user: User, mark: Mark, is_set: bool) -> SavedReport:
        """Set or remove one's mark on a report that one sees; only one opens first.

        Raises:
            SavedReportError: if there is none of this id that the user sees.
        """
        with self._changing() as reports:
            if not any(one.id == report_id and one.is_visible_to(user) for one in reports):
                raise SavedReportError(_GONE)
            for place, one in enumerate(reports):
                others = tuple(name for name in getattr(one, mark) if name != user.name)
                is_it = one.id == report_id
                if is_it or (mark == "first_of" and is_set):
                    marked: dict[str, Any] = {mark: (*others, user.name) if is_it and is_set else others}
                    reports[place] = replace(one, **marked)
        return next(one for one in reports if one.id == report_id)

    def share(self, report_id: str, owner: str, shared: bool) -> SavedReport:
        """Share one's own with all, or keep it to oneself again.

        Raises:
            SavedReportError: if there is none of this id that is one's own.
        """
        return self._change_own(report_id, owner, lambda old, _: replace(old, shared=shared))

    def delete(self, report_id: str, owner: str) -> SavedReport:
        """Delete one's own; for `UNDO` it can be had again.

        Raises:
            SavedReportError: if there is none of this id that is one's own.
        """
        return self._change_own(report_id, owner, lambda old, _: replace(old, deleted_at=iso(now_utc())))

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

    def _change_own(
        self, report_id: str, owner: str, change: Callable[[SavedReport, list[SavedReport]], SavedReport]
    ) -> SavedReport:
        with self._changing() as reports:
            old = _own(reports, report_id, owner)
            new = reports[reports.index(old)] = change(old, reports)
        return new

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
            return [_report(entry) for entry in json.loads(text)]
        except (ValueError, TypeError, AttributeError) as error:
            raise SavedReportError(f"{self._path} is damaged ({error}); restore it, or move it away") from None


def _require_unchanged(report: SavedReport, seen: str) -> None:
    if seen and report.saved_at != seen:
        at = report.saved_at[:19].replace("T", " ")
        raise SavedReportError(f"“{report.name}” was changed meanwhile, {at} UTC; look at it, then save again")


def _report(entry: dict[str, Any]) -> SavedReport:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return SavedReport(**values)


def _own(reports: list[SavedReport], report_id: str, owner: str) -> SavedReport:
    for one in reports:
        if one.id == report_id and one.owner == owner and not one.deleted_at:
            return one
    raise SavedReportError(_GONE)


def _named(reports: list[SavedReport], name: str, owner: str) -> SavedReport | None:
    for one in reports:
        if one.owner == owner and one.name.casefold() == name.casefold() and not one.deleted_at:
            return one
    return None


def _is_over(report: SavedReport) -> bool:
    return bool(report.deleted_at) and parse_time(report.deleted_at) + UNDO < now_utc()
