"""Puts the page where it is wanted, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from activity_audit.base.whole_files import rewrite
from activity_audit.publish import data_docs
from activity_audit.report.auditors.collect import Review
from activity_audit.report.auditors.page import render
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake


def write(review: Review, settings: Settings, target: Path) -> None:
    """Write the page of a review to `target`; the folder of the data docs is made, any other must be there.

    Raises:
        OSError: if it cannot be written.
    """
    page = render(review, settings.docs_dir, target)
    if target != settings.review_file:
        rewrite(target, page)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    rewrite(target, page)
    _link(settings)


def _link(settings: Settings) -> None:
    """Have the data docs lead to the page, and put up the runs that they lack; a run that is under way does it itself.

    What the docs lack is no fault of the page's, so that docs that cannot be written are left as they are.
    """
    lock = FileLock(settings.warehouse_lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return
    try:
        with lake.reader(settings) as connection:
            data_docs.complete(connection, settings, lambda _: None)
    finally:
        lock.release()
