"""How large a setting may be: each number and each duration has a bound, is refused beyond it, and works at it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any, get_args

import pytest
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from activity_audit.ingest.cxone.sealing import due_hours
from activity_audit.raw.records import Record, to_batches
from activity_audit.settings.core import VARIABLES, Settings, SettingsError, load_settings


def field_at(path: tuple[str, ...]) -> FieldInfo:
    *group, name = path
    model = Settings.model_fields[group[0]].annotation if group else Settings
    return model.model_fields[name]  # type: ignore[union-attr]


CXONE = {
    "AUDIT_SOURCE": "cxone",
    "CXONE_API_URL": "https://api.example",
    "CXONE_TOKEN_URL": "https://token.example",
    "CXONE_ACCESS_KEY_ID": "id",
    "CXONE_ACCESS_KEY_SECRET": "secret",
}
# What the most workers need.
MEMORY = {"AUDIT_MEMORY_LIMIT": "64GB"}
FIELDS = {variable: field_at(path) for variable, path in VARIABLES.items()}
# An octal number of three digits is bound by how it is written.
WHOLE = {
    name: field
    for name, field in FIELDS.items()
    if int in (field.annotation, *get_args(field.annotation)) and name != "AUDIT_UMASK"
}
DURATIONS = [name for name, field in FIELDS.items() if field.annotation is timedelta]


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (CXONE | MEMORY).items():
        monkeypatch.setenv(name, value)


def bound(field: FieldInfo, kind: type[Ge] | type[Le]) -> Any:
    (found,) = (getattr(item, kind.__name__.lower()) for item in field.metadata if isinstance(item, kind))
    return found


def value_of(name: str) -> Any:
    return reduce(getattr, VARIABLES[name], load_settings())


def test_each_whole_number_is_known() -> None:
    assert len(WHOLE) == 12
    assert len(DURATIONS) == 17


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_has_bounds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    least, most = bound(WHOLE[name], Ge), bound(WHOLE[name], Le)
    for value in (least, most):
        monkeypatch.setenv(name, str(value))
        assert value_of(name) == value
    for value, message in ((least - 1, f"must be at least {least}"), (most + 1, f"must be at most {most}")):
        monkeypatch.setenv(name, str(value))
        with pytest.raises(SettingsError) as error:
            load_settings()
        assert str(error.value) == f"{name}='{value}': {message}"


@pytest.mark.parametrize(
    ("value", "message"), [("2", "must be at most 1"), ("-1", "must be at least 0"), ("most", "must be a number")]
)
def test_a_share_has_bounds(value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_RETENTION_MAX_SHARE", value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value) == f"AUDIT_RETENTION_MAX_SHARE='{value}': {message}"


@pytest.mark.parametrize("name", DURATIONS)
def test_a_duration_has_a_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What waits at a socket for longer than 32 bits of milliseconds may wait for none.
    most = 24 if name == "CXONE_TIMEOUT" else 36_500
    monkeypatch.setenv(name, f"{most}d")
    assert value_of(name) == timedelta(days=most)
    for value in (f"{most}.1d", "999999999d", f"{'9' * 400}d"):
        monkeypatch.setenv(name, value)
        with pytest.raises(SettingsError, match=f"^{name}='{value}': must be at most [0-9]+d$"):
            load_settings()


def test_hours_are_asked_for_since_there_are_any() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert next(due_hours([], [], now, timedelta(days=36_500))) == datetime(2015, 1, 1, tzinfo=UTC)


def test_the_largest_record_fits_into_a_batch() -> None:
    """As the largest of its escapes, beside all that may wait for it."""
    most = bound(WHOLE["AUDIT_MAX_RECORD_BYTES"], Le)
    waiting = 16 << 20
    assert 6 * most + 4 * waiting < 1 << 31
    (batch,) = to_batches([Record("é" * (waiting - 1)), Record("x")])
    assert batch.nbytes > waiting


def test_workers_need_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_MEMORY_LIMIT", "3GB")
    settings = load_settings(workers=4)
    assert settings.worker_memory == "0.600GB"
    assert load_settings(workers=1).worker_memory == "3GB"
    monkeypatch.setenv("AUDIT_WORKERS", "8")
    with pytest.raises(SettingsError, match=r"AUDIT_WORKERS='8': must be fewer, or AUDIT_MEMORY_LIMIT more than 3GB"):
        load_settings()
