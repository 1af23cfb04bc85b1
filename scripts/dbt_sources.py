"""Write the public tables as sources for other dbt projects, into deploy/dbt: `python scripts/dbt_sources.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from activity_audit.dbt_runner import project
from activity_audit.warehouse.contract import PublishedModel, published_models

DOCUMENT = Path(__file__).resolve().parent.parent / "deploy/dbt/models/sources.yml"
_HEAD = "# Written from the dbt project of the warehouse by `make docs`.\n"
# The name of each schema's source; the schemas' own would say nothing in another project.
_SOURCES = {"main": "activity_audit", "quality": "activity_audit_quality"}


def expected() -> str:
    """What the file must be."""
    models = published_models(project.manifest())
    sources = [
        {
            "name": name,
            "database": "audit",
            "schema": schema,
            "tables": [_table(model) for model in models if model.schema == schema and not model.is_bookkeeping],
        }
        for schema, name in _SOURCES.items()
    ]
    text = yaml.safe_dump({"version": 2, "sources": sources}, sort_keys=False, allow_unicode=True, width=10_000)
    return _HEAD + text


def _table(model: PublishedModel) -> dict[str, Any]:
    columns = [
        {"name": column.name, "description": column.description, "data_type": column.data_type}
        | ({"quote": True} if not column.name.isidentifier() else {})
        for column in model.columns
    ]
    return {"name": model.name, "description": model.description, "columns": columns}


if __name__ == "__main__":
    DOCUMENT.write_text(expected(), encoding="utf-8")
