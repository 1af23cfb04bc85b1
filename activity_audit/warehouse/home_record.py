"""Records about the warehouse that are kept outside it: which warehouse a home publishes into, and ledger heads.

A file of the home, beside the raw lake and not beside the catalog, says into which warehouse it has published. Without
it, a catalog that was lost would be made again from the raw lake, with a new ledger, and nobody would know. The heads
of the ledger are kept in the file that AUDIT_LEDGER_HEAD_FILE names.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activity_audit.base.faults import DamagedError
from activity_audit.base.files import rewrite
from activity_audit.warehouse import home_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from activity_audit.settings.core import Settings

_ABOUT = (
    "The warehouse that this home publishes into. Without its catalog no run publishes. To rebuild the warehouse from "
    "raw/ with a new ledger, move this file away; see docs/operations.md."
)
_LINE = re.compile(r"([1-9]\d*) ([0-9a-f]{64}) \S+ \S+")


class DamagedRecordError(DamagedError, ValueError):
    """The file is not as it was written."""


def path(settings: Settings) -> Path:
    """The file."""
    return settings.home / "warehouse.json"


def read(settings: Settings) -> str | None:
    """The id of the warehouse that this home has published into; None if it has not published.

    Raises:
        DamagedRecordError: if the file is damaged; the message says what to do.
        OSError: if it cannot be read.
    """
    content = _content(settings)
    return None if content is None else str(content["warehouse_id"])


def restoring(settings: Settings) -> str | None:
    """The id of the backup that is being restored into this home; None where none is. Raises as `read` does."""
    return (_content(settings) or {}).get("restoring")


def restoring_to(settings: Settings) -> list[str]:
    """The places that it is being restored to, as `write` was given them. Raises as `read` does."""
    return list((_content(settings) or {}).get("restoring_to", []))


def _content(settings: Settings) -> dict[str, Any] | None:
    try:
        content = json.loads(path(settings).read_text(encoding="utf-8"))
        int(content.get("version", home_version.UNRECORDED))
        return {**content, "warehouse_id": content["warehouse_id"]}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedRecordError(
            f"{path(settings)} is damaged: restore it from a backup, or remove it if the catalog is unchanged"
        ) from None


def write(settings: Settings, warehouse: str, *, restoring: str | None = None, to: Sequence[str] = ()) -> None:
    """Keep that this home has published into this warehouse, or that the backup `restoring` of it is not all there.

    `to` are the places of its catalog, data and raw files, without secrets.
    """
    under_way = {"restoring": restoring, "restoring_to": list(to)} if restoring else {}
    _write(settings, {"warehouse_id": warehouse, "about": _ABOUT} | under_way)


def _write(settings: Settings, content: dict[str, Any]) -> None:
    rewrite(path(settings), json.dumps(content, indent=2) + "\n")


def version(settings: Settings) -> int:
    """The version of what the home holds, as it is recorded. Raises as `read` does."""
    return int((_content(settings) or {}).get("version", home_version.UNRECORDED))


def set_version(settings: Settings, number: int) -> None:
    """Keep that what the home holds is of this version, once it has published. Raises as `read` does."""
    if content := _content(settings):
        _write(settings, content | {"version": number})


def why_newer(settings: Settings) -> str | None:
    """What is to be said if a newer release has written the home; None if not, or where nobody can tell."""
    try:
        found = version(settings)
    except (OSError, ValueError):
        # What needs a record that is damaged says so.
        return None
    return home_version.newer(f"the home {settings.home}", found) if found > home_version.VERSION else None


def why_lost(settings: Settings) -> str | None:
    """One sentence if this home has published, so that a warehouse that is not there is lost; None if it has not.

    Raises:
        DamagedRecordError: if the record is damaged.
        OSError: if it cannot be read.
    """
    if known := read(settings):
        return f"this home has published into the warehouse {known} ({path(settings)})"
    file = settings.ledger_head_file
    if file and file.exists() and (heads := kept(file)[0]):
        return f"a ledger of {heads[-1].sequence} entries was published (AUDIT_LEDGER_HEAD_FILE={str(file)!r})"
    return None


@dataclass(frozen=True)
class KeptHead:
    """A head that was kept: the hash of an entry, and its number."""

    sequence: int
    entry_sha256: str


def kept(path: Path) -> tuple[list[KeptHead], list[int]]:
    """The heads that a file has, in its order, and the numbers of the lines that are none.

    Raises:
        OSError: if the file cannot be read.
        UnicodeDecodeError: if it is no text.
    """
    heads, wrong = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if found := _LINE.fullmatch(line):
            heads.append(KeptHead(int(found[1]), found[2]))
        elif line.strip():
            wrong.append(number)
    return heads, wrong
