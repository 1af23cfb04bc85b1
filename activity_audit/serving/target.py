"""Where a serving copy is: `--to` and AUDIT_PUBLISH_TO, read and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from activity_audit.base.masking import has_credentials, without_secrets

_POSTGRES = re.compile(r"postgres(?:ql)?://|postgres:", re.IGNORECASE)
# A view of the file would not know whether its schema is meant, or the file itself.
_SCHEMAS = ("main", "quality")
_KINDS = "postgresql://user@host/database, the path of a file that ends in .duckdb, or iceberg: and a folder"
_ICEBERG = "iceberg:"


@dataclass(frozen=True)
class Target:
    """A place for a serving copy: a connection string that libpq takes, the path of a file, or an Iceberg folder."""

    text: str
    postgres: str | None = None
    file: Path | None = None
    iceberg: str | None = None

    def __str__(self) -> str:
        return without_secrets(self.text)


def parse(text: str) -> Target:
    """The target that a text names.

    Raises:
        ValueError: if it names none, or has a password in it; the message says what it must be.
    """
    text = text.strip()
    if has_credentials(text):
        raise ValueError(
            f"{without_secrets(text)} must have no password in it, which other users could see; put it into PGPASSWORD "
            "or a file that PGPASSFILE names"
        )
    if _POSTGRES.match(text):
        return Target(text, postgres=text if "://" in text else text.split(":", 1)[1])
    if text.startswith(_ICEBERG):
        folder = text.removeprefix(_ICEBERG)
        where = folder if "://" in folder else str(Path(folder).expanduser().absolute())
        return Target(text, iceberg=where.rstrip("/"))
    path = Path(text).expanduser().absolute()
    if "://" in text or path.suffix != ".duckdb" or "?" in text:
        raise ValueError(f"{text!r} is not a target; it must be {_KINDS}")
    if path.stem in _SCHEMAS:
        raise ValueError(f"{text!r} has the name of a schema; give the file another name")
    return Target(text, file=path)
