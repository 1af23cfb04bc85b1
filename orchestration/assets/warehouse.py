"""The dbt models as assets, and the one step that stages, checks and publishes them together.

It is one step because publishing is one transaction: no model may be visible whose run did not pass its checks.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, build_dbt_asset_specs

from activity_audit.base import catalogue
from activity_audit.base.hours import hour_range
from activity_audit.dbt_runner import column_lineage
from activity_audit.pipeline.run import update_warehouse
from activity_audit.pipeline.stages import ChecksFailedError, Outcome
from orchestration import checks
from orchestration.assets.raw import OWNERS, asset_key
from orchestration.partitions import Metadata, say_of_hours, window_of
from orchestration.resources import Home

FEEDS_TAG = "audit/feeds"


class _Translator(DagsterDbtTranslator):
    """How a dbt node becomes an asset."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey(["source", dbt_resource_props["source_name"], dbt_resource_props["name"]])
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        folder = dbt_resource_props["fqn"][1]
        return folder if dbt_resource_props["resource_type"] == "model" else "catalogue"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS


def specs(manifest: dict[str, Any], partitions: dg.PartitionsDefinition) -> list[dg.AssetSpec]:
    """An asset for every seed and model of the dbt project, partitioned by feed hour like the raw feeds."""
    found = build_dbt_asset_specs(manifest=manifest, dagster_dbt_translator=_Translator())
    lineage = _column_lineage(manifest)
    return [
        spec.replace_attributes(
            partitions_def=partitions,
            deps=_deps(spec),
            kinds={"dbt", "ducklake" if _is_public(spec) else "duckdb"},
            metadata={**spec.metadata, **lineage.get(spec.key, {})},
        )
        for spec in found
    ]


def _column_lineage(manifest: dict[str, Any]) -> dict[dg.AssetKey, dict[str, Any]]:
    translator = _Translator()
    keys = {unique_id: translator.get_asset_key(node) for unique_id, node in manifest["nodes"].items()}
    return {
        keys[model]: {
            "dagster/column_lineage": dg.TableColumnLineage(
                {
                    column: [dg.TableColumnDep(keys[parent], name) for parent, name in parents]
                    for column, parents in columns.items()
                }
            )
        }
        for model, columns in column_lineage.load().items()
        if model in keys
    }


def model_key(schema: str, name: str) -> dg.AssetKey:
    """The asset of a dbt model."""
    return dg.AssetKey([schema, name])


def _is_public(spec: dg.AssetSpec) -> bool:
    return spec.key.path[0] in ("main", "quality")


def _deps(spec: dg.AssetSpec) -> list[dg.AssetDep]:
    """Dependencies between models stay; what was published before is no input; the batch comes from all raw feeds.

    Every node has the feeds above it, seeds too: they are one step, and a root in the middle of a step that cannot be
    divided would keep Dagster from launching a backfill of everything.
    """
    models = [dep for dep in spec.deps if dep.asset_key.path[0] != "source"]
    return models + [dg.AssetDep(asset_key(slug)) for slug in catalogue.slugs()]


def build_warehouse_asset(manifest: dict[str, Any], partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The multi-asset of the warehouse, with its checks."""
    models = specs(manifest, partitions)

    @dg.multi_asset(
        name="update_warehouse",
        specs=models,
        check_specs=checks.specs(),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def warehouse(
        context: dg.AssetExecutionContext, home: Home
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Stage what is landed and not published, check it, and publish it as one snapshot."""
        settings = home.settings
        feeds = context.run.tags.get(FEEDS_TAG, ",".join(catalogue.slugs())).split(",")
        window = window_of(context)
        try:
            outcome = update_warehouse(
                settings, context.run_id, feeds, window, lambda name: home.stage(context.log, name)
            )
        except ChecksFailedError as error:
            home.warn(context.log, error.outcome.warnings)
            yield from checks.results(settings, error.outcome.checks)
            raise dg.Failure(str(error), allow_retries=False) from None
        home.warn(context.log, outcome.warnings)
        yield from checks.results(settings, outcome.checks)
        counts = {hour: _counts(outcome, hour) for hour in hour_range(*window)}
        say_of_hours(context, {spec.key: counts for spec in models if _is_public(spec)})
        for spec in _parents_first(models):
            snapshot = {"snapshot": dg.MetadataValue.text(outcome.run_id)} if _is_public(spec) else {}
            yield dg.MaterializeResult(asset_key=spec.key, metadata=snapshot)

    return warehouse


def _parents_first(models: list[dg.AssetSpec]) -> Iterator[dg.AssetSpec]:
    """The models in the order in which Dagster wants to hear of them."""
    by_key = {spec.key: spec for spec in models}
    parents = {spec.key: [dep.asset_key for dep in spec.deps if dep.asset_key in by_key] for spec in models}
    return (by_key[key] for key in TopologicalSorter(parents).static_order())


def _counts(outcome: Outcome, hour: datetime) -> Metadata:
    """What the run published of a feed hour."""
    return {name: dg.MetadataValue.int(count) for name, count in outcome.of_hour(hour).items()}
