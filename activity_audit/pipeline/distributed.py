"""Staging by several processes of this machine: the steps of `activity_audit.transform.steps`, one after another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
    """A batch that is spread over workers. What is parsed stays so when it has to be staged once more."""

    def __init__(self, settings: Settings, batch: Batch, folder: Path) -> None:
        self.batch = batch
        self._settings = settings
        self._exchange = Exchange(folder)

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
            with Workers(self._settings) as workers:
                workers.do(steps.PARSE, steps.undone(exchange, steps.PARSE), exchange)
                met = steps.meet(self._settings, exchange, check_inputs)
                workers.do(steps.JUDGE, steps.undone(exchange, steps.judging(met)), exchange, met)
            return steps.gather(self._settings, exchange, bench, met)
        except BaseException:
            fact_files.remove(self.written())
            raise

    def written(self) -> list[FactFile]:
        """Every data file that complete attempts wrote."""
        return [file for handed in self._exchange.attempts() for file in handed.facts]
