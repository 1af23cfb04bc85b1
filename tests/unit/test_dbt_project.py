"""The dbt project: what it declares is complete, its rules agree with Python's, and its own unit tests pass."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import catalogue, transform
from orchestration.contract import published_models

PUBLIC = ("marts", "quality")


@pytest.fixture(scope="module")
def models() -> list[dict[str, Any]]:
    nodes = transform.manifest()["nodes"].values()
    return [node for node in nodes if node["resource_type"] == "model"]


def test_everything_public_is_described_and_under_contract(models: list[dict[str, Any]]) -> None:
    for model in models:
        assert model["description"], model["name"]
        assert (transform.DBT_PROJECT_DIR / model["original_file_path"]).with_suffix(".yml").exists(), model["name"]
        if model["fqn"][1] in PUBLIC:
            assert model["config"]["contract"]["enforced"], model["name"]
            for column in model["columns"].values():
                assert column["description"], f"{model['name']}.{column['name']}"
                assert column["data_type"], f"{model['name']}.{column['name']}"


def test_every_published_model_says_how() -> None:
    models = {model.name: model for model in published_models(transform.manifest())}
    assert {"fact_activity_event", "dim_entity_activity", "feed_reconciliation"} <= set(models)
    assert models["fact_activity_event"].strategy == "append"
    assert all(model.key for model in models.values() if model.strategy == "upsert")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """A database with the project's macros as functions: dbt renders them into the views of a scratch project."""
    folder = tmp_path_factory.mktemp("macros")
    for name in ("dbt_project.yml", "profiles.yml"):
        (folder / name).write_text((transform.DBT_PROJECT_DIR / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "macros").symlink_to(transform.DBT_PROJECT_DIR / "macros")
    (folder / "models").mkdir()
    rendered = {
        "name_key": "select {{ normalised_name('x') }} as y",
        "parsed": "select {{ parse_event_time('x', 'declared') }} as y",
        "hash": "select {{ record_sha256() }} as y",
    }
    for name, sql in rendered.items():
        (folder / "models" / f"{name}.sql").write_text(sql, encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setattr(transform, "DBT_PROJECT_DIR", folder)
    patch.setenv("AUDIT_HOME", str(folder / "home"))
    transform.invoke("compile", target=folder / "target")
    patch.undo()

    def body(name: str) -> str:
        compiled = folder / "target/compiled/activity_audit/models" / f"{name}.sql"
        return compiled.read_text(encoding="utf-8").strip().removeprefix("select").rsplit(" as y", 1)[0]

    connection = duckdb.connect()
    connection.execute(f"create macro name_key(x) as {body('name_key')}")
    connection.execute(f"create macro parsed(x, declared) as {body('parsed')}")
    columns = "application, entity, activity, event_time_utc, event_id, triggered_by, instance, outcome, comments"
    connection.execute(f"create macro hashed({columns}) as {body('hash')}")
    return connection


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("VOICE_Only", "voiceonly"),
        ("VOICE ONLY", "voiceonly"),
        ("Voice & screen recording, Work item", "voiceandscreenrecordingworkitem"),
        ("Voice and  Screen-Recording: (work.item)", "voiceandscreenrecordingworkitem"),
        ("Interaction Data (VOICE AND SCREEN)", "interactiondatavoiceandscreen"),
        ("C++", "c++"),
        ("!?", "!?"),
        ("\u00c9t\u00e9\u00a0\u2003X", "\u00e9t\u00e9x"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        ("R&D", "randd"),
    ],
)
def test_names_have_one_key_in_sql_and_python(database: duckdb.DuckDBPyConnection, name: str, key: str) -> None:
    assert database.execute("select name_key(?)", [name]).fetchone() == (key,)
    assert catalogue.normalised_name(name) == key


def test_times_are_read_as_python_reads_them(database: duckdb.DuckDBPyConnection) -> None:
    start = datetime(2023, 12, 31, 22, 0, 0, 1, tzinfo=UTC)
    for step in range(200):
        moment = start + timedelta(hours=7 * step, microseconds=999_983 * step)
        zone = timedelta(minutes=(step * 37) % 1700 - 850)
        local = moment + zone
        sign, minutes = ("-" if zone < timedelta(0) else "+"), abs(int(zone.total_seconds() // 60))
        text = f"{local:%Y-%m-%dT%H:%M:%S.%f}{sign}{minutes // 60:02}:{minutes % 60:02}"
        assert datetime.fromisoformat(text) == moment
        parsed = database.execute("select parsed(?, false)", [text]).fetchone()
        assert parsed is not None
        assert parsed[0]["local"] - timedelta(minutes=parsed[0]["offset_minutes"]) == moment.replace(tzinfo=None)


def test_the_record_hash_is_what_its_definition_says(database: duckdb.DuckDBPyConnection) -> None:
    moment = datetime(2026, 5, 1, 10, 0, 0, 5, tzinfo=UTC).replace(tzinfo=None)
    fields = ("Search", "Search", "Search query", moment, "e-1", None, "i", "SUCCESS", "caf\u00e9")
    texts = [value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value for value in fields]
    written = ",".join("-" if text is None else f"{len(text.encode())}:{text}" for text in texts)
    found = database.execute("select hashed(?, ?, ?, ?, ?, ?, ?, ?, ?)", fields).fetchone()
    assert found == (hashlib.sha256(written.encode()).hexdigest(),)


def test_the_dbt_unit_tests_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_HOME", str(tmp_path / "home"))
    transform.manifest()
    result = transform.invoke("build", "--exclude-resource-type", "test", target=tmp_path)
    assert sum(node.node.resource_type == "unit_test" for node in result) >= 15
