"""What a pack says of its making: the settings, with every secret masked, and the versions of the software."""

from __future__ import annotations

import platform
import re
from datetime import timedelta
from functools import reduce
from importlib.metadata import version
from typing import Any

import duckdb
from pydantic import SecretStr

from activity_audit.base.catalogue import SEEDS_DIR
from activity_audit.base.masking import MASK, url_without_secrets, without_secrets
from activity_audit.ledger.raw_hashes import file_sha256
from activity_audit.settings.core import VARIABLES, Settings

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PACKAGES = ("activity-audit", "dbt-core", "dbt-duckdb", "great-expectations", "dagster", "pyarrow")


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
