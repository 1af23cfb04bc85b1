"""Reads settings from environment variables or a `.env` file, and reports wrong names and values.

The fields of `Settings` begin with AUDIT_, those of its group `report` with AUDIT_REPORT_, of `cxone` with CXONE_.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError

from activity_audit.base.masking import without_secrets

FILE = ".env"
# How alike two names must be for one to be taken for the other, misspelt; 1 is the same.
_ALIKE = 0.85
Variables = Mapping[str, tuple[str, ...]]


def variables(model: type[BaseModel], *group: str) -> Variables:
    """The variable of every setting, and the fields that lead to it; a field that is a model is a group of settings."""
    found: dict[str, tuple[str, ...]] = {}
    for name, field in model.model_fields.items():
        path, kind = (*group, name), field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= variables(kind, *path)
        else:
            found[_variable(path)] = path
    return found


def values(variables: Variables) -> dict[str, Any]:
    """What the environment says, or else the file, by field. An empty value says nothing.

    Raises:
        OSError: if the file cannot be read.
        UnicodeDecodeError: if it is not UTF-8.
    """
    texts = {name.upper(): text for name, text in (*dotenv_values(FILE).items(), *os.environ.items()) if text}
    found: dict[str, Any] = {}
    for variable, (*group, field) in variables.items():
        if variable in texts:
            (found.setdefault(group[0], {}) if group else found)[field] = texts[variable]
    return found


def misspelt(variables: Variables) -> dict[str, str]:
    """Names that look like those of `variables` and are none, each with the one it looks like.

    Others are left alone: a source of your own may have settings of its own.
    """
    given = {name.upper() for name in (*os.environ, *dotenv_values(FILE))} - variables.keys()
    ours = sorted(name for name in given if name.startswith(("AUDIT_", "CXONE_")))
    alike = {name: get_close_matches(name, variables, n=1, cutoff=_ALIKE) for name in ours}
    return {name: found[0] for name, found in alike.items() if found}


def explained(error: ValidationError) -> str:
    """A line for each wrong value: the variable, the value without secrets, and what it must be."""
    return "\n".join(map(_explain, error.errors()))


def _variable(path: tuple[str | int, ...]) -> str:
    name = "_".join(map(str, path)).upper()
    return name if path[0] == "cxone" else f"AUDIT_{name}"


def _explain(item: Any) -> str:
    name = _variable(item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "literal_error":
        message = "must be " + item["ctx"]["expected"]
    elif item["type"].startswith("int"):
        message = "must be a whole number"
    elif item["type"].startswith("float"):
        message = "must be a number"
    elif item["type"] == "greater_than_equal":
        message = f"must be at least {_number(item['ctx']['ge'])}"
    elif item["type"] == "less_than_equal":
        message = f"must be at most {_number(item['ctx']['le'])}"
    # A URL of the API may have a password or a key in it, and one of a service that takes alerts is one.
    is_secret = name == "AUDIT_ALERT_TO" or (name.startswith("CXONE_") and re.search("[@?]", str(item["input"])))
    value = "…" if is_secret else item["input"]
    return f"{name}={without_secrets(repr(value))}: {message}"


def _number(bound: float) -> str:
    """A bound as people write it: pydantic makes 1.0 of the 1 that it is."""
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
