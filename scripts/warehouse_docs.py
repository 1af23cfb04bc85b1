"""Write the tables of docs/warehouse.md from the dbt project, their only home: `python scripts/warehouse_docs.py`."""

from __future__ import annotations

from pathlib import Path

from activity_audit.dbt_runner import project
from activity_audit.warehouse.contract import PublishedModel, published_models

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "warehouse.md"
_MARK = "The tables below are written from the dbt project by `make docs`.\n"


def expected(document: str) -> str:
    """The document with its tables as the dbt project has them now."""
    head = document.split(_MARK)[0]
    return head + _MARK + "".join(f"\n{_section(model)}" for model in published_models(project.manifest()))


def _section(model: PublishedModel) -> str:
    how = {
        "append": "Rows are only added.",
        "elsewhere": "Rows are only added.",
        "upsert": f"A run replaces the rows of the {' and '.join(f'`{key}`' for key in model.key)} that it touches.",
        "replace": "Every run writes it whole, if it changed.",
        "view": "A view.",
    }[model.strategy]
    rows = [
        f"| `{column.name}` | {column.data_type}{', not null' if column.not_null else ''} | {column.description} |"
        for column in model.columns
    ]
    title = f"### `{model.schema}.{model.name}`"
    return "\n".join([title, "", model.description, "", how, "", "| column | type | |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    DOCUMENT.write_text(expected(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
