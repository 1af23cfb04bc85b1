"""The folders that settings name, and the check that none contains another one's data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from activity_audit.base.storage_paths import Place, local_path, place

if TYPE_CHECKING:
    from activity_audit.settings.core import Settings
    from activity_audit.settings.delivery import DeliverySettings


class Folders:
    """The places of `Settings`: below the home, or where a setting names another."""

    if TYPE_CHECKING:
        home: Path
        cache: Path | None
        feed_url: str | None
        data_path: str | None
        raw_path: str | None
        exchange_path: str | None
        catalog: str | None
        backup_to: str | None
        delivery: DeliverySettings

    @property
    def feed_root(self) -> str:
        """The folder or URL below which feeds are delivered, without a trailing slash."""
        return (self.feed_url or str(self.home / "landing")).rstrip("/")

    @property
    def data_root(self) -> str:
        """The folder or URL of the warehouse's data files."""
        return self.data_path or str(self.home / "warehouse" / "data")

    @property
    def exchange_root(self) -> str:
        """The folder or URL in which each distributed run has an exchange."""
        return (self.exchange_path or str(self.home / "exchange")).rstrip("/")

    @property
    def catalog_file(self) -> Path | None:
        """The file of a SQLite catalog; None where the catalog is in PostgreSQL."""
        catalog = self.catalog or str(self.home / "warehouse" / "catalog.sqlite")
        return None if catalog.startswith(("postgres:", "postgresql:")) else Path(catalog.removeprefix("sqlite:"))

    @property
    def raw_root(self) -> str:
        """The folder or URL of the raw lake, one immutable Parquet file per delivery, without a trailing slash."""
        return (self.raw_path or str(self.home / "raw")).rstrip("/")

    @property
    def raw_dir(self) -> Path | None:
        """The folder of the raw lake; None where it is below a URL of another file system."""
        folder = local_path(self.raw_root)
        return folder and folder.absolute()

    @property
    def key_index_dir(self) -> Path:
        """The index of the published event ids; made again if it is lost."""
        return self.home / "known_ids"

    @property
    def work_dir(self) -> Path:
        """Scratch space of the run under way, and of processes that read; nothing here outlives them."""
        return self.home / "work"

    @property
    def cache_dir(self) -> Path:
        """What is worked out of the release itself, whose own files are never written; made again if it is lost."""
        return self.cache or self.home / "cache"

    @property
    def dbt_dir(self) -> Path:
        """What dbt writes when a person uses it."""
        return self.home / "dbt"

    @property
    def spill_dir(self) -> Path:
        """Where each process has a folder for what does not fit into memory."""
        return self.work_dir / "spill"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: runs, events, schedules."""
        return self.home / "dagster"

    @property
    def docs_dir(self) -> Path:
        """The data docs site that auditors read."""
        return self.home / "data_docs"

    @property
    def review_file(self) -> Path:
        """The auditor's page, where no other place is named for it."""
        return self.docs_dir / "review.html"

    @property
    def warehouse_lock(self) -> Path:
        """The lock file that a run holds while it stages, checks and publishes."""
        return self.home / "warehouse.lock"

    @property
    def own_feeds_dir(self) -> Path:
        """The feeds that the product itself makes, which every run takes whatever the source is."""
        return self.home / "own_feeds"

    @property
    def report_dir(self) -> Path:
        """What the report keeps: named reports, subscriptions, and exports of sessions."""
        return self.home / "report"

    @property
    def saved_file(self) -> Path:
        """The named reports of all readers; not there before the first."""
        return self.report_dir / "saved.json"

    @property
    def deliveries_file(self) -> Path:
        """The subscriptions of readers, their questions, and what became of both; not there before the first."""
        return self.report_dir / "deliveries.sqlite"


def overlaps(settings: Settings) -> list[str]:
    """One line for each setting whose place is not its own, as `NAME=value: what it must be`."""
    return list(_overlaps(settings))


def _overlaps(settings: Settings) -> Iterator[str]:
    data = place(settings.data_root)
    ours = {
        "AUDIT_HOME/known_ids": settings.key_index_dir,
        "AUDIT_HOME/work": settings.work_dir,
        "AUDIT_HOME/dagster": settings.dagster_home,
        "AUDIT_HOME/data_docs": settings.docs_dir,
        "AUDIT_HOME/own_feeds": settings.own_feeds_dir,
        "AUDIT_HOME/report": settings.report_dir,
        "AUDIT_HOME/dbt": settings.dbt_dir,
    }
    raw = place(settings.raw_root)
    own = {name: place(str(path)) for name, path in ours.items()}
    folders = {"AUDIT_RAW_PATH" if settings.raw_path else "AUDIT_HOME/raw": raw} | own
    warehouse = {"AUDIT_HOME/warehouse": place(str(settings.home / "warehouse"))}
    home, cache, feeds = place(str(settings.home)), place(str(settings.cache_dir)), place(settings.feed_root)
    # Feeds may be delivered into the home itself, beside its folders.
    holds_home = home.is_in(feeds)
    landing = {"AUDIT_FEED_URL" if settings.feed_url else "AUDIT_HOME/landing": feeds}
    others = folders | warehouse | ({} if holds_home else landing)
    beside = {name: other for name, other in others.items() if other is not raw}
    beside |= {} if raw.is_in(home) else landing
    if settings.raw_path and (found := "AUDIT_HOME" if home.is_in(raw) else _first(raw, beside)):
        yield (
            f"AUDIT_RAW_PATH={settings.raw_path!r}: must be a folder, or a prefix of a bucket, that holds nothing but "
            f"the raw lake; it overlaps {found}"
        )
    if settings.cache and (found := "AUDIT_HOME" if home.is_in(cache) else _first(cache, others)):
        yield f"AUDIT_CACHE={str(settings.cache)!r}: must be a folder of its own; it overlaps {found}"
    else:
        folders["AUDIT_CACHE" if settings.cache else "AUDIT_HOME/cache"] = cache
    exchange = place(settings.exchange_root)
    if settings.exchange_path and (found := "AUDIT_HOME" if home.is_in(exchange) else _first(exchange, others)):
        yield f"AUDIT_EXCHANGE_PATH={settings.exchange_path!r}: must be a folder of its own; it overlaps {found}"
    else:
        folders["AUDIT_EXCHANGE_PATH" if settings.exchange_path else "AUDIT_HOME/exchange"] = exchange
    found = _first(data, folders)
    if not found and (feeds.is_in(data) or (data.is_in(feeds) and not (holds_home and settings.data_path is None))):
        found = "AUDIT_FEED_URL"
    if found:
        yield (
            f"AUDIT_DATA_PATH={settings.data_root!r}: must be a folder, or a prefix of a bucket, that holds nothing "
            f"but the warehouse's data; it overlaps {found}"
        )
    if found := _holder(feeds, folders | warehouse):
        yield f"AUDIT_FEED_URL={settings.feed_root!r}: must not lie in {found}"
    taken = folders | {"AUDIT_DATA_PATH": data} | ({} if holds_home else {"AUDIT_FEED_URL": feeds})
    kept = {"AUDIT_HOME": home, "AUDIT_DATA_PATH": data, "AUDIT_RAW_PATH": raw} | landing
    if settings.backup_to and (found := _first(place(settings.backup_to), kept)):
        yield f"AUDIT_BACKUP_TO={settings.backup_to!r}: must be a place of its own, elsewhere; it overlaps {found}"
    delivered = settings.delivery.path
    if delivered and (found := _first(place(delivered), kept)):
        yield f"AUDIT_DELIVERY_PATH={delivered!r}: must be a place of its own; it overlaps {found}"
    files: dict[str, Path | None] = {
        "AUDIT_CATALOG": settings.catalog_file,
        "AUDIT_LEDGER_HEAD_FILE": settings.ledger_head_file,
        "AUDIT_METRICS_FILE": settings.metrics_file,
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
