"""What alerts are about: the kinds of causes, and a cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["failure", "warning"]


@dataclass(frozen=True)
class Kind:
    """A kind of cause.

    Attributes:
        title: what a message about causes of this kind is headed with.
        what_to_do: what the person on call does about it, one or two sentences.
        level: how grave it is.
        of_home: whether it is about what this home does. Otherwise it is about the warehouse, and all homes that
            publish into it share what was told.
        has_end: whether it goes on until it is over. Otherwise it is reported once, and never again.
    """

    title: str
    what_to_do: str
    level: Level = "failure"
    of_home: bool = False
    has_end: bool = True


KINDS: dict[str, Kind] = {
    "run_failed": Kind(
        "A run failed",
        "Nothing is half done. Correct the cause; the next run publishes what this one did not.",
        of_home=True,
    ),
    "publication_blocked": Kind(
        "A publication was blocked by its checks",
        "Readers keep the last good state. The cause is the pipeline, the warehouse or the raw lake, never bad data of "
        "a source: look at the checks in the data docs, repair it, and run `audit run`.",
        of_home=True,
    ),
    "feed_late": Kind(
        "A feed is late, missing or incomplete",
        "`audit status` names the hours. Have the files delivered again into the folders of their hours.",
    ),
    "data_stale": Kind(
        "No feed has brought new data",
        "Check that the schedule or cron runs, then that the feeds arrive: `audit status`.",
    ),
    "integrity": Kind(
        "A check of integrity found a difference",
        "A person or a disk changed what was published. Keep everything as it is, and see docs/integrity.md.",
    ),
    "backup_failed": Kind(
        "A backup failed",
        "The warehouse itself is not affected. Correct the cause, and run `audit backup` again.",
        of_home=True,
    ),
    "delivery_failed": Kind(
        "A report could not be delivered",
        "It is tried again for seven days, and one that stopped waits for a person. The page Deliveries and "
        "`audit deliver --list` have all of them.",
        of_home=True,
    ),
    "question_failed": Kind(
        "A question could not be answered",
        "It is asked again with the next snapshot, of all hours that it missed. The page Alerts says why.",
        of_home=True,
    ),
    "question_found": Kind(
        "A question found something",
        "The page Alerts of the report has each finding, and leads to its events.",
        level="warning",
        of_home=True,
        has_end=False,
    ),
}


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong.

    Attributes:
        kind: a key of KINDS.
        about: what it is about, among the causes of its kind: a feed's slug, a feed hour. As long as a cause with the
            same kind and `about` is found, it is the same one, and is not told again.
        says: what is wrong, one sentence for a person. It goes to other systems, so it quotes no event.
    """

    kind: str
    about: str
    says: str
