"""A source of the user's own: the class that AUDIT_SOURCE=package.module:Class names."""

from __future__ import annotations

import importlib

from activity_audit.ingest.sources.source import Source, SourceError
from activity_audit.settings.core import Settings


def own_source(settings: Settings) -> Source:
    """An instance of the class, made with the settings as its only argument.

    Raises:
        SourceError: if there is no such module or class, or it has not the methods of a source.
    """
    module, _, name = settings.source.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SourceError(f"AUDIT_SOURCE={settings.source!r} cannot be loaded: {error}; check PYTHONPATH") from error
    source = made(settings)
    lacking = [method for method in ("list", "open") if not callable(getattr(source, method, None))]
    if lacking:
        raise SourceError(f"AUDIT_SOURCE={settings.source!r} is not a source: it has no method {', '.join(lacking)}")
    return source
