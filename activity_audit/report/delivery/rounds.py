"""A round of deliveries: which periods are over by the published data, and each of them delivered, the oldest first.

One process of a home does it at a time, under a lock that ends with the process. So what a killed one had begun is
taken up by the next round.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from activity_audit.alerts.causes import Cause
from activity_audit.alerts.rounds import observe
from activity_audit.base.faults import FaultError
from activity_audit.base.files import OwnFolder
from activity_audit.base.hours import aware, iso, now_utc, parse_time
from activity_audit.base.masking import without_secrets
from activity_audit.report.access.users import UsersFileError
from activity_audit.report.delivery.book import Book, Delivery, Subscription, add_in, at, change_in, said
from activity_audit.report.delivery.deliver import NotDeliveredError, Post, Sent
from activity_audit.report.delivery.periods import file_name, over
from activity_audit.report.delivery.standing import StoppedError
from activity_audit.report.saved.reports import SavedReportError
from activity_audit.report.trail import Trail, TrailError
from activity_audit.report.web.urls import BadLinkError
from activity_audit.warehouse import coverage, lake, verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from activity_audit.report.queries.warehouse import Warehouse
    from activity_audit.settings.core import Settings

# Of a subscription; of more that are over, only the newest are delivered, and the others are passed over.
MOST_AT_ONCE = 31
# How long a period is tried.
TRIED = timedelta(days=7)
_LONGEST_PAUSE = timedelta(hours=1)
# What one subscription may meet without the others being concerned.
_FAULTS = (NotDeliveredError, BadLinkError, SavedReportError, UsersFileError, TrailError, OSError, FaultError)


@dataclass
class Round:
    """What a round did: the periods that it delivered, those that failed, and sentences for the operator."""

    delivered: list[Delivery] = field(default_factory=list)
    failed: list[Delivery] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    is_busy: bool = False


def through(settings: Settings) -> tuple[int, datetime | None]:
    """The newest snapshot, and how far its data reach (aware).

    Raises:
        WarehouseError: if nothing is published, or it cannot be read.
    """
    with lake.reader(settings) as connection:
        reached = verdicts.state(coverage.rows_of(connection)).data_through
        return lake.snapshot(connection).snapshot_id, aware(reached) if reached else None


def is_due(settings: Settings) -> bool:
    """Whether a round would try to deliver something now."""
    book = Book(settings)
    active = book.find(Subscription, "stopped_at is null")
    if not active:
        return False
    if any(_may_try(one) for one in _open(book, active)):
        return True
    reached = through(settings)[1]
    return reached is not None and any(over(one.every, parse_time(one.next_from), reached) for one in active)


def due(settings: Settings) -> list[tuple[Subscription, Delivery]]:
    """What the next round delivers, or tries again; nothing is changed.

    Raises:
        WarehouseError: if nothing is published, or it cannot be read.
    """
    book, reached = Book(settings), through(settings)[1]
    active = book.find(Subscription, "stopped_at is null")
    found = [(subscription, one) for subscription in active for one in _new(subscription, reached)[-MOST_AT_ONCE:]]
    by_id = {one.id: one for one in active}
    waiting = [(by_id[one.subscription_id], one) for one in _open(book, active)]
    return sorted([*waiting, *found], key=lambda pair: pair[1].period_to)


def deliver_due(settings: Settings, *, at_once: bool = False) -> Round:
    """Deliver what is due; `at_once` without the pause that follows a failed attempt.

    Never fails: what goes wrong with a subscription is in the book, in the result, and told as an alert.
    """
    done, book = Round(), Book(settings)
    if not book.is_there:
        return done
    try:
        with _alone(settings):
            _round(settings, book, done, at_once)
            done.warnings += observe(settings, "delivery_failed", _causes(book))
    except Timeout:
        done.is_busy = True
    except lake.NothingPublishedError:
        pass
    except (lake.WarehouseError, FaultError, OSError) as error:
        done.warnings.append(f"reports could not be delivered: {without_secrets(str(error))}")
    return done


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    with FileLock(settings.report_dir / ".deliveries.lock", timeout=0):
        yield


def _round(settings: Settings, book: Book, done: Round, at_once: bool) -> None:
    active = book.find(Subscription, "stopped_at is null")
    if not active:
        return
    snapshot, reached = through(settings)
    for subscription in active:
        _note_new(book, subscription, reached, done)
    by_id = {one.id: one for one in active}
    waiting = [one for one in _open(book, active) if at_once or _may_try(one)]
    if not waiting:
        return
    stuck: set[str] = set()
    with _Opened(settings) as opened:
        post = Post(settings, opened.warehouse, snapshot, Trail(settings.own_feeds_dir), opened.folder)
        for delivery in sorted(waiting, key=lambda one: one.period_to):
            # The periods of a subscription come in their order.
            if delivery.subscription_id not in stuck and not _try(
                book, post, by_id[delivery.subscription_id], delivery, done
            ):
                stuck.add(delivery.subscription_id)
    book.forget()


class _Opened:
    """The warehouse, from when it is first needed, and a folder for files; both until the end of the block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._warehouse: Warehouse | None = None

    def __enter__(self) -> _Opened:
        self._own = OwnFolder(self._settings.report_dir / "delivering")
        return self

    def __exit__(self, *_: object) -> None:
        if self._warehouse:
            self._warehouse.close()
        self._own.remove()

    @property
    def folder(self) -> Path:
        """For files that are being made."""
        return self._own.path

    def warehouse(self) -> Warehouse:
        """The warehouse, which is opened once."""
        from activity_audit.report.queries.warehouse import Warehouse

        if self._warehouse is None:
            self._warehouse = Warehouse(self._settings)
        return self._warehouse


def _try(book: Book, post: Post, subscription: Subscription, delivery: Delivery, done: Round) -> bool:
    """Deliver a period, and note how that ended; whether the next one of the subscription may follow."""
    now = at(now_utc())
    book.change(delivery, tries=delivery.tries + 1, tried_at=now)
    taken = delivery.sent_to.split()

    def sent_to(address: str) -> None:
        taken.append(address)
        book.change(delivery, sent_to=" ".join(taken))

    try:
        found: Sent = post.deliver(subscription, delivery, sent_to)
    except StoppedError as error:
        book.change(subscription, stopped_at=now, stopped_why=said(str(error)))
        done.warnings.append(f"the delivery of “{subscription.report_name}” to {subscription.owner} stopped: {error}")
        return False
    except _FAULTS as error:
        why = said(without_secrets(str(error)))
        is_too_old = now_utc() - parse_time(delivery.due_at) > TRIED
        book.change(delivery, state="given up" if is_too_old else "failing", says=why)
        done.failed.append(replace(delivery, says=why))
        return is_too_old
    book.change(
        delivery, state="delivered", done_at=at(now_utc()), says=None, snapshot_id=found.snapshot_id,
        row_count=found.rows,
    )  # fmt: skip
    done.delivered.append(delivery)
    return True


def _note_new(book: Book, subscription: Subscription, reached: datetime | None, done: Round) -> None:
    """Note the periods that are over since the last look; of too many the newest, and that the others were not."""
    found = _new(subscription, reached)
    if not found:
        return
    passed, kept = found[:-MOST_AT_ONCE], found[-MOST_AT_ONCE:]
    with book.changing() as connection:
        if passed:
            says = f"{len(passed)} periods were over at once; the newest {MOST_AT_ONCE} are delivered"
            add_in(connection, replace(passed[0], period_to=passed[-1].period_to, state="passed over", says=says))
            done.warnings.append(f"“{subscription.report_name}” of {subscription.owner}: {says}")
        for one in kept:
            add_in(connection, one)
        change_in(connection, subscription, next_from=kept[-1].period_to)


def _new(subscription: Subscription, reached: datetime | None) -> list[Delivery]:
    if reached is None:
        return []
    every, now = subscription.every, at(now_utc())
    return [
        Delivery(
            subscription.id, iso(start), iso(end), "due",
            file_name(subscription.report_name, every, start, subscription.id, subscription.format), now,
        )
        for start, end in over(every, parse_time(subscription.next_from), reached)
    ]  # fmt: skip


def _open(book: Book, active: list[Subscription]) -> list[Delivery]:
    ids = {one.id for one in active}
    found = book.find(Delivery, "state in ('due', 'failing')")
    return [one for one in found if one.subscription_id in ids]


def _may_try(delivery: Delivery) -> bool:
    """Whether it is time for the next attempt: after a failure in minutes, that double up to an hour."""
    if delivery.tried_at is None:
        return True
    pause = min(timedelta(minutes=2 ** min(delivery.tries, 6)), _LONGEST_PAUSE)
    return now_utc() >= parse_time(delivery.tried_at) + (pause if delivery.state == "failing" else timedelta(0))


def _causes(book: Book) -> list[Cause]:
    """What is wrong with subscriptions now: they stopped by themselves, or their newest period failed."""
    causes = []
    for subscription in book.find(Subscription):
        which = f"“{subscription.report_name}” of {subscription.owner}"
        if subscription.stopped_at and subscription.stopped_why:
            says = f"The delivery of {which} stopped: {subscription.stopped_why}."
        elif (last := _newest_tried(book, subscription)) and last.state in ("failing", "given up"):
            says = f"The delivery of {which} for the period that begins {last.period_from} failed: {last.says}."
        else:
            continue
        causes.append(Cause("delivery_failed", subscription.id, says))
    return causes


def _newest_tried(book: Book, subscription: Subscription) -> Delivery | None:
    tried = book.find(Delivery, "subscription_id = ? and tried_at is not null", [subscription.id])
    return max(tried, key=lambda one: (one.tried_at or "", one.period_to), default=None)
