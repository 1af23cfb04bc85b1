"""What a home knows of the warehouse that it has published into: a file beside the raw lake, not beside the catalog.

Without it, a catalog that was lost would be made again from the raw lake, with a new ledger, and nobody would know.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from activity_audit.base.whole_files import rewrite
from activity_audit.warehouse.kept_heads import kept

if TYPE_CHECKING:
    from pathlib import Path

    from activity_audit.settings.core import Settings

_ABOUT = (
    "The warehouse that this home publishes into. Without its catalog no run publishes. To rebuild the warehouse from "
    "raw/ with a new ledger, move this file away; see docs/operations.md."
)


def path(settings: Settings) -> Path:
    """The file."""
    return settings.home / "warehouse.json"


def read(settings: Settings) -> str | None:
    """The id of the warehouse that this home has published into; None if it has not published.

    Raises:
        ValueError: if the file is damaged; the message says what to do.
        OSError: if it cannot be read.
    """
    try:
        return str(json.loads(path(settings).read_text(encoding="utf-8"))["warehouse_id"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{path(settings)} is damaged: restore it from a backup, or remove it if the catalog is unchanged"
        ) from None


def write(settings: Settings, warehouse: str) -> None:
    """Keep that this home has published into this warehouse."""
    content = {"warehouse_id": warehouse, "about": _ABOUT}
    rewrite(path(settings), json.dumps(content, indent=2) + "\n")


def why_lost(settings: Settings) -> str | None:
    """One sentence if this home has published, so that a warehouse that is not there is lost; None if it has not.

    Raises:
        ValueError: if the record is damaged.
        OSError: if it cannot be read.
    """
    if known := read(settings):
        return f"this home has published into the warehouse {known} ({path(settings)})"
    file = settings.ledger_head_file
    if file and file.exists() and (heads := kept(file)[0]):
        return f"a ledger of {heads[-1].sequence} entries was published (AUDIT_LEDGER_HEAD_FILE={str(file)!r})"
    return None
