"""Sends messages to the places that AUDIT_ALERT_TO names, by apprise."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from activity_audit.base.masking import without_secrets
from activity_audit.base.shown_text import visible

if TYPE_CHECKING:
    from apprise import NotifyBase

# Longer texts are cut, because some services refuse them.
_LONGEST = 4000


class NotDeliveredError(RuntimeError):
    """A place did not take a message; the error names the place, without its secrets, and says why."""


@dataclass(frozen=True)
class Message:
    """What is sent; `level` is one of apprise's types: info, success, warning, failure."""

    title: str
    body: str
    level: str = "info"
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class Target:
    """A place to which messages go: a URL of apprise, which is a secret."""

    url: str

    @property
    def key(self) -> str:
        """What tells it from others, where nothing secret may be kept."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:32]

    @property
    def name(self) -> str:
        """How people call it: its service and host. All else in the URL may be a secret."""
        plugin = _plugin(self.url)
        parts = urlsplit(plugin.url(privacy=True) if plugin else self.url.partition("?")[0])
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if plugin else f"{parts.scheme}://…"

    def send(self, message: Message) -> None:
        """Send a message; it takes seconds at most.

        Raises:
            NotDeliveredError: if the place is not known, cannot be reached, or refuses it.
        """
        import apprise

        plugin = _plugin(self.url)
        if plugin is None:
            raise NotDeliveredError(f"{self.name} is not a URL that can be sent to; see docs/operations.md on alerts")
        sender = apprise.Apprise(asset=plugin.asset)
        sender.add(plugin)
        result = sender.notify(
            title=visible(message.title),
            body="\n".join(map(visible, message.body.split("\n")))[:_LONGEST],
            notify_type=apprise.NotifyType(message.level),
            body_format=apprise.NotifyFormat.TEXT,
            attach=[str(path) for path in message.files] or None,
        )
        if not result:
            said = " ".join(entry.message.strip() for entry in result.logs())
            # What a service says may repeat the URL.
            reason = without_secrets(said.replace(self.url, "…")) or "it gave no reason"
            raise NotDeliveredError(f"{self.name} did not take the message: {visible(reason)[:500]}")


def targets(urls: Sequence[str]) -> list[Target]:
    """The places of these URLs, each once."""
    return [Target(url) for url in dict.fromkeys(urls)]


def _plugin(url: str) -> NotifyBase | None:
    import apprise

    # What it logs quotes URLs. Why a message was not taken, it says in the result too.
    logging.getLogger(apprise.LOGGER_NAME).propagate = False
    # One after the other, no files of its own, and no pictures from elsewhere in the messages.
    asset = apprise.AppriseAsset(
        app_id="Activity audit", app_desc="Activity audit", app_url="", image_url_mask="", image_url_logo="",
        async_mode=False, storage_mode="memory", plugin_paths=[],
    )  # fmt: skip
    return apprise.Apprise.instantiate(url, asset=asset)
