"""The public tables and views as the dbt project declares them: the column contract has its only home there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """One column of a public table."""

    name: str
    data_type: str
    not_null: bool
    description: str


@dataclass(frozen=True)
class PublishedModel:
    """A dbt model of the materialisation `published`, and how its staged rows reach the warehouse."""

    schema: str
    name: str
    description: str
    columns: tuple[Column, ...]
    strategy: str
    key: tuple[str, ...]
    order_by: tuple[str, ...]
    partition_by: tuple[str, ...]
    sorted_by: tuple[str, ...]

    @property
    def is_table(self) -> bool:
        """Whether it is a table, not a view."""
        return self.strategy != "view"


def published_models(manifest: dict[str, Any]) -> list[PublishedModel]:
    """The public tables and views of a dbt manifest, tables first, in the order of their names."""
    models = [
        _model(node)
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["materialized"] == "published"
    ]
    return sorted(models, key=lambda model: (not model.is_table, model.schema, model.name))


def _model(node: dict[str, Any]) -> PublishedModel:
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
        ),
        strategy=meta["publish"],
        key=tuple(meta.get("publish_key", ())),
        order_by=tuple(meta.get("order_by", ())),
        partition_by=tuple(meta.get("partition_by", ())),
        sorted_by=tuple(meta.get("sorted_by", ())),
    )
