"""Delivers one period of a subscription: asks, writes the file, puts it on record, and brings it to its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from activity_audit.base.hours import now_utc
from activity_audit.report.access.permissions import User
from activity_audit.report.delivery import standing
from activity_audit.report.delivery.book import Delivery, Subscription
from activity_audit.report.delivery.periods import OF, period_name
from activity_audit.report.delivery.send import Folder, Mail, NotSentError
from activity_audit.report.export.export import about_beside
from activity_audit.report.export.job import Job
from activity_audit.report.export.layout import Layout
from activity_audit.report.texts import bytes_text, count_text
from activity_audit.report.web.views import VIEWS
from activity_audit.warehouse.events.masked import SAID

if TYPE_CHECKING:
    from activity_audit.report.queries.warehouse import Warehouse
    from activity_audit.report.trail import Trail
    from activity_audit.report.web.urls import State
    from activity_audit.settings.core import Settings

# A file that takes longer is not made; the hourly runs of Dagster wait for it.
_LONGEST_SECONDS = 1800.0


class NotDeliveredError(RuntimeError):
    """A period could not be delivered, and is tried again; the message says why."""


@dataclass(frozen=True)
class Sent:
    """What was delivered; the rows are not known where a killed attempt had delivered it."""

    snapshot_id: int | None
    rows: int | None


@dataclass
class Post:
    """What deliveries need: a warehouse, of which they read this snapshot, the trail, and a folder for files."""

    settings: Settings
    warehouse: Callable[[], Warehouse]
    snapshot: int
    trail: Trail
    folder: Path

    def deliver(self, subscription: Subscription, delivery: Delivery, sent_to: Callable[[str], None]) -> Sent:
        """Deliver a period; `sent_to` is told of each address that took the mail.

        Raises:
            StoppedError: if the subscription cannot go on.
            NotDeliveredError: if it should be tried again.
            BadLinkError, SavedReportError, UsersFileError: likewise.
        """
        user = standing.owner_now(self.settings, subscription)
        report, state = standing.asked(self.settings, subscription, user)
        place = self._place(subscription)
        try:
            if place and place.has(delivery.name):
                # One that was killed before it could note it had put it there.
                return Sent(None, None)
            missing = [address for address in subscription.to if address not in delivery.sent_to.split()]
            if not (place or missing):
                return Sent(None, None)
            state = standing.of_period(state, *delivery.period)
            path = f"{VIEWS[report.view]}{state.url('')}"
            job = self._made(subscription, user, state, report.view, self._link(path))
            shown = place.shown(delivery.name) if place else ""
            for address in (None,) if place else missing:
                self._record(subscription, user, delivery, job, f"to {address or shown}", ok=True)
                try:
                    if place:
                        place.put(_files(job, delivery.name))
                    else:
                        self._mail(subscription, user, delivery, job, address)
                except NotSentError as error:
                    self._record(subscription, user, delivery, job, f"to {address or shown}: {error}", ok=False)
                    raise
                if address:
                    sent_to(address)
        except NotSentError as error:
            raise NotDeliveredError(str(error)) from None
        return Sent(job.snapshot, job.rows)

    def _place(self, subscription: Subscription) -> Folder | None:
        if subscription.to:
            mail = self.settings.delivery
            if mail.mail is None:
                raise standing.StoppedError("AUDIT_DELIVERY_SMTP or AUDIT_DELIVERY_DOMAINS is not set any more")
            if wrong := [address for address in subscription.to if not mail.may_mail(address)]:
                raise standing.StoppedError(f"{wrong[0]} is not of a domain of AUDIT_DELIVERY_DOMAINS any more")
            return None
        if self.settings.delivery.path is None:
            raise standing.StoppedError("AUDIT_DELIVERY_PATH is not set any more")
        return Folder(self.settings.delivery.path, subscription.folder)

    def _link(self, path: str) -> str | None:
        base = self.settings.report.url
        return f"{base}{path}" if base else None

    def _made(self, subscription: Subscription, user: User, state: State, view: str, link: str | None) -> Job:
        job = Job(subscription.id, user, state.filters(now_utc()), f".{subscription.format}", self.snapshot)
        job.layout = Layout.of(state, link)
        if view == "groups" and subscription.format != "pdf":
            from activity_audit.report.web.pages.groups import groups_of

            job.groups = groups_of(state, job.filters)
        job.folder = self.folder / f"{subscription.id}-{now_utc().timestamp()}"
        job.run(self.warehouse(), lambda _: None, now_utc, _LONGEST_SECONDS)
        if job.state != "running":
            raise NotDeliveredError(job.error or "the export was stopped")
        return job

    def _mail(self, subscription: Subscription, user: User, delivery: Delivery, job: Job, address: str | None) -> None:
        server = self.settings.delivery.mail
        assert server
        assert address
        files = _files(job, delivery.name)
        size, most = sum(file.stat().st_size for file, _ in files), self.settings.delivery.mail_bytes
        start, _ = delivery.period
        period = period_name(subscription.every, start)
        link, base = job.layout.link, self.settings.report.url
        where = link or f"the report, under Saved, as “{subscription.report_name}”"
        lines = [f"“{subscription.report_name}”, of {OF[subscription.every]} {period} (UTC): {_found(job)}."]
        if size > most:
            lines.append(
                f"The file has {bytes_text(size)}, which is more than a mail may have here ({bytes_text(most)}): open "
                f"{where} and export it."
            )
        elif link:
            lines.append(f"The same in the report: {link}")
        lines += [*([f"{SAID[:1].upper()}{SAID[1:]}."] if user.is_masked else []), "", _footer(subscription, base)]
        attached = [] if size > most else [_named(file, name) for file, name in files]
        Mail(message_id(delivery), f"{subscription.report_name}: {period}", "\n".join(lines), attached).send(
            server, address
        )

    def _record(
        self, subscription: Subscription, user: User, delivery: Delivery, job: Job, where: str, *, ok: bool
    ) -> None:
        how = f"{subscription.format}, snapshot {job.snapshot}, {job.rows} {job.what}, {where}"
        self.trail.delivered(user, subscription.id, subscription.report_name, job.filters, how, ok=ok)


def message_id(delivery: Delivery) -> str:
    """The Message-ID of a period's mails, which is the same however often they are sent."""
    start = "".join(sign for sign in delivery.period_from if sign.isalnum())
    return f"<{delivery.subscription_id}.{start}@activity-audit>"


def _files(job: Job, name: str) -> list[tuple[Path, str]]:
    """The file under its name, and before it, of a CSV, the one that says what it is about."""
    beside = [(about_beside(job.file, job.about), f"{name}.about.json")] if job.suffix == ".csv" and job.about else []
    return [*beside, (job.file, name)]


def _named(path: Path, name: str) -> Path:
    """The file under a name of its own, beside it."""
    named = path.with_name(name)
    if named != path and not named.exists():
        named.hardlink_to(path)
    return named


def _found(job: Job) -> str:
    assert job.about
    total, what = job.about.rows, job.what
    found = f"1 {what.removesuffix('s')}" if total == 1 else f"{count_text(total)} {what}"
    return f"{found}, {job.about.coverage.says}, snapshot {job.snapshot}"


def _footer(subscription: Subscription, base: str | None) -> str:
    where = f"{urlsplit(base).scheme}://{urlsplit(base).netloc}/deliveries" if base else "the page Deliveries"
    return f"{subscription.owner} subscribed to this report, and can stop it on {where}."
