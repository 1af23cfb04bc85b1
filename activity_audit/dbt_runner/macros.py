"""SQL expressions of the dbt project's macros, for code that needs them outside dbt."""

from __future__ import annotations

from activity_audit.base.catalogue import DBT_PROJECT_DIR


def expression(file: str, macro: str, *arguments: str, **options: bool) -> str:
    """What a macro of `macros/<file>` makes of these arguments; it may call macros of the same file only."""
    import jinja2

    text = (DBT_PROJECT_DIR / "macros" / file).read_text(encoding="utf-8")
    macros = jinja2.Environment().from_string(text).module
    return str(getattr(macros, macro)(*arguments, **options)).strip()
