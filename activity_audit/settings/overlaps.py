"""Which settings put two things into one place, of which one would be deleted with, or read for, the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from activity_audit.base.places import Place, place

if TYPE_CHECKING:
    from activity_audit.settings.core import Settings


def overlaps(settings: Settings) -> list[str]:
    """One line for each setting whose place is not its own, as `NAME=value: what it must be`."""
    return list(_overlaps(settings))


def _overlaps(settings: Settings) -> Iterator[str]:
    data = place(settings.data_root)
    ours = {
        "AUDIT_HOME/raw": settings.raw_dir,
        "AUDIT_HOME/work": settings.work_dir,
        "AUDIT_HOME/dagster": settings.dagster_home,
        "AUDIT_HOME/data_docs": settings.docs_dir,
        "AUDIT_HOME/own_feeds": settings.own_feeds_dir,
        "AUDIT_HOME/report": settings.report_dir,
        "AUDIT_HOME/cache": settings.cache_dir,
    }
    folders = {name: place(str(path)) for name, path in ours.items()}
    feeds = place(settings.feed_root)
    found = _first(data, folders)
    # Feeds may be delivered into the home itself, beside its folders.
    holds_home = place(str(settings.home)).is_in(feeds)
    if not found and (feeds.is_in(data) or (data.is_in(feeds) and not (holds_home and settings.data_path is None))):
        found = "AUDIT_FEED_URL"
    if found:
        yield (
            f"AUDIT_DATA_PATH={settings.data_root!r}: must be a folder, or a prefix of a bucket, that holds nothing "
            f"but the warehouse's data; it overlaps {found}"
        )
    warehouse = {"AUDIT_HOME/warehouse": place(str(settings.home / "warehouse"))}
    if found := _holder(feeds, folders | warehouse):
        yield f"AUDIT_FEED_URL={settings.feed_root!r}: must not lie in {found}"
    taken = folders | {"AUDIT_DATA_PATH": data} | ({} if holds_home else {"AUDIT_FEED_URL": feeds})
    files: dict[str, Path | None] = {
        "AUDIT_CATALOG": settings.catalog_file,
        "AUDIT_LEDGER_HEAD_FILE": settings.ledger_head_file,
    }
    for name, path in files.items():
        if path and (found := _holder(place(str(path)), taken)):
            yield f"{name}={str(path)!r}: must not lie in {found}"
    if settings.catalog_file and place(str(settings.catalog_file)) == place(str(settings.ledger_head_file or "/")):
        yield f"AUDIT_LEDGER_HEAD_FILE={str(settings.ledger_head_file)!r}: must not be the catalog"


def _first(one: Place, others: dict[str, Place]) -> str | None:
    return next((name for name, other in others.items() if one.overlaps(other)), None)


def _holder(one: Place, others: dict[str, Place]) -> str | None:
    return next((name for name, other in others.items() if one.is_in(other)), None)
