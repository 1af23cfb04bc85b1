"""The version of what a home and its warehouse hold: tables, index, notes, journals, saved reports, Dagster's records.

It is one number for all of it, which each release that changes any of it raises.
"""

from __future__ import annotations

# What this release writes; 1 is that of releases that recorded none.
VERSION = 1


def newer(what: str, found: int, release: str | None = None) -> str:
    """What is to be said of something that a newer release has written."""
    by = f"release {release}" if release else "a newer release"
    return (
        f"{what} has version {found} of the home's format, which {by} wrote; this release knows versions up to "
        f"{VERSION}: install that release or a later one, or restore a backup from before the upgrade "
        "(docs/operations.md, Upgrade)"
    )
