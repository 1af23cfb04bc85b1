"""Feeds as options of commands."""

from __future__ import annotations

from collections.abc import Iterable

import click

from activity_audit.base import catalogue


def known_feeds(feeds: Iterable[str]) -> list[str]:
    """These slugs, each once.

    Raises:
        click.UsageError: if the catalogue does not have one; the message lists those that it has.
    """
    known = catalogue.slugs()
    unknown = [feed for feed in feeds if feed not in known]
    if unknown:
        raise click.UsageError(f"no feed has the name {', '.join(unknown)}; the catalogue has {', '.join(known)}")
    return list(dict.fromkeys(feeds))
