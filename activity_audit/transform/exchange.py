"""The folder through which the steps of a distributed run hand on what they made, as Parquet files.

A step does each part in an attempt of its own: its files bear the attempt's name, and count once a small file, written
as a whole, says that the attempt is complete. So a worker that is killed, or does a part twice, changes nothing.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import duckdb
from pydantic import BaseModel, ConfigDict

from activity_audit.base.sql_text import literal
from activity_audit.transform.exchange_folder import ExchangeFolder
from activity_audit.transform.scratch import Batch, Workbench
from activity_audit.warehouse.fact_files import FactFile, Layout
from activity_audit.warehouse.object_storage import open_storage

_Content = TypeVar("_Content", bound=BaseModel)
_ATTEMPT = re.compile(r"(?P<step>[a-z0-9-]+)\.(?P<part>\d{4,})\.[0-9a-f]{32}")


class Plan(BaseModel):
    """What every step of a run has to know: how records are judged, and of how many parts.

    `release` is the fingerprint of what judges.
    """

    release: str
    planned_at: datetime
    future_tolerance: timedelta
    parts: int


class Handed(BaseModel):
    """What a complete attempt handed on: files by the relation that they have the rows of, and files of the fact.

    `seconds` says how long dbt took for each seed and model. `since` is the snapshot that the warehouse was read at,
    and `layout` how it has the fact, where the step looked at it.
    """

    attempt: str
    files: dict[str, str] = {}
    facts: list[FactFile] = []
    seconds: dict[str, float] = {}
    since: int | None = None
    layout: Layout | None = None


class _Described(BaseModel):
    # The content of a manifest, which is bytes.
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    batch: Batch


class Exchange:
    """The exchange of one run, in a folder of this machine or of a bucket."""

    def __init__(self, root: str | Path) -> None:
        self._folder = ExchangeFolder(str(root))

    def begin(self, plan: Plan) -> None:
        """Make the exchange, and write down what every step has to know."""
        self._put("plan", plan)

    def is_there(self) -> bool:
        """Whether it was begun."""
        return "plan.json" in self._folder.names()

    def plan(self) -> Plan:
        """What was written down."""
        return self._get("plan", Plan)

    def describe(self, batch: Batch, part: int | None = None) -> None:
        """Write down what a part has to do, or all of them together."""
        self._put(_batch(part), _Described(batch=batch))

    def batch(self, part: int | None = None) -> Batch:
        """What a part has to do, or all of them together."""
        return self._get(_batch(part), _Described).batch

    def let_reach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a connection read and write the files of the exchange."""
        open_storage(connection, self._folder.root)

    def file(self, name: str) -> str:
        """The path of a Parquet file of the exchange."""
        return f"{self._folder.root}/{name}.parquet"

    def hand_on(self, bench: Workbench, connection: duckdb.DuckDBPyConnection, attempt: str, relation: str) -> str:
        """Put the rows of a relation of `work` into a file of the attempt; its path."""
        target = self.file(f"{attempt}.{relation}")
        # What dbt wrote into a file is in it already, as it has to be.
        written = bench.path.with_name(f"{bench.path.name}.{relation.rpartition('.')[2]}.parquet")
        if written.exists() and self._folder.local:
            shutil.move(written, target)
        else:
            compression = "uncompressed" if self._folder.local else "zstd"
            connection.execute(
                f"copy (from work.{relation}) to {literal(target)} (format parquet, compression {compression})"
            )
        return target

    def complete(self, handed: Handed) -> None:
        """Let an attempt count, with all that it handed on."""
        self._put(handed.attempt, handed)

    def done(self, step: str) -> dict[int, Handed]:
        """One complete attempt at each part of a step; what is made of a part is the same in each."""
        names = {int(found["part"]): found[0] for found in self._complete() if found["step"] == step}
        return {part: self.attempt(names[part]) for part in sorted(names)}

    def attempt(self, name: str) -> Handed:
        """What a complete attempt handed on."""
        return self._get(name, Handed)

    def attempts(self) -> list[Handed]:
        """Every complete attempt of every step."""
        return [self.attempt(found[0]) for found in self._complete()]

    def remove(self) -> None:
        """Remove the exchange with all that is in it."""
        self._folder.remove()

    def _complete(self) -> list[re.Match[str]]:
        names = [name.removesuffix(".json") for name in self._folder.names() if name.endswith(".json")]
        return [found for name in names if (found := _ATTEMPT.fullmatch(name))]

    def _put(self, name: str, content: BaseModel) -> None:
        self._folder.write(f"{name}.json", content.model_dump_json())

    def _get(self, name: str, kind: type[_Content]) -> _Content:
        return kind.model_validate_json(self._folder.read(f"{name}.json"))


def new_attempt(step: str, part: int) -> str:
    """A name for a new attempt at a part of a step."""
    return f"{step}.{part:04d}.{uuid4().hex}"


def sweep(root: str, before: datetime) -> None:
    """Remove the exchanges of runs that were planned before that time (aware), and are still there."""
    for name in ExchangeFolder(root).folders():
        exchange = Exchange(f"{root}/{name}")
        # What has no plan is not ours, or is being removed by somebody else.
        with suppress(FileNotFoundError, ValueError):
            if exchange.plan().planned_at < before:
                exchange.remove()


def _batch(part: int | None) -> str:
    return "batch" if part is None else f"batch-{part:04d}"
