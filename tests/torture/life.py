"""The life of one home: deliveries come, commands are killed, and everything that was delivered is known."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import duckdb

from activity_audit.base.hours import iso
from activity_audit.settings.core import Settings, load_settings
from tests.integration.support import HOUR, audit, deliver, event, lines
from tests.integration.upkeep.test_maintenance import age
from tests.torture.steps import ANY_CALL

FEEDS = ("search", "qm", "wfm")
# With it a replay accepts the records whose times were too far ahead.
TOLERANT = {"AUDIT_FUTURE_TOLERANCE": "6h"}
_FACT = "select event_id from main.fact_activity_event"


# At which step of a command something happens and at which call of that, or after how many seconds.
Fault: TypeAlias = tuple[str, int, float]


@dataclass
class Life:
    """A home, and what was delivered to it. Everything is drawn from `chance`."""

    settings: Settings
    chance: random.Random
    hour: int = 0
    # Each event that has to be published, and those that a replay has to add.
    accepted: list[str] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)
    # How long each command took that nobody killed, in seconds.
    seconds: dict[str, float] = field(default_factory=dict)
    moves: int = 0
    # The settings that a move under way leads to.
    moving: Settings | None = None

    @property
    def copies(self) -> dict[str, Path]:
        """Each target of `audit publish`, and where it is."""
        folder = self.settings.home.parent
        file, iceberg = folder / "copy.duckdb", folder / "iceberg"
        return {str(file): file, f"iceberg:{iceberg}": iceberg}

    def deliver(self) -> None:
        """Some files of some feeds come, for a new hour or for an earlier one."""
        chance = self.chance
        late = chance.random() < 0.2
        hour = chance.randrange(self.hour + 1) if late else self.hour
        self.hour += not late
        for feed in chance.sample(FEEDS, chance.randint(1, len(FEEDS))):
            new = [f"{feed}-{len(self.accepted) + n}" for n in range(chance.randint(1, 40))]
            at = iso(HOUR + timedelta(hours=hour, minutes=chance.randrange(60)))
            records = [event(one, eventTime=at, comments="x" * chance.randrange(200)) for one in new]
            # What came before comes again, as it was or by another id of its own, and some of it is broken.
            refused = [event(f"refused-{new[0]}", outcome="PERHAPS"), "junk"]
            ahead = f"ahead-{new[0]}"
            if chance.random() < 0.3:
                records.append(event(ahead, eventTime=iso(HOUR + timedelta(hours=hour + 4))))
                self.ahead.append(ahead)
            again = chance.sample(records, min(3, len(records)))
            deliver(self.settings, lines([*records, *again, *refused]), f"{len(self.accepted)}.ndjson", feed, hour)
            self.accepted += new

    def command(self, name: str) -> Sequence[str]:
        """The words of a command that has something to do, once it is prepared; what is prepared is not killed."""
        settings, folder = self.settings, self.settings.home.parent
        whole = ("--from", "2026-05-01", "--to", "2026-07-01")
        match name:
            case "run":
                self.deliver()
                return ("run",)
            case "replay":
                return ("replay",)
            case "maintain":
                age(settings, self.chance.choice((1, 40)))
                return ("maintain", "--remove-leftovers")
            case "publish":
                return ("publish", *(word for target in self.copies for word in ("--to", target)))
            case "move":
                # One that was interrupted is repeated as it was.
                if self.moving is None:
                    self.moves += 1
                    there = folder / f"moved-{self.moves}"
                    self.moving = load_settings(
                        home=settings.home, feed_url=settings.feed_url,
                        catalog=str(there / "catalog.sqlite"), data_path=str(there / "data"),
                    )  # fmt: skip
                return ("move", "--catalog", self.moving.catalog or "", "--data-path", self.moving.data_root)
            case "verify" | "status":
                return (name,)
            case "evidence":
                return ("evidence", *whole, "--out", str(folder / f"pack-{self.chance.randrange(10**9)}"), "--with-raw")
            case "review":
                return ("review", *whole, "--no-verify", "--to-file", str(folder / "review.html"))
            case "export":
                return ("export", *whole, "--to-file", str(folder / f"events.{self.chance.choice(('csv', 'xlsx'))}"))
        raise ValueError(name)

    def fault(self, name: str) -> Fault:
        """Where a command is killed."""
        if self.chance.random() < 0.5:
            # As many calls of the product's functions as a long run has.
            return ANY_CALL, int(10 ** self.chance.uniform(0, 4.4)), 0.0
        return "", 1, self.chance.uniform(0.05, 1.1 * self.seconds.get(name, 3.0))

    def heal(self, name: str, words: Sequence[str]) -> None:
        """Do again what was killed, as a person would, and publish what is left to publish."""
        started = time.monotonic()
        if name == "evidence":
            words = self.command(name)
        # The new events of a run make its data stale, which is no fault of the command.
        self.audit(*words, check=name not in ("status", "verify"))
        self.seconds[name] = time.monotonic() - started
        if self.moving:
            self.settings, self.moving = self.moving, None
        if name != "run":
            self.audit("run")
        if name == "replay":
            self.audit("replay")
            self.accepted += self.ahead
            self.ahead = []

    def audit(self, *words: str, check: bool = True) -> None:
        """Run a command of this home to its end."""
        audit(self.settings, *words, check=check, **self.environment(words))

    def environment(self, words: Sequence[str]) -> dict[str, str]:
        """What a command of this home is given, beside its home and landing area."""
        places = {"AUDIT_CATALOG": self.settings.catalog, "AUDIT_DATA_PATH": self.settings.data_path}
        replays = TOLERANT if words[0] == "replay" else {}
        return {name: value for name, value in places.items() if value} | replays

    def require_copies(self) -> None:
        """Fail if a copy that is there is not of one snapshot: the newest, once it was brought up to date."""
        file = next(iter(self.copies.values()))
        with duckdb.connect(str(file), read_only=True) as connection:
            found = [row[0] for row in connection.execute(_FACT).fetchall()]
        assert sorted(found) == sorted(self.accepted)
