"""The asset graph of the warehouse, from dbt's manifest: each model's parents, and which models have an hour.

A model has an hour if a run adds rows to the warehouse's table that come from what was delivered in that hour, or if
the checks look at such rows in it. What is made of seeds alone, a table that is replaced as a whole, a view, which has
no rows of its own, and what a run works with and throws away are unpartitioned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, build_dbt_asset_specs

from activity_audit.base import catalogue
from activity_audit.dbt_runner import column_lineage
from orchestration import checks
from orchestration.assets.raw import OWNERS, asset_key

# What is delivered in an hour is in the tables of this source, but for the one that is about the run itself.
_DELIVERED = "raw"
_OF_THE_RUN = "run_context"
# How a public table is published that is not added to (see `meta.publish` in dbt_project).
_WHOLE = ("replace", "view")


@dataclass(frozen=True)
class Model:
    """A seed or model of dbt, as an asset; `is_public` where the warehouse has it, `adds` where runs add rows to it."""

    unique_id: str
    spec: dg.AssetSpec
    is_public: bool
    adds: bool

    @property
    def has_hour(self) -> bool:
        """Whether it is partitioned."""
        return self.spec.partitions_def is not None


def models(manifest: Mapping[str, Any], partitions: dg.PartitionsDefinition) -> list[Model]:
    """Every seed and model of the dbt project. Those with an hour are partitioned like the raw feeds."""
    translator = _Translator()
    nodes = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] in ("seed", "model")}
    keys = {unique_id: translator.get_asset_key(node) for unique_id, node in nodes.items()}
    specs = {spec.key: spec for spec in build_dbt_asset_specs(manifest=manifest, dagster_dbt_translator=translator)}
    lineage = _column_lineage(keys)
    found = []
    for unique_id, node in nodes.items():
        spec, publish = specs[keys[unique_id]], _publish(node)
        found.append(
            Model(
                unique_id,
                spec.replace_attributes(
                    partitions_def=partitions if _has_hour(unique_id, manifest, keys[unique_id]) else None,
                    deps=_deps(spec),
                    kinds={"dbt", "ducklake" if publish else "duckdb"},
                    metadata={**spec.metadata, **lineage.get(spec.key, {})},
                ),
                is_public=publish is not None,
                adds=publish is not None and publish not in _WHOLE,
            )
        )
    return found


def written_by_python(manifest: Mapping[str, Any]) -> list[dg.AssetSpec]:
    """The public tables that dbt does not build: sources that a run's ledger and checks, or upkeep, write."""
    return [
        dg.AssetSpec(
            [source["schema"], source["name"]],
            description=source["description"],
            group_name=source["schema"],
            owners=OWNERS,
            kinds={"python", "ducklake"},
        )
        for source in manifest["sources"].values()
        if _publish(source)
    ]


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


def _publish(node: Mapping[str, Any]) -> str | None:
    return node["config"].get("meta", {}).get("publish")


def _has_hour(unique_id: str, manifest: Mapping[str, Any], key: dg.AssetKey) -> bool:
    publish = _publish(manifest["nodes"][unique_id])
    is_kept = key in checks.ASSETS.values() if publish is None else publish not in _WHOLE
    return is_kept and _is_of_deliveries(unique_id, manifest)


def _is_of_deliveries(unique_id: str, manifest: Mapping[str, Any]) -> bool:
    """Whether any of it comes from what was delivered."""
    if source := manifest["sources"].get(unique_id):
        return _is_delivered(source["source_name"], source["name"])
    above = manifest["nodes"][unique_id].get("depends_on", {}).get("nodes", ())
    return any(_is_of_deliveries(parent, manifest) for parent in above)


def _is_delivered(source: str, table: str) -> bool:
    return source == _DELIVERED and table != _OF_THE_RUN


def _deps(spec: dg.AssetSpec) -> list[dg.AssetDep]:
    """What it is made of: models as dbt has them, and the raw feeds where it reads what was delivered.

    What was published before is no input.
    """
    models = [dep for dep in spec.deps if dep.asset_key.path[0] != "source"]
    sources = [dep.asset_key.path[1:] for dep in spec.deps if dep.asset_key.path[0] == "source"]
    if any(_is_delivered(*source) for source in sources):
        models += [dg.AssetDep(asset_key(slug)) for slug in catalogue.slugs()]
    return models


def _column_lineage(keys: Mapping[str, dg.AssetKey]) -> dict[dg.AssetKey, dict[str, Any]]:
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
