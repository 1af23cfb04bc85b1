"""What a look at the warehouse, or a run, does with what it found: note it in the book, and send what is to be told."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence

from activity_audit.alerts.book import Alert, Book, Owed, book_of, home_book, warehouse_book
from activity_audit.alerts.causes import KINDS, Cause
from activity_audit.alerts.notify import Message, NotDeliveredError, Target, targets
from activity_audit.base.faults import FaultError
from activity_audit.base.masking import without_secrets
from activity_audit.settings.core import Settings

_MOST_NAMED = 20


def observe(
    settings: Settings,
    kind: str,
    found: Iterable[Cause],
    *,
    judged: Callable[[str], bool] = lambda about: True,
    to: Sequence[str] | None = None,
) -> list[str]:
    """Tell of the causes of a kind that are there now, each once, and once of those that are over.

    Call it with all causes of the kind that a look found, even if there is none. `judged` says of what a cause is
    `about` whether this look has judged it: only then it is over if it was not found. `to` are the URLs of the places
    that are told, in place of AUDIT_ALERT_TO.

    The rule of delivery: each place gets each cause, and its end, at least once. It gets one twice only if a process
    dies between sending and noting it. What could not be sent is tried again by the next look of any process, for seven
    days after the cause is over. A cause that is over before a place could be told of it is one message.

    Never fails: what is wrong with a place, or with the book, is returned as warnings, a sentence each.
    """
    try:
        places = targets(settings.alert_urls if to is None else to)
        if not places:
            return []
        book = book_of(settings, kind)
        book.note(kind, list(found), judged, [place.key for place in places])
        return deliver(settings, book, places)
    except (FaultError, OSError) as error:
        return [f"alerts could not be noted: {without_secrets(str(error))}"]


def deliver_all(settings: Settings) -> list[str]:
    """Send what could not be sent before to AUDIT_ALERT_TO; warnings, as `observe` has them."""
    try:
        places = targets(settings.alert_urls)
        books = (home_book(settings), warehouse_book(settings)) if places else ()
        return [warning for book in books for warning in deliver(settings, book, places)]
    except (FaultError, OSError) as error:
        return [f"alerts could not be sent: {without_secrets(str(error))}"]


def known(settings: Settings) -> list[Alert]:
    """The alerts of the home and of its warehouse that are open, or have still to be told to AUDIT_ALERT_TO.

    Raises:
        FaultError: if a book cannot be read.
    """
    keys = {place.key for place in targets(settings.alert_urls)}
    return [alert for book in (home_book(settings), warehouse_book(settings)) for alert in book.alerts(keys)]


def deliver(settings: Settings, book: Book, places: Sequence[Target]) -> list[str]:
    """Send what these places are to be told of the alerts in a book; warnings."""
    warnings = []
    for place in places:
        for owed in book.claim(place.key):
            try:
                place.send(message(settings, owed))
                book.tell(place.key, owed, delivered=True)
            except NotDeliveredError as error:
                book.tell(place.key, owed, delivered=False)
                warnings.append(f"an alert could not be sent, and is tried again: {error}")
    return warnings


def message(settings: Settings, owed: Owed) -> Message:
    """The message to a place."""
    kind = KINDS[owed.kind]
    several = f" ({len(owed.alerts)})" if len(owed.alerts) > 1 else ""
    is_over = owed.phase != "begun" and kind.has_end
    named = owed.alerts[:_MOST_NAMED]
    lines = [_line(one.says, one.began_at, one.over_at) if kind.has_end else one.says for one in named]
    if len(owed.alerts) > _MOST_NAMED:
        lines.append(f"... and {len(owed.alerts) - _MOST_NAMED} more: `audit alert list`")
    if not is_over:
        lines += ["", kind.what_to_do]
    return Message(
        f"Activity audit: {'over: ' if is_over else ''}{kind.title}{several}",
        "\n".join([*lines, "", f"From {sender(settings)}"]),
        "success" if is_over else kind.level,
    )


def sender(settings: Settings) -> str:
    """Which installation a message comes from."""
    return settings.report.url or f"{settings.home} on {socket.gethostname()}"


def _line(says: str, began_at: str, over_at: str | None) -> str:
    # What it quotes, such as the name of a file, begins no line of its own.
    says = " ".join(says.split())
    return f"{says} (since {began_at})" if over_at is None else f"{says} (from {began_at} to {over_at})"
