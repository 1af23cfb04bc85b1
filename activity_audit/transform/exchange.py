"""The folder through which the steps of a distributed run hand on what they made, as Parquet files.

A step does each part in an attempt of its own: its files bear the attempt's name, and count once a small file, written
as a whole, says that the attempt is complete. So a worker that is killed, or does a part twice, changes nothing.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import duckdb
from pydantic import BaseModel, ConfigDict

from activity_audit.base.files import rewrite
from activity_audit.base.sql_text import literal
from activity_audit.transform.scratch import Batch, Workbench
from activity_audit.warehouse.fact_files import FactFile, Layout

_Content = TypeVar("_Content", bound=BaseModel)


class Plan(BaseModel):
    """What every step of a run has to know: how records are judged, and of how many parts.

    `release` is the fingerprint of what judges.
    """

    release: str
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
    """The exchange of one run in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, plan: Plan) -> None:
        """Make the exchange, and write down what every step has to know."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._put("plan", plan)

    def is_there(self) -> bool:
        """Whether it was begun."""
        return (self._folder / "plan.json").exists()

    def plan(self) -> Plan:
        """What was written down."""
        return self._get("plan", Plan)

    def describe(self, batch: Batch, part: int | None = None) -> None:
        """Write down what a part has to do, or all of them together."""
        self._put(_batch(part), _Described(batch=batch))

    def batch(self, part: int | None = None) -> Batch:
        """What a part has to do, or all of them together."""
        return self._get(_batch(part), _Described).batch

    def file(self, name: str) -> str:
        """The path of a Parquet file of the exchange."""
        return str(self._folder / f"{name}.parquet")

    def hand_on(self, bench: Workbench, connection: duckdb.DuckDBPyConnection, attempt: str, relation: str) -> str:
        """Put the rows of a relation of `work` into a file of the attempt; its path."""
        target = self.file(f"{attempt}.{relation}")
        # What dbt wrote into a file is in it already, as it has to be.
        written = bench.path.with_name(f"{bench.path.name}.{relation.rpartition('.')[2]}.parquet")
        if written.exists():
            shutil.move(written, target)
        else:
            connection.execute(
                f"copy (from work.{relation}) to {literal(target)} (format parquet, compression uncompressed)"
            )
        return target

    def complete(self, handed: Handed) -> None:
        """Let an attempt count, with all that it handed on."""
        self._put(handed.attempt, handed)

    def done(self, step: str) -> dict[int, Handed]:
        """One complete attempt at each part of a step; what is made of a part is the same in each."""
        names = {int(path.name.split(".")[1]): path.stem for path in self._folder.glob(f"{step}.*.*.json")}
        return {part: self.attempt(names[part]) for part in sorted(names)}

    def attempt(self, name: str) -> Handed:
        """What a complete attempt handed on."""
        return self._get(name, Handed)

    def attempts(self) -> list[Handed]:
        """Every complete attempt of every step."""
        return [self.attempt(path.stem) for path in sorted(self._folder.glob("*.*.*.json"))]

    def _put(self, name: str, content: BaseModel) -> None:
        rewrite(self._folder / f"{name}.json", content.model_dump_json())

    def _get(self, name: str, kind: type[_Content]) -> _Content:
        return kind.model_validate_json((self._folder / f"{name}.json").read_bytes())


def new_attempt(step: str, part: int) -> str:
    """A name for a new attempt at a part of a step."""
    return f"{step}.{part:04d}.{uuid4().hex}"


def _batch(part: int | None) -> str:
    return "batch" if part is None else f"batch-{part:04d}"
