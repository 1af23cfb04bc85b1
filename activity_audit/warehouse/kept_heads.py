"""The heads of the ledger that were kept in a file outside the warehouse (AUDIT_LEDGER_HEAD_FILE)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"([1-9]\d*) ([0-9a-f]{64}) \S+ \S+")


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
