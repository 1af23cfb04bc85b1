"""Lists backups, and reads all that they have to compare it with its hashes."""

from __future__ import annotations

from activity_audit.settings.core import Settings
from activity_audit.upkeep.backup import place as places
from activity_audit.upkeep.backup.place import Backup, BackupError


def whole_backups(settings: Settings) -> list[Backup]:
    """All backups that are whole, the oldest first.

    Raises:
        BackupError: if the place cannot be used, or one of them is damaged.
    """
    with places.opened(settings) as place:
        return [place.backup(one) for one in place.ids()]


def check(settings: Settings, wanted: str | None = None) -> tuple[list[Backup], list[str]]:
    """Read everything that all backups have, or that of one id, and compare it with its hash.

    The backups that could be looked at, and the names of what is damaged or missing.

    Raises:
        BackupError: if there is no such backup.
    """
    with places.opened(settings) as place:
        backups, hashes, wrong = [], dict[str, set[str]](), list[str]()
        for one in [place.backup(wanted).id] if wanted else place.ids() or [place.backup().id]:
            try:
                backup = place.backup(one)
                backups.append(backup)
                for name in backup.parts:
                    place.part(backup, name)
                for name, digest in place.hashes(backup).items():
                    hashes.setdefault(name, set()).add(digest)
            except BackupError as error:
                wrong.append(str(error))
        there = place.store.sizes()
        wrong += [place.store.shown(name) for name in sorted(hashes) if name not in there]
        for name in sorted(hashes.keys() & there.keys()):
            with place.store.open(name) as file:
                if hashes[name] != {places.digest(file)}:
                    wrong.append(place.store.shown(name))
        return backups, wrong
