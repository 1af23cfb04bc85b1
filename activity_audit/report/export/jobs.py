"""Exports that are written while their reader waits or goes on: started, watched, stopped, fetched; of one session.

Files are in a folder of this process, within a bound on the disk, and are gone when the session is.
"""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from activity_audit.base.files import OwnFolder
from activity_audit.base.hours import now_utc
from activity_audit.report.export.job import ExportRefusedError, Job
from activity_audit.report.export.layout import AS_EVER, Layout
from activity_audit.warehouse.events.filters import Filters

if TYPE_CHECKING:
    from activity_audit.report.access.permissions import User
    from activity_audit.report.export.groups_file import GroupsAsked
    from activity_audit.report.queries.warehouse import Warehouse
    from activity_audit.report.trail import Trail

_AT_ONCE = 2
_MOST_UNFINISHED = 3
_MOST_KEPT = 10
_LONGEST_SECONDS = 6 * 3600.0


class ExportJobs:
    """All exports of this process; `space` is how many bytes their files may take together."""

    def __init__(self, warehouse: Warehouse, folder: Path, space: int) -> None:
        self._warehouse = warehouse
        self._root = folder
        self._space = space
        self._lock = threading.Lock()
        self._jobs: dict[str, tuple[str, Job]] = {}
        self._folder: OwnFolder | None = None
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="report-export")

    def start(
        self,
        session: str,
        user: User,
        trail: Trail,
        filters: Filters,
        suffix: str,
        snapshot: int | None = None,
        groups: GroupsAsked | None = None,
        layout: Layout = AS_EVER,
    ) -> Job:
        """Begin to write what the filters say, or its groups, as the suffix says, from the newest snapshot or this one.

        Raises:
            ExportRefusedError: if the user has too many under way, or there is no such format.
        """
        from activity_audit.report.export.export import FORMATS
        from activity_audit.report.export.pdf_file import SUFFIX

        known_suffixes = (*FORMATS, *([] if groups else [SUFFIX]))
        if suffix not in known_suffixes:
            of_what = " of groups" if groups else ""
            raise ExportRefusedError(
                f"there is no format {suffix!r}{of_what}; the formats are {', '.join(known_suffixes)}"
            )
        job = Job(secrets.token_urlsafe(16), user, filters, suffix, snapshot, groups=groups, layout=layout)
        with self._lock:
            mine = [known for owner, known in self._jobs.values() if owner == session]
            # A user may have several sessions, and all of them have two exports at once.
            theirs = [one for _, one in self._jobs.values() if one.user.name == user.name and not one.is_over]
            if len(theirs) >= _MOST_UNFINISHED:
                raise ExportRefusedError(f"{_MOST_UNFINISHED} exports are in progress; stop one, or wait for it")
            job.folder = self._own_folder() / job.id
            self._jobs[job.id] = session, job
        for known in [known for known in mine if known.is_over][: max(0, len(mine) - _MOST_KEPT + 1)]:
            self.remove(session, known.id)
        self._pool.submit(self._run, job, trail)
        return job

    def find(self, session: str, job_id: str) -> Job | None:
        """An export of this session."""
        with self._lock:
            owner, job = self._jobs.get(job_id, ("", None))
        return job if owner == session else None

    def of_session(self, session: str) -> list[Job]:
        """The session's exports, the newest first."""
        with self._lock:
            return [job for owner, job in reversed(self._jobs.values()) if owner == session]

    def remove(self, session: str, job_id: str) -> Job | None:
        """Stop an export, if it is under way, and remove its file."""
        job = self.find(session, job_id)
        if job:
            with self._lock:
                self._jobs.pop(job_id, None)
            job.stop()
            if job.is_over:
                job.clear()
        return job

    def end_session(self, session: str) -> None:
        """Stop and remove all exports of a session."""
        for job in self.of_session(session):
            self.remove(session, job.id)

    def close(self) -> None:
        """Stop and remove everything."""
        with self._lock:
            jobs = [job for _, job in self._jobs.values()]
            self._jobs.clear()
        for job in jobs:
            job.stop()
        self._pool.shutdown(cancel_futures=True)
        if self._folder:
            self._folder.remove()
            self._folder = None

    def _run(self, job: Job, trail: Trail) -> None:
        def has_space(_: int) -> None:
            if self._used() > self._space:
                raise ExportRefusedError(
                    "the exports have used all their space (AUDIT_REPORT_EXPORT_SPACE); remove one, or choose less"
                )

        try:
            job.run(self._warehouse, has_space, now_utc, _LONGEST_SECONDS)
            job.put_on_record(trail)
        finally:
            with self._lock:
                is_wanted = job.id in self._jobs
            if job.state != "done" or not is_wanted:
                job.clear()

    def _used(self) -> int:
        assert self._folder is not None
        sizes = []
        for path in self._folder.path.rglob("*"):
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:
                continue
        return sum(sizes)

    def _own_folder(self) -> Path:
        """The folder of this process; those that killed processes left are removed."""
        if self._folder is None:
            self._folder = OwnFolder(self._root)
        return self._folder.path
