"""Staging by several processes of this machine: the steps of `activity_audit.transform.steps`, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import duckdb

from activity_audit.pipeline.workers import Workers
from activity_audit.settings.core import Settings
from activity_audit.transform import steps
from activity_audit.transform.exchange import Exchange
from activity_audit.transform.scratch import Batch, Workbench
from activity_audit.transform.steps import Staged
from activity_audit.warehouse import fact_files
from activity_audit.warehouse.fact_files import FactFile


class Spread:
    """A batch that is spread over workers. What is parsed stays so when it has to be staged once more.

    `met` is the attempt of `meet` by which others judged all of it already.
    """

    def __init__(self, settings: Settings, batch: Batch, exchange: Exchange, met: str | None = None) -> None:
        self.batch = batch
        self._settings = settings
        self._exchange = exchange
        self._met = met
        self._is_own = met is None

    def stage(self, bench: Workbench, check_inputs: Callable[[duckdb.DuckDBPyConnection], None]) -> Staged:
        """Stage the batch in `bench`.

        Raises:
            DataFaultError: it fails, and a delivery may be the cause.
            TransformError: dbt fails for another reason.
            WarehouseError: a raw file is gone.
            WorkerError: a worker dies, and again when its part is done once more.
        """
        exchange = self._exchange
        if not exchange.is_there():
            with bench.connect() as connection:
                steps.plan(self._settings, exchange, self.batch, connection)
        try:
            met, self._met = self._met or self._judged(check_inputs), None
            return steps.gather(self._settings, exchange, bench, met)
        except BaseException:
            self.discard()
            raise

    def _judged(self, check_inputs: Callable[[duckdb.DuckDBPyConnection], None]) -> str:
        """Have workers do what is not done yet; the attempt of `meet` by which all is judged."""
        exchange = self._exchange
        with Workers(self._settings) as workers:
            workers.do(steps.PARSE, steps.undone(exchange, steps.PARSE), exchange)
            met = steps.meet(self._settings, exchange, check_inputs)
            workers.do(steps.JUDGE, steps.undone(exchange, steps.judging(met)), exchange, met)
        return met

    def discard(self) -> None:
        """Remove the data files that workers wrote, which nobody publishes.

        What others judged, others may be about to publish: a step may be done twice at once. That stays.
        """
        if self._is_own:
            fact_files.remove(self._written())

    def discard_doubles(self, published: Iterable[FactFile]) -> None:
        """Remove the data files that workers wrote besides those that are published."""
        known = {file.path for file in published}
        fact_files.remove(file for file in self._written() if file.path not in known)

    def _written(self) -> list[FactFile]:
        return [file for handed in self._exchange.attempts() for file in handed.facts]
