"""What the browser tests share: the data that they look at, and the words for what a person does."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from activity_audit.base.hours import iso
from activity_audit.settings.core import Settings
from tests.integration.support import HOUR, deliver, event, lines, run

if TYPE_CHECKING:
    from playwright.sync_api import Page

ENTITIES = ("Chat", "Voice", "SMS")
VIEWED = 900
# Whole UTC days; all of the data is in them.
MAY = "period=from-to&from=2026-05-01&to=2026-05-31"
ANALYTICS = f"{MAY}&application=Analytics"


def publish(settings: Settings) -> None:
    """900 views of interactions, a third each of chats, calls and messages, and 300 searches, every tenth a failure."""
    views = [
        event(
            f"view-{index:04}",
            application="Analytics",
            entity=ENTITIES[index % 3],
            activity="Interaction Viewed",
            eventTime=iso(HOUR + timedelta(seconds=4 * index, microseconds=index)),
            triggeredBy=f"reader-{index % 7}@classics.example",
            instance=f"interaction-{index}",
            comments="=1+1" if index == 0 else None,
        )
        for index in range(VIEWED)
    ]
    searches = [
        event(
            f"search-{index:04}",
            eventTime=iso(HOUR + timedelta(hours=1, seconds=10 * index)),
            outcome="FAILURE" if index % 10 == 0 else "SUCCESS",
            comments=f"searched for {index}",
        )
        for index in range(300)
    ]
    deliver(settings, lines(views), feed="analytics")
    deliver(settings, lines([*searches, '{"broken']), feed="search", hour=1)
    run(settings, hours=2)


def events_shown(page: Page) -> int:
    """The number that the page says it shows."""
    return int(re.sub(r"\D", "", page.locator("#count").inner_text()))


def column(page: Page, field: str) -> list[str]:
    """The texts of the column's cells that are in the page, once all of it has arrived: a click returns before that."""
    page.wait_for_load_state("domcontentloaded")
    return page.locator(f"#events td.{field}").all_inner_texts()


def settled(page: Page) -> None:
    """Wait until nothing is on its way and no row waits."""
    expect(page.locator("#busy")).to_have_count(0)
    expect(page.locator("#events td.waiting")).to_have_count(0)
