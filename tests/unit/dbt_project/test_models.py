"""The dbt project: what it declares is complete, its rules agree with Python's, and its own unit tests pass."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from activity_audit.base import catalogue
from activity_audit.dbt_runner import project as transform
from activity_audit.dbt_runner import session
from activity_audit.settings.core import Settings
from activity_audit.warehouse.contract import published_models

ROOT = Path(__file__).parents[3]
PUBLIC = ("marts", "quality")
# Models that decide nothing: a select of columns, or one macro or function that is tried elsewhere.
WITHOUT_RULES = {
    "activity_audit_report", "int_known_event", "stg_entity_activity",
}  # fmt: skip


@pytest.fixture(scope="module")
def models() -> list[dict[str, Any]]:
    nodes = transform.manifest()["nodes"].values()
    return [node for node in nodes if node["resource_type"] == "model"]


def test_every_folder_that_the_project_names_is_there() -> None:
    project = yaml.safe_load((transform.DBT_PROJECT_DIR / "dbt_project.yml").read_text())
    named = [folder for key, folders in project.items() if key.endswith("-paths") for folder in folders]
    assert "models" in named
    assert [folder for folder in named if not (transform.DBT_PROJECT_DIR / folder).is_dir()] == []


def test_everything_public_is_described_and_under_contract(models: list[dict[str, Any]]) -> None:
    for model in models:
        assert model["description"], model["name"]
        assert (transform.DBT_PROJECT_DIR / model["original_file_path"]).with_suffix(".yml").exists(), model["name"]
        if model["fqn"][1] in PUBLIC:
            assert model["columns"], model["name"]
            assert model["config"]["contract"]["enforced"], model["name"]
            for column in model["columns"].values():
                assert column["description"], f"{model['name']}.{column['name']}"
                assert column["data_type"], f"{model['name']}.{column['name']}"


def test_every_model_with_rules_has_unit_tests_that_say_what_they_hold(models: list[dict[str, Any]]) -> None:
    unit_tests = transform.manifest()["unit_tests"].values()
    assert {test["model"] for test in unit_tests} == {model["name"] for model in models} - WITHOUT_RULES
    for test in unit_tests:
        assert test["description"], test["name"]


def test_ref_is_this_run_and_the_source_is_what_was_published(models: list[dict[str, Any]]) -> None:
    manifest = transform.manifest()
    assert {model["database"] for model in models} == {"work"}
    sources = manifest["sources"].values()
    assert {(source["source_name"], source["database"]) for source in sources} == {
        ("raw", "work"), ("published", "audit"), ("published_quality", "audit")
    }  # fmt: skip
    public = {f"{model.schema}.{model.name}" for model in published_models(manifest)}
    published = {f"{source['schema']}.{source['name']}" for source in sources if source["database"] == "audit"}
    assert published <= public


def test_dbts_own_materialisations_are_its_own(models: list[dict[str, Any]]) -> None:
    own = [
        macro["name"]
        for macro in transform.manifest()["macros"].values()
        if macro["package_name"] == "activity_audit" and macro["name"].startswith("materialization_")
    ]
    kinds = ("file", "table", "view")
    assert sorted(own) == [f"materialization_scratch_{kind}_duckdb" for kind in kinds]
    used = {model["config"]["materialized"] for model in models}
    assert used == {f"scratch_{kind}" for kind in kinds}
    assert {model["config"]["materialized"] for model in models if model["fqn"][1] in PUBLIC} == {
        "scratch_table", "scratch_view"
    }  # fmt: skip


def test_a_published_view_reads_only_what_is_published(models: list[dict[str, Any]]) -> None:
    """It is published over the tables in `audit` of the names that it has in `work`."""
    public = {model["unique_id"] for model in models if "publish" in model["config"]["meta"]}
    views = [model for model in models if model["config"]["meta"].get("publish") == "view"]
    assert len(views) > 1
    for view in views:
        assert set(view["depends_on"]["nodes"]) <= public, view["name"]


# Rows that have no key: two events may share a short key and an hour.
WITHOUT_KEY = {"known_event_id"}
# Views of all rows of one other relation, whose key is theirs.
OF_ANOTHERS_KEY = {"activity_audit_report", "ocsf_event", "stg_record"}


def test_every_table_has_a_test_of_its_key(models: list[dict[str, Any]]) -> None:
    manifest = transform.manifest()
    tested = {
        node
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test" and test["test_metadata"]["name"] in ("unique", "unique_combination")
        for node in test["depends_on"]["nodes"]
    }
    without = {model["name"] for model in models if model["unique_id"] not in tested}
    assert without == WITHOUT_KEY | OF_ANOTHERS_KEY
    written = {key: source for key, source in manifest["sources"].items() if "publish" in source["config"]["meta"]}
    assert {source["name"] for key, source in written.items() if key not in tested} == {"known_event_id_digest"}


def test_what_python_writes_is_a_source_under_contract() -> None:
    manifest = transform.manifest()
    for source in manifest["sources"].values():
        assert source["description"], source["name"]
        publishes = "publish" in source["config"]["meta"]
        # The columns of the others are those of the model that publishes them.
        assert bool(source["columns"]) is (source["source_name"] == "raw" or publishes), source["name"]
        for column in source["columns"].values():
            assert column["data_type"], f"{source['name']}.{column['name']}"
            assert column["description"] or not publishes, f"{source['name']}.{column['name']}"


@pytest.mark.parametrize(
    ("exposure", "code", "not_code"),
    [
        ("report", ("activity_audit/report", "activity_audit/warehouse/events"), "activity_audit/report/auditors"),
        ("review", ("activity_audit/report/auditors",), None),
    ],
)
def test_the_exposures_name_what_is_read(exposure: str, code: tuple[str, ...], not_code: str | None) -> None:
    manifest = transform.manifest()
    (declared,) = (one for one in manifest["exposures"].values() if one["name"] == exposure)
    assert declared["description"]
    names = {node.rsplit(".", 1)[1] for node in declared["depends_on"]["nodes"]}
    files = [path for folder in code for path in (ROOT / folder).rglob("*.py")]
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in files if not_code is None or ROOT / not_code not in path.parents
    )
    read = {
        model.name
        for model in published_models(manifest)
        for table in [f"{model.schema}.{model.name}".removeprefix("main.")]
        if re.search(rf"(?<![\w.])(?:audit\.)?(?:main\.)?{re.escape(table)}\b", text)
    }
    assert names == read


def test_the_documentation_has_an_overview_of_its_own() -> None:
    (overview,) = (
        doc
        for doc in transform.manifest()["docs"].values()
        if doc["name"] == "__overview__" and doc["package_name"] == "activity_audit"
    )
    assert "`ref()` means the rows of this run" in overview["block_contents"]


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
        "cleaned": "select {{ clean_text('x') }} as y",
        "name_key": "select {{ normalised_name('x') }} as y",
        "parsed": "select {{ parse_event_time('x', 'declared') }} as y",
        "hash": "select {{ record_sha256() }} as y",
        "id_key": "select {{ event_id_key('x') }} as y",
    }
    for name, sql in rendered.items():
        (folder / "models" / f"{name}.sql").write_text(sql, encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setattr(transform, "DBT_PROJECT_DIR", folder)
    patch.setenv("AUDIT_HOME", str(folder / "home"))
    with session.using(lambda _: None):
        transform.invoke("compile", target=folder / "target")
    patch.undo()

    def body(name: str) -> str:
        compiled = folder / "target/compiled/activity_audit/models" / f"{name}.sql"
        return compiled.read_text(encoding="utf-8").strip().removeprefix("select").rsplit(" as y", 1)[0]

    connection = duckdb.connect()
    connection.execute(f"create macro cleaned(x) as {body('cleaned')}")
    connection.execute(f"create macro name_key(x) as {body('name_key')}")
    connection.execute(f"create macro parsed(x, declared) as {body('parsed')}")
    connection.execute(f"create macro id_key(x) as {body('id_key')}")
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


def _characters() -> list[str]:
    """Every character that Unicode has assigned, but for NUL."""
    characters = map(chr, range(1, sys.maxunicode + 1))
    return [character for character in characters if unicodedata.category(character) not in ("Cn", "Co", "Cs")]


def test_every_character_counts_in_names_as_it_does_in_python(database: duckdb.DuckDBPyConnection) -> None:
    # The dotted capital I is lower-cased differently by DuckDB and by Python; no documented name has one.
    characters = [character for character in _characters() if character != "\u0130"]
    names = [unicodedata.normalize("NFC", f"a{character}b") for character in characters]
    rows = database.execute("select name, name_key(name) from (select unnest(?) as name)", [names]).fetchall()
    assert [name for name, key in rows if key != catalogue.normalised_name(name)] == []


def test_text_is_trimmed_and_composed_as_python_does(database: duckdb.DuckDBPyConnection) -> None:
    texts = [f"{character} e\u0301{character}" for character in _characters()]
    rows = database.execute("select text, cleaned(text) from (select unnest(?) as text)", [texts]).fetchall()

    def expected(text: str) -> str:
        return unicodedata.normalize("NFC", text.strip().strip("\ufeff").strip())

    assert [text for text, cleaned in rows if cleaned != expected(text)] == []
    assert database.execute("select cleaned(' \u00a0\u2003\t\ufeff'), cleaned(null)").fetchone() == (None, None)


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


@pytest.mark.parametrize(
    "texts",
    [
        ("Search", "Search", "Search query", "e-1", None, "i", "SUCCESS", "caf\u00e9 \U0001f600"),
        ("Search", "Search", "Search query", "e-1", "i", None, "SUCCESS", None),
        ("-", "1:a", ",", "e:1,-", "", "-", "FAILURE", "two\nlines"),
        (None,) * 8,
    ],
)
def test_the_record_hash_is_what_its_definition_says(
    database: duckdb.DuckDBPyConnection, texts: tuple[str | None, ...]
) -> None:
    moment = datetime(2026, 5, 1, 10, 0, 0, 5, tzinfo=UTC).replace(tzinfo=None)
    written = [*texts[:3], "2026-05-01T10:00:00.000005Z", *texts[3:]]
    line = ",".join("-" if text is None else f"{len(text.encode())}:{text}" for text in written)
    fields = [*texts[:3], moment, *texts[3:]]
    found = database.execute("select hashed(?, ?, ?, ?, ?, ?, ?, ?, ?)", fields).fetchone()
    assert found == (hashlib.sha256(line.encode()).hexdigest(),)


def test_the_record_hash_never_changes(database: duckdb.DuckDBPyConnection) -> None:
    found = database.execute(
        "select hashed('Search', 'Search', 'Search query', timestamp '2026-05-01 10:00:00', 'e-1', 'u', null, "
        "'SUCCESS', 'caf\u00e9')"
    ).fetchone()
    assert found == ("2aca00a34450789428ec3341085ee6e19cbf5400e02cb93c65cab12259838eaa",)


def test_the_key_of_an_event_id_never_changes(database: duckdb.DuckDBPyConnection) -> None:
    ids = [str(number) for number in range(2000)] + ["e-1", "caf\u00e9 \U0001f600", " ", "x" * 5000]
    rows = database.execute("select id, id_key(id) from (select unnest(?) as id)", [ids]).fetchall()
    assert len(rows) == len(ids)
    keys = {id_: int.from_bytes(hashlib.md5(id_.encode()).digest()[:6], "little") for id_ in ids}
    assert [id_ for id_, key in rows if key != keys[id_]] == []
    assert keys["e-1"] == 42388487809345


def test_the_dbt_unit_tests_pass(tmp_path: Path, settings: Settings) -> None:
    declared = transform.manifest()["unit_tests"]
    result = transform.invoke("build", "--exclude-resource-type", "test", target=tmp_path / "target")
    assert sum(node.node.resource_type == "unit_test" for node in result) == len(declared)
