"""One export that is under way: what it writes, how far it is, and how it ended."""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from activity_audit.base.catalogue import normalised_name
from activity_audit.base.hours import iso
from activity_audit.base.shown_text import visible
from activity_audit.report.export.layout import AS_EVER, Layout
from activity_audit.report.queries.orders import TIME
from activity_audit.warehouse.events.filters import Filters

if TYPE_CHECKING:
    from activity_audit.report.access.permissions import User
    from activity_audit.report.export.about import About
    from activity_audit.report.export.groups_file import GroupsAsked
    from activity_audit.report.queries.warehouse import Query, Warehouse
    from activity_audit.report.trail import Trail

State = Literal["waiting", "running", "done", "failed", "stopped"]
_DAY = timedelta(days=1)
_UNSAFE = re.compile("[^A-Za-z0-9]+")
_LONGEST_NAME = 60
_log = logging.getLogger(__name__)


class ExportRefusedError(RuntimeError):
    """An export cannot begin or go on; the message says why and what to do."""


class _StoppedError(Exception):
    pass


@dataclass
class Job:
    """One export: of events, or of their `groups`; `layout` is what else of the view it has.

    `rows` are written of `of`, which is None until it is known; `error` is for the reader.
    """

    id: str
    user: User
    filters: Filters
    suffix: str
    snapshot: int | None
    folder: Path = Path()
    state: State = "waiting"
    rows: int = 0
    of: int | None = None
    error: str | None = None
    about: About | None = None
    groups: GroupsAsked | None = None
    layout: Layout = AS_EVER
    _query: Query | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        """Whether it is done, failed or stopped."""
        return self.state in ("done", "failed", "stopped")

    @property
    def name(self) -> str:
        """The name of the file."""
        return file_name(self.filters, self.snapshot, self.suffix, self.what)

    @property
    def what(self) -> str:
        """What its rows are."""
        return "groups" if self.groups else "events"

    @property
    def is_sorting(self) -> bool:
        """Whether no row can be written yet, because all of them are sorted first."""
        sorts = not self.groups and self.layout.order.field != TIME
        return sorts and self.state == "running" and not self.rows

    @property
    def file(self) -> Path:
        """The file, once it is done."""
        return self.folder / self.name

    def as_dict(self) -> dict[str, Any]:
        """For scripts: how far it is."""
        return {
            "id": self.id,
            "state": self.state,
            "rows": self.rows,
            "of": self.of,
            "what": self.what,
            "sorting": self.is_sorting,
            "name": self.name,
            "error": visible(self.error) if self.error else None,
            "bytes": self.file.stat().st_size if self.state == "done" and self.file.exists() else None,
        }

    def stop(self) -> None:
        """Have it end soon; nothing where it is over."""
        self._stopped.set()
        if query := self._query:
            query.cancel()

    def run(
        self, warehouse: Warehouse, check: Callable[[int], None], now: Callable[[], datetime], timeout: float
    ) -> None:
        """Write the file; `check` is called with every batch, and may end it. How it ended is in `state`."""
        from activity_audit.report.export import pdf_file
        from activity_audit.report.export.export import expected_rows, export
        from activity_audit.report.export.groups_file import export_groups
        from activity_audit.report.queries.warehouse import QueryCancelledError, QueryTimeoutError
        from activity_audit.warehouse.lake import WarehouseError

        def written(rows: int) -> None:
            if self._stopped.is_set():
                raise _StoppedError
            self.rows += rows
            check(rows)

        self.state = "running"
        document = None
        try:
            self.folder.mkdir()
            with warehouse.query(snapshot=self.snapshot, timeout=timeout, masked=self.user.is_masked) as query:
                self._query = query
                written(0)
                self.snapshot = query.snapshot.snapshot_id
                spelled = query.labels.spelled(self.filters)
                if self.groups:
                    self.about = export_groups(query, self.filters, self.groups, self.file, now(), written, self.layout)
                elif self.suffix == pdf_file.SUFFIX:
                    document = pdf_file.collect(query, spelled, now(), self.layout)
                else:
                    connection = query.scanner()
                    self.of = expected_rows(connection, spelled)
                    self.about = export(
                        connection,
                        query.settings,
                        spelled,
                        self.file,
                        now(),
                        written,
                        masked=query.is_masked,
                        layout=self.layout,
                    )
            if document:
                # Nobody who asks the warehouse waits while it is set.
                self.of = document.about.rows
                document.write(self.file, lambda: written(0))
                written(self.of)
                self.about = document.about
            self.of = self.rows
        except (_StoppedError, QueryCancelledError):
            self.state = "stopped"
        except (WarehouseError, ExportRefusedError, QueryTimeoutError) as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"the file cannot be written: {error.strerror or error}")
        except Exception:
            _log.exception("the export %s failed", self.id)
            self._fail("the export failed unexpectedly; the server's log has the reason")

    def put_on_record(self, trail: Trail) -> None:
        """Say in the trail how it ended; it is done only when that is on record."""
        from activity_audit.report.trail import TrailError

        said = [self.suffix[1:], f"snapshot {self.snapshot}", f"{self.rows} rows"]
        if self.groups:
            said.insert(0, f"grouped by {self.groups.says}")
        elif self.layout.columns != AS_EVER.columns:
            said.append(f"only {', '.join(self.layout.columns)}")
        how = ", ".join(said)
        if self.state == "stopped":
            trail.changed_export(self.user, self.id, "Stopped")
            return
        try:
            trail.exported(self.user, self.id, self.filters, how, ok=self.state == "running")
        except TrailError as error:
            self._fail(str(error))
        if self.state == "running":
            self.state = "done"

    def clear(self) -> None:
        """Remove the file."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fail(self, why: str) -> None:
        if self._stopped.is_set():
            # What an interruption breaks may look like any error; whoever stopped it asked for its end.
            self.state = "stopped"
        else:
            self.error, self.state = why, "failed"


def file_name(filters: Filters, snapshot: int | None, suffix: str, what: str = "events") -> str:
    """Says the application, the period with both ends as the prompt has them, and the snapshot: no two are mistaken.

    It has ASCII letters, digits, `-` and `_` only, for any names of applications, and is bounded.
    """
    ends = (filters.start, filters.end)
    if all(end.time() == datetime.min.time() for end in ends):
        period = f"{filters.start:%Y-%m-%d}_{filters.end - _DAY:%Y-%m-%d}"
    else:
        period = "_".join(iso(end.replace(microsecond=0)).replace(":", "") for end in ends)
    parts = ["activity-audit" if what == "events" else f"activity-audit-{what}", *_applications(filters), period]
    return f"{'_'.join(parts)}_snapshot-{'newest' if snapshot is None else snapshot}{suffix}"


def _applications(filters: Filters) -> list[str]:
    """The name of the one application, or how many were chosen; nothing where all were."""
    names = [str(name or "none") for name in filters.applications]
    different = len(set(map(normalised_name, names)))
    if different != 1:
        return [f"{different}-applications"] if names else []
    return [_UNSAFE.sub("-", names[0])[:_LONGEST_NAME].strip("-") or "application"]
