"""The four steps of a distributed run, each a function over Parquet files of an exchange.

`parse` and `judge` each see the deliveries of one part, and may run in any process of any machine, several at a time.
Between them `meet` sees what all parts have in common: their event ids, their names, and the published events that
have those ids. `gather` makes the rest, for the publisher. Each builds the project's own models, those that it needs
and does not have from the steps before; no rule is written a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb

from activity_audit.base.catalogue import DBT_PROJECT_DIR
from activity_audit.base.hours import now_utc
from activity_audit.base.sql_text import literal, parquet_rows
from activity_audit.base.vocabulary import FACT_NAME
from activity_audit.dbt_runner import project, target
from activity_audit.settings.core import Settings
from activity_audit.transform import parts, scratch, threads
from activity_audit.transform.exchange import Exchange, Handed, Plan, new_attempt
from activity_audit.transform.scratch import Batch, LoneWorkbench, Workbench
from activity_audit.transform.staging import data_faults
from activity_audit.warehouse import fact_files, known_ids, lake_location, spill
from activity_audit.warehouse.contract import PublishedModel, published_models
from activity_audit.warehouse.fact_files import FactFile
from activity_audit.warehouse.transactions import snapshot_now

PARSE, MEET, JUDGE = "parse", "meet", "judge"
_DELIVERY = "raw.delivery"
_PARSED = ("intermediate.int_parsed_record",)
_MET = (
    "intermediate.int_application", "intermediate.int_entity_activity", "intermediate.int_known_event",
    "intermediate.int_published_event", "intermediate.int_contested_record",
)  # fmt: skip
_JUDGED = ("intermediate.int_judged_record", "quality.quarantined_event")


@dataclass(frozen=True)
class Staged:
    """What `gather` staged: the seconds that dbt took in all steps for each seed and model, the snapshot that it was
    made from, and the data files of the fact.
    """

    seconds: dict[str, float]
    since: int | None
    facts: list[FactFile]


class OtherReleaseError(RuntimeError):
    """A worker has another release than the process that planned the run."""


def plan(settings: Settings, exchange: Exchange, batch: Batch, connection: duckdb.DuckDBPyConnection) -> None:
    """Write down what is to be done, in parts. The connection is one that can answer the batch's own queries."""
    cut = parts.cut(batch.deliveries, settings.workers)
    known = Plan(
        release=_release(),
        planned_at=now_utc(),
        future_tolerance=settings.future_tolerance,
        parts=len(cut),
    )
    exchange.begin(known)
    if batch.replayed:
        kept = exchange.file("replayed")
        connection.execute(f"copy ({batch.replayed}) to {literal(kept)} (format parquet)")
        batch = replace(batch, replayed=f"from {parquet_rows(kept)}")
    exchange.describe(batch)
    for part, deliveries in enumerate(cut):
        exchange.describe(replace(batch, deliveries=deliveries, manifests=(), readings=(), set_aside=()), part)


def parse(settings: Settings, exchange: Exchange, part: int) -> None:
    """Parse the records of a part. It needs the raw lake, and nothing of the warehouse.

    Raises:
        DataFaultError: it fails, and a delivery may be the cause.
        OtherReleaseError: this process would judge otherwise than the one that planned the run.
        WarehouseError: a raw file is gone.
    """
    settings = _as_planned(settings, exchange)
    batch = exchange.batch(part)
    handed = Handed(attempt=new_attempt(PARSE, part))
    with _lone(settings) as bench:
        with bench.connect() as connection:
            exchange.let_reach(connection)
            threads.fit(connection, _records(batch), settings.workers)
            scratch.fill(connection, batch, settings)
        handed.seconds = _build(bench, _PARSED, {})
        with bench.connect() as connection:
            _hand_on(exchange, bench, connection, handed, (*_PARSED, _DELIVERY))
    exchange.complete(handed)


def meet(
    settings: Settings,
    exchange: Exchange,
    check_inputs: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
) -> str:
    """Find what the parsed parts, and the warehouse, have in common; the name of what was found, for `judge`.

    It notes the snapshot that it read, which must still be the newest when what was made of it is published. For errors
    see `parse`.
    """
    settings = _as_planned(settings, exchange)
    batch = exchange.batch()
    handed = Handed(attempt=new_attempt(MEET, 0))
    given = _given(exchange.done(PARSE).values())
    with data_faults(), spill.scratch(settings) as folder, Workbench(settings, MEET, folder).kept() as bench:
        with bench.connect() as connection:
            known_ids.ensure(connection, bench.known_ids)
            handed.since = snapshot_now(connection)
            exchange.let_reach(connection)
            threads.fit(connection, _records(batch))
            scratch.fill(connection, batch, settings, hashed=_hashes(connection, given), with_records=False)
            check_inputs(connection)
            handed.layout = fact_files.layout(connection, _fact())
        handed.seconds = _build(bench, _MET, given)
        with bench.connect() as connection:
            _hand_on(exchange, bench, connection, handed, _MET)
    exchange.complete(handed)
    return handed.attempt


def judge(settings: Settings, exchange: Exchange, part: int, met: str) -> None:
    """Judge the records of a part by what an attempt of `meet` found, and write its events into final data files.

    It needs the part's parsed records, the raw lake, and the place of the warehouse's files. For errors see `parse`.
    """
    settings = _as_planned(settings, exchange)
    batch = exchange.batch(part)
    found = exchange.attempt(met)
    handed = Handed(attempt=new_attempt(judging(met), part))
    given = _given([exchange.done(PARSE)[part], found])
    with _lone(settings) as bench:
        with bench.connect() as connection:
            exchange.let_reach(connection)
            threads.fit(connection, _records(batch), settings.workers)
            scratch.fill(connection, batch, settings, hashed=_hashes(connection, given))
        handed.seconds = _build(bench, (*_JUDGED, f"main.{FACT_NAME}"), given)
        with bench.connect() as connection:
            assert found.layout is not None
            data_path = lake_location.location(settings).data_path
            handed.facts = fact_files.write(connection, _fact(), found.layout, data_path)
            _hand_on(exchange, bench, connection, handed, _JUDGED)
    exchange.complete(handed)


def gather(settings: Settings, exchange: Exchange, bench: Workbench, met: str) -> Staged:
    """Stage all of the batch in `bench`: what the steps before handed on, and the models that are left."""
    batch = exchange.batch()
    found = exchange.attempt(met)
    chosen = [*exchange.done(PARSE).values(), found, *exchange.done(judging(met)).values()]
    given = _given(chosen)
    with data_faults():
        with bench.connect() as connection:
            exchange.let_reach(connection)
            threads.fit(connection, _records(batch))
            known_ids.ensure(connection, bench.known_ids)
            scratch.fill(connection, batch, settings, hashed=_hashes(connection, given), with_records=False)
        seconds = Counter(_build(bench, None, given))
    for handed in chosen:
        seconds.update(handed.seconds)
    facts = [file for handed in chosen for file in handed.facts]
    return Staged(dict(seconds), found.since, facts)


def judging(met: str) -> str:
    """The name of the step that judges by this attempt of `meet`."""
    return f"{JUDGE}-{met.rpartition('.')[2]}"


def undone(exchange: Exchange, step: str) -> list[int]:
    """The parts of which a step has no complete attempt."""
    done = exchange.done(step)
    return [part for part in range(exchange.plan().parts) if part not in done]


def _as_planned(settings: Settings, exchange: Exchange) -> Settings:
    """The settings, with those that judging depends on as they were when the run was planned."""
    known = exchange.plan()
    if known.release != _release():
        raise OtherReleaseError(
            "this worker has another release of the product, of dbt or of DuckDB than the process that planned the "
            "run; install the same on every machine"
        )
    return settings.model_copy(update={"future_tolerance": known.future_tolerance})


def _release() -> str:
    return target.fingerprint(DBT_PROJECT_DIR)


@contextmanager
def _lone(settings: Settings) -> Iterator[Workbench]:
    """A scratch database for work that needs nothing of the warehouse."""
    with data_faults(), spill.scratch(settings) as folder, LoneWorkbench(settings, "part", folder).kept() as bench:
        yield bench


def _build(bench: Workbench, wanted: Collection[str] | None, given: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Build these relations (all: None) in `bench`, with what they are made of but for what is given, in files."""
    nodes = {
        key: node for key, node in project.manifest()["nodes"].items() if node["resource_type"] in ("seed", "model")
    }
    names = {f"{node['schema']}.{node['name']}": key for key, node in nodes.items()}
    ready = {names[name] for name in given if name in names}
    to_build: set[str] = set()
    ahead = [names[name] for name in wanted or names]
    while ahead:
        key = ahead.pop()
        if key in nodes and key not in to_build | ready:
            to_build.add(key)
            ahead += nodes[key].get("depends_on", {}).get("nodes", ())
    with bench.connect() as connection:
        for name in given.keys() & names.keys():
            connection.execute(f"create schema if not exists work.{name.partition('.')[0]}")
            connection.execute(f"create view work.{name} as from {parquet_rows(*given[name])}")
    select = " ".join(sorted(nodes[key]["name"] for key in to_build))
    return project.build(bench.attach, bench.target_dir, instance=bench.instance, select=select)


def _hand_on(
    exchange: Exchange,
    bench: Workbench,
    connection: duckdb.DuckDBPyConnection,
    handed: Handed,
    relations: Iterable[str],
) -> None:
    for relation in relations:
        handed.files[relation] = exchange.hand_on(bench, connection, handed.attempt, relation)


def _given(attempts: Iterable[Handed]) -> dict[str, list[str]]:
    """The files of these attempts by the relation that they have the rows of."""
    files: dict[str, list[str]] = {}
    for handed in attempts:
        for relation, file in handed.files.items():
            files.setdefault(relation, []).append(file)
    return files


def _hashes(connection: duckdb.DuckDBPyConnection, given: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
    """The hash of each raw file that was parsed, by its delivery."""
    query = f"select delivery_id, raw_sha256 from {parquet_rows(*given[_DELIVERY])}"
    return dict(connection.execute(query).fetchall())


def _records(batch: Batch) -> int:
    return sum(one.records for one in (*batch.deliveries, *batch.readings))


def _fact() -> PublishedModel:
    return next(model for model in published_models(project.manifest()) if model.name == FACT_NAME)
