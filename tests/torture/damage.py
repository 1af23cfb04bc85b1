"""Damage to the files of a home, drawn from a seed, and what the commands say and answer afterwards."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from activity_audit.settings.core import Settings
from tests.integration.support import audit
from tests.integration.tampering import copied

# Files that a process holds only while it lives: what is in them counts for nothing.
_OF_LOCKS = (".lock", "-shm")
_FOREIGN = b"this is not what the product wrote. " * 400
_PAGE = 4096
HOWS = ("gone", "empty", "half", "one bit", "twenty bytes", "zeroed page", "foreign")
EVENTS = "select event_id, event_time_utc, feed, comments, outcome from fact_activity_event order by all"
COUNTS = "select * from agg_activity_hourly order by all"
REFUSED = "select feed, record, reasons from quality.quarantined_event order by all"
# What the commands that only read answer; the first has its verdict in its exit code.
_READERS: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "--output", "json"),
    "events": ("sql", EVENTS, "--output", "csv"),
    "counts": ("sql", COUNTS, "--output", "csv"),
    "refused": ("sql", REFUSED, "--output", "csv"),
    "head": ("ledger", "head", "--output", "json"),
    "holds": ("hold", "list", "--output", "json"),
}
_ANSWERS = ("events", "counts", "refused", "head", "holds")


def files_of(settings: Settings) -> list[str]:
    """The files of a home that mean something, relative to it."""
    found = (path for path in settings.home.rglob("*") if path.is_file() and not path.name.endswith(_OF_LOCKS))
    return sorted(path.relative_to(settings.home).as_posix() for path in found)


def damage(path: Path, how: str, moments: random.Random) -> None:
    """Do that to a file."""
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
        return
    if how == "empty":
        content.clear()
    elif how == "half":
        del content[len(content) // 2 :]
    elif how == "foreign" or not content:
        content[:] = _FOREIGN
    elif how == "one bit":
        content[moments.randrange(len(content))] ^= 1 << moments.randrange(8)
    elif how == "twenty bytes":
        for _ in range(20):
            content[moments.randrange(len(content))] = moments.randrange(256)
    elif how == "zeroed page":
        start = moments.randrange(0, len(content), _PAGE)
        content[start : start + _PAGE] = bytes(len(content[start : start + _PAGE]))
    path.write_bytes(content)


def said(settings: Settings, *command: str, complains: bool = False) -> tuple[int, str]:
    """The exit code and the answer of a command, which works or says in one sentence what is wrong.

    Args:
        settings: The home.
        command: The words after `audit`.
        complains: Whether it has to say what is wrong.
    """
    done = audit(settings, *command, check=False)
    context = f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.returncode in (0, 1), context
    assert "Traceback" not in done.stdout + done.stderr, context
    assert "a fault of the product" not in done.stderr, context
    assert not complains or done.returncode == 1, context
    return done.returncode, done.stdout


def answers(settings: Settings, only: Sequence[str] = tuple(_READERS)) -> dict[str, tuple[int, str]]:
    """What each command that only reads says of a home."""
    return {name: said(settings, *_READERS[name]) for name in only}


def require_no_wrong_answer(found: dict[str, tuple[int, str]], calm: dict[str, tuple[int, str]], context: str) -> None:
    """Fail if an answer differs from that of the home before its damage, and `audit verify` passes."""
    if found["verify"][0] == 0:
        for name in _ANSWERS:
            code, answer = found.get(name, (1, ""))
            assert code == 1 or answer == calm[name][1], f"{context}: {name}"


def fresh(calm: Settings, folder: Path) -> Settings:
    """A new copy of a home in a folder, which loses what it had."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return copied(calm, folder / "home")
