"""`audit deliver`: saved reports to those who subscribed to them, for cron; and what became of them."""

from __future__ import annotations

from getpass import getuser
from typing import TYPE_CHECKING, Any

import click

from activity_audit.base.faults import FaultError
from activity_audit.cli.output import OUTPUT, print_json, print_table, say, warn
from activity_audit.settings.core import Settings

if TYPE_CHECKING:
    from activity_audit.report.delivery.book import Delivery, Subscription


@click.command("deliver")
@click.option("--dry-run", is_flag=True, help="Show what is due, and deliver nothing.")
@click.option("--list", "listing", is_flag=True, help="Show all subscriptions, and how each went last.")
@click.option("--stop", metavar="ID", help="Stop a subscription, also another person's.")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(settings: Settings, dry_run: bool, listing: bool, stop: str | None, output: str) -> None:
    """Deliver the saved reports that are due, and ask questions.

    A period is due when the published data have reached its end. What failed is tried again, and what a killed command
    had begun is taken up. Questions are asked of the newest snapshot.

    The exit code is 1 if a report could not be delivered.
    """
    from activity_audit.report.delivery import questions, rounds
    from activity_audit.warehouse.lake import NothingPublishedError, WarehouseError

    if sum((dry_run, listing, stop is not None)) > 1:
        raise click.UsageError("--dry-run, --list and --stop do not go together")
    try:
        if stop is not None:
            _stop(settings, stop)
        elif listing:
            _show_all(settings, output)
        elif dry_run:
            _show(rounds.due(settings), output)
        else:
            done = rounds.deliver_due(settings, at_once=True)
            warn((*done.warnings, *questions.look(settings)))
            if done.is_busy:
                say("Another process of this home delivers now.")
            _show_done(done.delivered, done.failed, output)
            if done.failed:
                raise click.exceptions.Exit(1)
    except NothingPublishedError:
        _show([], output)
    except (WarehouseError, FaultError) as error:
        raise click.ClickException(str(error)) from None


def _stop(settings: Settings, standing_id: str) -> None:
    from activity_audit.base.hours import now_utc
    from activity_audit.report.access.permissions import User
    from activity_audit.report.delivery.book import Book, Subscription, at
    from activity_audit.report.trail import DELIVERY, Trail

    book = Book(settings)
    found = [one for one in book.find(Subscription) if one.id.startswith(standing_id)] if standing_id else []
    if len(found) != 1:
        raise click.UsageError(f"--stop {standing_id}: {len(found)} subscriptions have this id; --list shows all")
    by = User(getuser(), frozenset())
    Trail(settings.own_feeds_dir).changed_standing(by, DELIVERY, "Stopped", found[0].id, found[0].report_name)
    book.change(found[0], stopped_at=at(now_utc()), stopped_why=None)
    say(f"“{found[0].report_name}” of {found[0].owner} is not delivered any more.")


def _show(due: list[tuple[Subscription, Delivery]], output: str) -> None:
    if output == "json":
        print_json([vars(one) | {"report": subscription.report_name} for subscription, one in due])
    elif not due:
        say("Nothing is due.")
    else:
        rows: list[list[Any]] = [
            [subscription.report_name, subscription.owner, one.period_from, one.period_to, one.says]
            for subscription, one in due
        ]
        print_table(["report", "of", "from", "to", "failed because"], rows, "Due")


def _show_done(delivered: list[Delivery], failed: list[Delivery], output: str) -> None:
    if output == "json":
        print_json({"delivered": [vars(one) for one in delivered], "failed": [vars(one) for one in failed]})
        return
    for one in failed:
        say(f"Error: {one.name} was not delivered: {one.says}", fg="red", err=True)
    if delivered:
        rows: list[list[Any]] = [[one.name, one.period_from, one.period_to] for one in delivered]
        print_table(["file", "from", "to"], rows, "Delivered")
    elif not failed:
        say("Nothing was due.")


def _show_all(settings: Settings, output: str) -> None:
    from activity_audit.report.delivery.shown import subscriptions

    found = subscriptions(settings)
    if output == "json":
        print_json([one.as_dict() for one in found])
    elif not found:
        say("Nobody has subscribed to a report.")
    else:
        rows: list[list[Any]] = [
            [one.subscription.id[:8], one.report, one.subscription.owner, one.when, one.where, one.how] for one in found
        ]
        print_table(["id", "report", "of", "when", "to", "last"], rows, "Deliveries")
