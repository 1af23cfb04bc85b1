"""Refuses to begin a new raw lake for a warehouse that has one elsewhere.

Its deliveries would be landed again, into files with other bytes than those that were published.
"""

from __future__ import annotations

from activity_audit.ledger import ledger
from activity_audit.raw.lake import RawLake
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake

# The note about where a shared raw lake is; its index is elsewhere, and would not notice that it is another one.
_PLACE = "place"


def refuse_misplaced(settings: Settings, raw: RawLake) -> None:
    """Refuse an empty place that AUDIT_RAW_PATH names, if the warehouse has deliveries whose files should be there.

    Raises:
        WarehouseError: if it is so, or the warehouse cannot be read.
    """
    if settings.raw_path is None or _is_known(settings, raw):
        return
    if not raw.store.matching("[!.]*/*/*/[!.]*.parquet"):
        _require_nothing_published(settings)
    if raw.is_shared:
        raw.notes.update(_PLACE, lambda _: settings.raw_root)


def _is_known(settings: Settings, raw: RawLake) -> bool:
    return raw.notes.read(_PLACE) == settings.raw_root if raw.is_shared else raw.index.is_complete()


def _require_nothing_published(settings: Settings) -> None:
    try:
        with lake.reader(settings) as connection:
            ((published,),) = connection.execute("select count(*) from quality.feed_delivery").fetchall()
            deleted = len(ledger.deleted_deliveries(connection)) if ledger.is_there(connection) else 0
    except lake.NothingPublishedError:
        return
    if published > deleted:
        raise lake.WarehouseError(
            f"the raw lake {settings.raw_root} is empty, and the warehouse has {published - deleted} deliveries whose "
            "files should be there: check AUDIT_RAW_PATH; or, to move the raw lake, copy its files there first "
            "(docs/operations.md, A team's warehouse)"
        )
