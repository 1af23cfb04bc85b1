"""Filters dbt's messages, so that a run handles only those that it needs. Imports dbt: import late.

dbt makes a message of every step of every node, and formats it before anyone asks for it; together that takes as long
as the models of a small batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager, get_event_manager

_HEARD = (EventLevel.WARN, EventLevel.ERROR)


class _WarningsAndErrors(EventManager):
    def fire_event(
        self,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        """Pass on what is a warning, an error, or may be made one."""
        if force_warn_or_error_handling or (level or e.level_tag()) in _HEARD:
            super().fire_event(e, level, node, force_warn_or_error_handling)


@contextmanager
def only_warnings_and_errors() -> Iterator[None]:
    """Have dbt make no messages below a warning inside the block."""
    before = get_event_manager()
    ctx_set_event_manager(_WarningsAndErrors())
    try:
        yield
    finally:
        ctx_set_event_manager(before)
