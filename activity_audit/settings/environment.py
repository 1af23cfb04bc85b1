"""Reads settings from environment variables or a `.env` file, and reports wrong names and values.

The fields of `Settings` begin with AUDIT_, those of its groups with AUDIT_REPORT_ and AUDIT_DELIVERY_, of `cxone` with
CXONE_.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr, ValidationError

from activity_audit.base.masking import without_secrets

FILE = ".env"
# A secret may be in a file, as systems that hand out secrets have it; the variable with this ending names it.
_IN_FILE = "_FILE"
# How alike two names must be for one to be taken for the other, misspelt; 1 is the same.
_ALIKE = 0.85
Variables = Mapping[str, tuple[str, ...]]


class SecretFileError(ValueError):
    """The file of a secret cannot be used; the message names its variable, and nothing in it is secret."""


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


def secrets(model: type[BaseModel], *group: str) -> Iterator[str]:
    """The variable of every setting whose value is a secret, and which may be read from a file: `NAME_FILE` names it.

    A setting that has a variable of that name of its own is none of them.
    """
    for name, field in model.model_fields.items():
        kind, own = field.annotation, f"{name}_file"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from secrets(kind, *group, name)
        elif SecretStr in (kind, *get_args(kind)) and own not in model.model_fields:
            yield _variable((*group, name))


def secret_files(secrets: Iterable[str]) -> dict[str, Path]:
    """The files of those secrets that the environment says are in one, by the variable of the secret."""
    texts = _texts()
    return {name: Path(file).expanduser() for name in secrets if (file := texts.get(name + _IN_FILE))}


def values(variables: Variables, secrets: Iterable[str] = ()) -> dict[str, Any]:
    """What the environment says, or else the file, by field. An empty value says nothing.

    Raises:
        SecretFileError: if the file of a secret cannot be read, or the secret is given twice.
        OSError: if the file cannot be read.
        UnicodeDecodeError: if it is not UTF-8.
    """
    texts = _texts()
    for name, path in secret_files(secrets).items():
        if name in texts:
            raise SecretFileError(f"{name} and {name}{_IN_FILE} are both set: set one of them")
        texts[name] = _secret_in(name, path)
    found: dict[str, Any] = {}
    for variable, (*group, field) in variables.items():
        if variable in texts:
            (found.setdefault(group[0], {}) if group else found)[field] = texts[variable]
    return found


def _texts() -> dict[str, str]:
    return {name.upper(): text for name, text in (*dotenv_values(FILE).items(), *os.environ.items()) if text}


def _secret_in(name: str, path: Path) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SecretFileError(f"{name}{_IN_FILE}={str(path)!r} cannot be read: {reason}") from None
    if not secret:
        raise SecretFileError(f"{name}{_IN_FILE}={str(path)!r} is empty; it must have the secret and nothing else")
    return secret


def misspelt(variables: Variables, secrets: Iterable[str] = ()) -> dict[str, str]:
    """Names that look like those of `variables` and are none, each with the one it looks like.

    Others are left alone: a source of your own may have settings of its own.
    """
    given = {name.upper() for name in (*os.environ, *dotenv_values(FILE))} - variables.keys()
    given -= {name + _IN_FILE for name in secrets}
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
    is_url = name in ("AUDIT_ALERT_TO", "AUDIT_DELIVERY_SMTP")
    is_secret = is_url or (name.startswith("CXONE_") and re.search("[@?]", str(item["input"])))
    value = "…" if is_secret else item["input"]
    return f"{name}={without_secrets(repr(value))}: {message}"


def _number(bound: float) -> str:
    """A bound as people write it: pydantic makes 1.0 of the 1 that it is."""
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
