"""The texts of a pack: its README, the SQL that checks it, its settings with secrets masked, and versions."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from datetime import timedelta
from functools import cache, reduce
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from pydantic import SecretStr

from activity_audit.base.catalogue import SEEDS_DIR
from activity_audit.base.masking import MASK, url_without_secrets, without_secrets
from activity_audit.base.shown_text import visible
from activity_audit.base.sql_text import literal
from activity_audit.evidence.pack.tables import (
    CHAIN,
    RECORD_HASHES,
    LedgerFiles,
    WrittenTable,
    entry_sha256,
    leaf_sha256,
)
from activity_audit.ledger import digests
from activity_audit.ledger.chain import ADOPTED, BATCH, DELETION, EMPTY_SHA256, HOLD, REPLAY
from activity_audit.ledger.raw_hashes import file_sha256
from activity_audit.ledger.slices import condition, slices
from activity_audit.settings.core import VARIABLES, Settings
from activity_audit.warehouse.events.filters import EXCLUDABLE, Filters, choice, chosen_texts

if TYPE_CHECKING:
    import jinja2

    from activity_audit.evidence.pack.pack import Options

# The checks of check.sql, in its order; with raw files there is one more.
CHECKS = (
    "row_counts", "csv_equals_parquet", "event_hashes", "event_filters", "events_in_batches", "feed_hours",
    "events_in_ledger", "deliveries_in_ledger", "quarantined_in_ledger", "replayed_in_ledger",
    "ledger_entries", "chain", "reconciliation",
)  # fmt: skip
# What is hashed with the fields that a masked pack has not, and the checks of that.
_HASHED_WHOLE = ("events", "quarantined")
UNMASKED_CHECKS = ("event_hashes", "events_in_batches", *(f"{what}_in_ledger" for what in _HASHED_WHOLE))
# The kinds of entries whose batch has deliveries, and those that added events to the fact.
_DELIVERED = ", ".join(map(literal, (BATCH, ADOPTED)))
_ACCEPTED = ", ".join(map(literal, (BATCH, ADOPTED, REPLAY)))
# What the rows of a digest are called, which file has them, and the hash of one.
_DIGESTS = (
    ("events", RECORD_HASHES, lambda: "record_sha256"),
    ("deliveries", "deliveries", digests.delivery_sha256),
    ("quarantined", "quarantine", digests.quarantined_sha256),
    ("replayed", "replayed", digests.replayed_sha256),
)
# For each of these: the kinds of entries that are about them, the entry's count and digest, and whether they stay when
# retention deletes the batch.
_BATCHES = (
    ("events", _ACCEPTED, "accepted", "events_sha256", False),
    ("deliveries", _DELIVERED, "deliveries", "deliveries_sha256", True),
    ("quarantined", _DELIVERED, "quarantined", "quarantined_sha256", False),
    ("replayed", literal(REPLAY), "received", "deliveries_sha256", True),
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PACKAGES = ("activity-audit", "dbt-core", "dbt-duckdb", "great-expectations", "dagster", "pyarrow")


def check_sql(tables: Sequence[WrittenTable], ledger: LedgerFiles, options: Options) -> str:
    """The SQL by which a stranger checks the pack that has these tables, one row for each check."""
    return _template("check.sql.j2").render(
        tables=tables,
        rows=[*(table.name for table in tables), CHAIN, *([] if options.masked else [RECORD_HASHES])],
        choices=[(field, choice(field)) for field in EXCLUDABLE],
        slices=[condition(part) for part in slices(ledger.hours)],
        digests=[(what, file, row_sha256()) for what, file, row_sha256 in _of(_DIGESTS, options.masked)],
        batches=_of(_BATCHES, options.masked),
        delivered=_DELIVERED,
        accepted=_ACCEPTED,
        deletion=literal(DELETION),
        hold=literal(HOLD),
        record_sha256=digests.record_sha256(),
        leaf_sha256=leaf_sha256(),
        entry_sha256=entry_sha256("previous_sha256", "leaf_sha256"),
        empty_sha256=EMPTY_SHA256,
        whole_ledger=options.whole_ledger,
        with_raw=options.with_raw,
        masked=options.masked,
    )


def _of(digests: Sequence[tuple[Any, ...]], masked: bool) -> list[tuple[Any, ...]]:
    """Those that a pack has the rows of, with all that they are hashed from."""
    return [one for one in digests if not (masked and one[0] in _HASHED_WHOLE)]


def readme(pack: dict[str, Any], filters: Filters, findings: Sequence[dict[str, Any]]) -> str:
    """The page that tells a stranger what a pack is and how to check it; `pack` is what pack.json has."""
    checks = [name for name in CHECKS if not (pack["masked"] and name in UNMASKED_CHECKS)]
    checks += ["raw_files"] if pack["with_raw"] else []
    return _template("README.md.j2").render(pack=pack, chosen=chosen_texts(filters), findings=findings, checks=checks)


@cache
def _template(name: str) -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    # Names and findings carry text of the source, which may have line ends in it.
    environment.filters["on_one_line"] = lambda text: visible(" ".join(text.split()))
    return environment.get_template(name)


def settings_shown(settings: Settings) -> dict[str, Any]:
    """The settings by the names of their variables, as far as they have a value; secrets are `***`."""
    hidden = {"report"} if settings.source == "cxone" else {"report", "cxone"}
    values = {name: reduce(getattr, path, settings) for name, path in VARIABLES.items() if path[0] not in hidden}
    return {name: _plain(value) for name, value in values.items() if value not in (None, "", [])}


def versions(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The versions of this product, of what it is built on and of the machine, and the hash of each seed."""
    (found,) = connection.execute(
        "select version(), (select extension_version from duckdb_extensions() where extension_name = 'ducklake')"
    ).fetchall()
    return {
        "packages": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "duckdb": found[0],
        "ducklake": found[1],
        "platform": platform.platform(),
        "seeds_sha256": {path.name: file_sha256(path) for path in sorted(SEEDS_DIR.glob("*.csv"))},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.10g}s"
    if isinstance(value, list):
        return [_plain(item) for item in value]
    text = str(value)
    return without_secrets(url_without_secrets(text) if _URL.match(text) else text)
