"""The public tables and views as the dbt project declares them: the column contract has its only home there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_OF_UNIQUE_ROWS = ("unique", "unique_combination")


@dataclass(frozen=True)
class Column:
    """One column of a public table."""

    name: str
    data_type: str
    not_null: bool
    description: str


@dataclass(frozen=True)
class PublishedModel:
    """A public table or view, and how its staged rows reach the warehouse.

    `strategy` is the `meta.publish` of a dbt model, as `dbt_project.yml` explains it, or of a source that Python
    writes: `append` where a run stages its rows too, `elsewhere` where another transaction adds them. `grain` has the
    columns that tell its rows apart, as its tests say, and `is_bookkeeping` that only the product itself needs it.
    """

    schema: str
    name: str
    description: str
    columns: tuple[Column, ...]
    strategy: str
    key: tuple[str, ...]
    order_by: tuple[str, ...]
    partition_by: tuple[str, ...]
    sorted_by: tuple[str, ...]
    grain: tuple[str, ...]
    is_bookkeeping: bool

    @property
    def is_table(self) -> bool:
        """Whether it is a table, not a view."""
        return self.strategy != "view"


def published_models(manifest: dict[str, Any]) -> list[PublishedModel]:
    """The public tables and views of a dbt manifest, tables first, in the order of their names."""
    nodes = (*manifest["nodes"].values(), *manifest["sources"].values())
    grains = _grains(manifest)
    models = [
        _model(node, grains.get(node["unique_id"], ())) for node in nodes if "publish" in node["config"].get("meta", {})
    ]
    return sorted(models, key=lambda model: (not model.is_table, model.schema, model.name))


def tables_of_python(manifest: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The tables of the scratch database that Python fills, `schema.name`, with their columns and types.

    These are dbt's inputs, and those public tables whose rows a run publishes and Python writes.
    """
    return {
        f"{source['schema']}.{source['name']}": {
            name: column["data_type"] for name, column in source["columns"].items()
        }
        for source in manifest["sources"].values()
        if source["source_name"] == "raw" or source["config"]["meta"].get("publish") == "append"
    }


def _grains(manifest: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The columns of the first test of each node that says that its rows differ in them, by the node's unique id."""
    found: dict[str, tuple[str, ...]] = {}
    for test in manifest["nodes"].values():
        about = test.get("test_metadata") or {}
        if about.get("name") in _OF_UNIQUE_ROWS:
            asked = about["kwargs"]
            (of,) = test["depends_on"]["nodes"]
            found.setdefault(of, tuple(asked.get("columns") or [asked["column_name"]]))
    return found


def _model(node: dict[str, Any], grain: tuple[str, ...]) -> PublishedModel:
    meta = node["config"]["meta"]
    return PublishedModel(
        schema=node["schema"],
        name=node["name"],
        description=" ".join(node["description"].split()),
        columns=tuple(
            Column(
                name=column["name"],
                data_type=column["data_type"],
                not_null=any(constraint["type"] == "not_null" for constraint in column.get("constraints", [])),
                description=" ".join(column["description"].split()),
            )
            for column in node["columns"].values()
            if not column["config"]["meta"].get("staged_only")
        ),
        strategy=meta["publish"],
        key=tuple(meta.get("publish_key", ())),
        order_by=tuple(meta.get("order_by", ())),
        partition_by=tuple(meta.get("partition_by", ())),
        sorted_by=tuple(meta.get("sorted_by", ())),
        grain=grain,
        is_bookkeeping=meta.get("bookkeeping", False),
    )
