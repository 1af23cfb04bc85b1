"""Stages a run's deliveries with dbt, and finds the deliveries that break it, so that the others go on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import duckdb

from activity_audit.dbt_runner import project
from activity_audit.raw.index import LandedDelivery
from activity_audit.settings.core import Settings
from activity_audit.transform import scratch, threads
from activity_audit.transform.scratch import Batch, Workbench
from activity_audit.warehouse import known_ids

_Item = TypeVar("_Item")
# What the database says if data is the cause, or may be. A full disk or a catalogue out of reach is something else.
_OF_DATA = re.compile(r"(?:Out of Memory|Conversion|Invalid Input|Out of Range|Invalid|Serialization) Error: [^\n]*")
# One among a thousand deliveries is found in about twenty; each takes a few seconds.
MOST_TRIES = 60


class DataFaultError(RuntimeError):
    """Staging failed with words of the database (`reason`) that something that was delivered may be the cause of."""

    def __init__(self, cause: project.TransformError | duckdb.Error, reason: str) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.reason = reason

    def __reduce__(self) -> tuple[type[DataFaultError], tuple[Exception, str]]:
        # A worker sends it to the process that it works for.
        return DataFaultError, (self.cause, self.reason)


def stage(
    bench: Workbench,
    batch: Batch,
    settings: Settings,
    *,
    keep_manifest: bool = False,
    check_inputs: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
) -> dict[str, float]:
    """Make the batch's inputs, have them looked at, and build every model of them; see `project.build`.

    Raises:
        DataFaultError: it fails, and a delivery may be the cause.
        TransformError: dbt fails for another reason.
        WarehouseError: a raw file is gone.
    """
    with data_faults():
        with bench.connect() as connection:
            threads.fit(connection, sum(one.records for one in (*batch.deliveries, *batch.readings)))
            known_ids.ensure(connection, bench.known_ids)
            scratch.fill(connection, batch, settings)
            check_inputs(connection)
        return project.build(bench.attach, bench.target_dir, instance=bench.instance, keep_manifest=keep_manifest)


@contextmanager
def data_faults() -> Iterator[None]:
    """Tell what a delivery may be the cause of from what else can go wrong in the block.

    Raises:
        DataFaultError: in place of the error, if a delivery may be the cause.
    """
    try:
        yield
    except (project.TransformError, duckdb.Error) as error:
        if found := _OF_DATA.search(str(error)):
            raise DataFaultError(error, found[0]) from error
        raise


def without_culprits(
    settings: Settings, batch: Batch, suspects: Sequence[LandedDelivery], fault: DataFaultError | None
) -> tuple[Batch, list[tuple[LandedDelivery, str]]]:
    """The batch without the deliveries that it cannot be staged with, and these, each with the reason.

    `suspects` are tried last. `fault` is how the whole batch failed, if it was tried.

    Raises:
        TransformError, duckdb.Error: as staging failed, if it fails without any delivery, or with each.
    """
    numbers = itertools.count()
    last = fault

    def fails(deliveries: Sequence[LandedDelivery]) -> str | None:
        nonlocal last
        try:
            with Workbench(settings, f"{batch.run_id}-{next(numbers)}").kept() as bench:
                stage(bench, replace(batch, deliveries=deliveries), settings)
        except DataFaultError as error:
            last = error
            return error.reason
        return None

    no_delivery_is_the_cause = fails(()) is not None
    usual = [delivery for delivery in batch.deliveries if delivery not in suspects]
    good, left = ([], []) if no_delivery_is_the_cause else largest_part(usual, fails)
    if no_delivery_is_the_cause or (len(usual) > 1 and not good):
        assert last is not None
        raise last.cause
    good, left_again = largest_part(suspects, fails, good)
    return replace(batch, deliveries=good), left + left_again


def largest_part(
    items: Sequence[_Item], fails: Callable[[Sequence[_Item]], str | None], begin: Sequence[_Item] = ()
) -> tuple[list[_Item], list[tuple[_Item, str]]]:
    """Those of the items with which, after those to `begin` with, nothing fails, and the others with the reason.

    `fails` tells why some items together fail, or None. It is asked about halves, and halves of those that fail. After
    `MOST_TRIES` what still fails together is left out together.
    """
    good, left = list(begin), list[tuple[_Item, str]]()
    tries = 0

    def add(part: Sequence[_Item], reason: str | None) -> None:
        nonlocal tries
        if not part:
            return
        if reason is None:
            tries += 1
            reason = fails([*good, *part])
            if reason is None:
                good.extend(part)
                return
        if len(part) == 1 or tries >= MOST_TRIES:
            left.extend((item, reason) for item in part)
            return
        half, before = len(part) // 2, len(good)
        add(part[:half], None)
        # Where all of the first half is good, the second is what failed.
        add(part[half:], reason if len(good) == before + half else None)

    add(items, None)
    return good, left
