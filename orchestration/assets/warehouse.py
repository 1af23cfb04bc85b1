"""The one step that stages, checks and publishes the dbt models together.

It is one step because publishing is one transaction: no model may be visible whose run did not pass its checks. So the
step is the asset of every model that has an hour. A model without one is an external asset, whose materialisations the
step reports: Dagster cannot launch one backfill of a step with and without partitions.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from graphlib import TopologicalSorter

import dagster as dg

from activity_audit.base import catalogue
from activity_audit.base.hours import hour_range
from activity_audit.pipeline.run import update_warehouse
from activity_audit.pipeline.stages import ChecksFailedError, Outcome
from orchestration import checks
from orchestration.assets.graph import Model
from orchestration.partitions import Metadata, say_of_hours, window_of
from orchestration.resources import Home

FEEDS_TAG = "audit/feeds"


def build_warehouse_asset(models: Sequence[Model]) -> dg.AssetsDefinition:
    """The multi-asset of the models that have an hour, with its checks; it reports what becomes of the others."""
    of_hours = [model for model in models if model.has_hour]

    @dg.multi_asset(
        name="update_warehouse",
        specs=[model.spec for model in of_hours],
        check_specs=checks.specs(),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def warehouse(
        context: dg.AssetExecutionContext, home: Home
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Stage what is landed and not published, check it, and publish it as one snapshot."""
        feeds = context.run.tags.get(FEEDS_TAG, ",".join(catalogue.slugs())).split(",")
        window = window_of(context)
        try:
            outcome = update_warehouse(
                home.settings, context.run_id, feeds, window, lambda name: home.stage(context.log, name)
            )
        except ChecksFailedError as error:
            home.warn(context.log, error.outcome.warnings)
            yield from checks.results(home.settings, error.outcome.checks)
            raise dg.Failure(str(error), allow_retries=False) from None
        home.warn(context.log, outcome.warnings)
        context.log.info(_what_dbt_built(models, outcome))
        yield from checks.results(home.settings, outcome.checks)
        for model in models:
            if not model.has_hour and (not model.adds or outcome.built[model.unique_id].rows):
                context.log_event(dg.AssetMaterialization(model.spec.key, metadata=_of_run(model, outcome)))
        hours = list(hour_range(*window))
        say_of_hours(
            context,
            {
                model.spec.key: {hour: _of_hour(model, outcome, hour, is_only_one=len(hours) == 1) for hour in hours}
                for model in of_hours
            },
        )
        for model in _parents_first(of_hours):
            yield dg.MaterializeResult(asset_key=model.spec.key, metadata=_of_run(model, outcome))

    return warehouse


def _of_run(model: Model, outcome: Outcome) -> Metadata:
    """What is said of a model, and of each of its partitions, for all of the run."""
    built = outcome.built[model.unique_id]
    said: dict[str, dg.MetadataValue] = {"Execution Duration": dg.MetadataValue.float(built.seconds)}
    if model.is_public:
        said["snapshot"] = dg.MetadataValue.text(outcome.run_id)
    if not model.has_hour and built.rows is not None:
        said["dagster/row_count"] = dg.MetadataValue.int(built.rows)
    return said


def _of_hour(model: Model, outcome: Outcome, hour: datetime, *, is_only_one: bool) -> Metadata:
    """What the run published of a feed hour, and how many rows of the model that is."""
    counts = outcome.of_hour(hour) if model.is_public else {}
    rows = outcome.built[model.unique_id].of_hour(hour, is_only_one=is_only_one)
    return {
        name: dg.MetadataValue.int(count)
        for name, count in {**counts, "dagster/row_count": rows}.items()
        if count is not None
    }


def _what_dbt_built(models: Sequence[Model], outcome: Outcome) -> str:
    """A line for each seed and model, as dbt itself would log it."""
    lines = []
    for model in models:
        built = outcome.built[model.unique_id]
        rows = "view" if built.rows is None else f"{built.rows} rows"
        lines.append(f"{'.'.join(model.spec.key.path)}: {rows} in {built.seconds:.3f} s")
    return "\n".join([f"dbt built {len(lines)} seeds and models", *lines])


def _parents_first(models: Sequence[Model]) -> Iterator[Model]:
    """The models in the order in which Dagster wants to hear of them."""
    by_key = {model.spec.key: model for model in models}
    parents = {
        key: [dep.asset_key for dep in model.spec.deps if dep.asset_key in by_key] for key, model in by_key.items()
    }
    return (by_key[key] for key in TopologicalSorter(parents).static_order())
