"""The documents say what the code does."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import duckdb
import jinja2
import pytest
from pydantic import BaseModel

from activity_audit.base.catalogue import normalised_name, slugs
from activity_audit.base.hours import parse_time
from activity_audit.cli.main import cli
from activity_audit.dbt_runner import project as transform
from activity_audit.evidence.pack import texts
from activity_audit.ingest.planning import plan, source_of
from activity_audit.ingest.readers.formats import feed_format
from activity_audit.ingest.sources.source import SourceError
from activity_audit.ledger.chain import BatchDigest, append
from activity_audit.ledger.digests import DELIVERY_FIELDS, QUARANTINE_FIELDS, REPLAYED_FIELDS
from activity_audit.pipeline.run import land_feeds
from activity_audit.settings.core import VARIABLES, Settings, load_settings
from activity_audit.settings.cxone import CxoneSettings
from activity_audit.settings.delivery import DeliverySettings
from activity_audit.settings.report import ReportSettings
from activity_audit.settings.value_types import parse_duration
from activity_audit.simulator.hours import WARNINGS
from activity_audit.warehouse.contract import published_models
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.quarantine import REASONS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
OPERATIONS, FEEDS, WAREHOUSE, BI_TOOLS = (
    f"docs/{name}.md" for name in ("operations", "feeds", "warehouse", "bi-tools")
)


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _rows(text: str) -> list[list[str]]:
    """The cells of every table row."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _section(text: str, title: str) -> str:
    """What stands between a heading and the next one."""
    parts = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return parts[parts.index(title) + 1]


def _code(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@cache
def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _macros(file: str) -> Any:
    """The macros of a dbt file, rendered by Jinja alone; `return` gives what a macro returns."""
    returned: list[Any] = []
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    environment.globals["return"] = returned.append
    text = (transform.DBT_PROJECT_DIR / "macros" / file).read_text(encoding="utf-8")
    return environment.from_string(text).module, returned


def test_the_tables_are_those_of_the_dbt_project() -> None:
    document = _read(WAREHOUSE)
    assert _script("warehouse_docs").expected(document) == document, "run `make docs`"


def test_every_public_column_is_documented_with_its_type() -> None:
    document = _read(WAREHOUSE)
    questions = _section(document, "Which table for which question")
    models = published_models(transform.manifest())
    assert len(models) > 10
    for model in models:
        rows = _rows(_section(document, f"`{model.schema}.{model.name}`"))[1:]
        expected = [
            [f"`{column.name}`", column.data_type + (", not null" if column.not_null else ""), column.description]
            for column in model.columns
        ]
        assert rows == expected, model.name
        assert f"`{model.schema}.{model.name}`".replace("main.", "") in questions
        if model.schema == "quality":
            assert re.match(r"[A-Z][^.?]+\? One row per .+\. ", model.description), f"{model.name}: an owner's question"


@pytest.mark.parametrize(
    ("settings", "group", "title"),
    [
        (Settings, [], "Settings"),
        (CxoneSettings, ["cxone"], "Settings of the vendor's API"),
        (DeliverySettings, ["delivery"], "Settings of deliveries"),
        (ReportSettings, ["report"], "Settings of the report's page"),
    ],
)
def test_every_setting_is_documented_with_its_default(settings: type[BaseModel], group: list[str], title: str) -> None:
    documented = {row[0].strip("`"): row[1:] for row in _rows(_section(_read(OPERATIONS), title))[1:]}
    variables = {path[-1]: name for name, path in VARIABLES.items() if list(path[:-1]) == group}
    assert list(documented) == list(variables.values())
    for name, variable in variables.items():
        field = settings.model_fields[name]
        default, meaning = documented[variable]
        assert meaning
        if isinstance(field.default, timedelta):
            assert parse_duration(default.strip("`")) == field.default, name
        elif field.default not in (None, "") and field.default_factory is None:
            assert default == f"`{field.default}`", name
        else:
            # What stands in for no value is worked out from other settings, and is said in words.
            assert default, name


def test_every_command_is_documented_with_its_options() -> None:
    context = click.Context(cli)
    documented = {found[1]: row for row in _rows(_read(OPERATIONS)) if (found := re.match(r"`audit (\w+)", row[0]))}
    assert set(documented) == set(cli.list_commands(context))
    for name in documented:
        command = cli.get_command(context, name)
        assert command is not None
        parts = [command, *command.commands.values()] if isinstance(command, click.Group) else [command]
        options = [
            option
            for part in parts
            for parameter in part.params
            for option in parameter.opts
            if option.startswith("--")
        ]
        text = _section(_read(FEEDS), "The simulator") if name == "simulate" else documented[name][0]
        assert [option for option in options if option not in text] == [], name


def test_no_document_uses_a_command_that_is_not_there() -> None:
    commands = set(cli.list_commands(click.Context(cli)))
    targets = set(re.findall(r"^([a-z-]+):", _read("Makefile"), re.MULTILINE))
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:`|^|^\$ )audit ([a-z]+)", text, re.MULTILINE)) <= commands, path.name
        assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= targets, path.name


def test_every_reason_warning_and_format_is_documented() -> None:
    document = _read(FEEDS)
    reasons = [name for row in _rows(_section(document, "What becomes of a record")) for name in row[0].split(", ")]
    assert sorted(reasons[1:]) == sorted(f"`{reason}`" for reason in REASONS)
    assert [warning for warning in WARNINGS if f"(`{warning}`" not in document] == []
    formats = _rows(_section(document, "Where feeds are"))[1:]
    extensions = [extension for row in formats for extension in re.findall(r"`(\.\w+)`", row[0])]
    assert extensions == [".ndjson", ".jsonl", ".json", ".csv", ".parquet"]
    assert all(feed_format(f"a{extension}{packed}") for extension in extensions for packed in ("", ".gz", ".zst"))


def test_every_spelling_of_a_field_is_documented() -> None:
    macros, returned = _macros("record_json.sql")
    macros.field_names()
    document = _section(_read(FEEDS), "A record")
    spellings = [name for names in returned[0].values() for name in names]
    assert len(spellings) > 15
    assert [name for name in spellings if f"`{name}`" not in document] == []


def test_the_worked_examples_of_keys_and_hashes_hold() -> None:
    document = _read(WAREHOUSE)
    named: dict[str, Any] = {}
    for code in _code(document, "python"):
        exec(code, named)
    assert f"`{named['key']}`" in document
    assert f"`{named['digest']}`" in document
    for names, key in _rows(_section(document, "Names and keys"))[1:]:
        assert {normalised_name(name) for name in re.findall(r"`(.+?)`", names)} == {key.strip("`")}


def test_the_documented_sql_of_the_hash_is_the_macro() -> None:
    document = _read(WAREHOUSE)
    named: dict[str, Any] = {}
    exec(_code(document, "python")[-1], named)
    columns = "application, entity, activity, event_time_utc, event_id, triggered_by, instance, outcome, comments"
    macro, _ = _macros("record_hash.sql")
    (query,) = (code for code in _code(document, "sql") if "sha256" in code)
    with duckdb.connect() as connection:
        connection.execute(f"create table given ({columns.replace(',', ' varchar,')} varchar)")
        connection.execute("insert into given values (?, ?, ?, ?, ?, ?, ?, ?, ?)", named["fields"])
        connection.execute(
            "create view fact_activity_event as "
            "select * replace (cast(event_time_utc as timestamp) as event_time_utc) from given"
        )
        assert connection.execute(query).fetchall() == [("e-1", named["digest"])]
        hashed = connection.execute(f"select {macro.record_sha256()} from fact_activity_event").fetchall()
        assert hashed == [(named["digest"],)]


def test_the_example_of_a_source_works(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = _code(_section(_read(FEEDS), "Adding a source"), "python")
    (module,) = re.findall(r'^"""(\w+)\.py', code)
    (source,) = re.findall(r"AUDIT_SOURCE=(\S+)", _section(_read(FEEDS), "Adding a source"))
    home = settings.home
    (home / "landing").mkdir(parents=True)
    (home / f"{module}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(home))
    own = load_settings(source=source)
    (home / "landing" / "userhub 2026-05-01T10.ndjson").write_text('{"eventId":"a"}\n{"eventId":"b"}\n')
    (home / "landing" / "notes.txt").write_text("")
    hour = datetime(2026, 5, 1, 10, tzinfo=UTC)
    for new in ([("userhub", hour, 2)], []):
        assert plan(own, slugs()).hours == 1
        report = land_feeds(own, slugs(), (hour, hour + timedelta(hours=1)))
        assert [(found.feed, found.feed_hour, found.records) for found in report.new] == new
        assert report.warnings == ["no feed is known for notes.txt; it was not read"]
    assert land_feeds(own, slugs(), (hour - timedelta(hours=1), hour)).new == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no_such_module:Exports", "AUDIT_SOURCE='no_such_module:Exports' cannot be loaded: No module"),
        ("json:Exports", "AUDIT_SOURCE='json:Exports' cannot be loaded: .*has no attribute 'Exports'"),
        ("builtins:repr", "is not a source: it has no method list, open"),
    ],
)
def test_a_source_that_is_none(settings: Settings, source: str, message: str) -> None:
    own = load_settings(source=source)
    with pytest.raises(SourceError, match=message):
        source_of(own)


def test_the_worked_example_of_the_ledger_holds() -> None:
    document = _read("docs/integrity.md")
    named: dict[str, Any] = {}
    (code,) = _code(document, "python")
    exec(code, named)
    assert f"`{named['entry']}`" in document
    batch = BatchDigest("search", datetime(2026, 5, 1, 10), "run-1", 1, 3, 2, 0, 1, *(c * 64 for c in "abc"))  # noqa: DTZ001
    (entry,) = append(None, "batch", [batch], datetime(2026, 5, 1, 11, 10, 0, 5))  # noqa: DTZ001
    assert entry.entry_sha256 == named["entry"]
    rows = _rows(_section(document, "The digests"))
    assert [[row[0].strip("`"), re.findall(r"`(\w+)`", row[2])] for row in rows] == [
        ["digest", []],
        ["events_sha256", ["record_sha256"]],
        ["deliveries_sha256", list(DELIVERY_FIELDS)],
        ["quarantined_sha256", list(QUARANTINE_FIELDS)],
        ["digest of a `replay", []],
        ["deliveries_sha256", list(REPLAYED_FIELDS)],
        ["quarantined_sha256", []],
    ]


def test_the_readme_of_an_evidence_pack_is_the_documented_one() -> None:
    document = _read("docs/evidence.md")
    (about,) = _code(document, "json")
    pack = json.loads(about)
    said = {name: tuple(value) if isinstance(value, list) else value for name, value in pack["filters"].items()}
    filters = Filters(**said | {name: parse_time(said[name]) for name in ("start", "end")})
    assert f"````markdown\n{texts.readme(pack, filters, [])}````\n" in document
    checks = [name for row in _rows(_section(document, "What the check looks at"))[1:] for name in row[0].split(", ")]
    assert checks == [f"`{name}`" for name in (*texts.CHECKS, "raw_files")]


def test_every_listing_attaches_as_the_product_does(settings: Settings) -> None:
    from activity_audit.warehouse.lake import location

    options = re.findall(r"META_\w+ [^,]+", location(settings).options)
    assert options
    written = [code for language in ("sql", "python") for code in _code(_read(BI_TOOLS), language)]
    listings = [code for code in written if "attach" in code]
    assert len(listings) == 3
    for code in listings:
        assert [option for option in options if option.lower() not in code.lower()] == []
        assert "read_only" in code
        compile(code, BI_TOOLS, "exec") if "import" in code else None


def test_decisions_are_accepted_and_listed() -> None:
    index = _read("docs/adr/README.md")
    for path in ADRS:
        title, status = re.match(r"# (.+)\n\nStatus: (.+)\n", path.read_text(encoding="utf-8")).groups()  # type: ignore[union-attr]
        assert status == "accepted"
        assert title.startswith(f"{path.name[:4]}: ")
        assert f"* [{title}]({path.name})" in index
    assert len(re.findall(r"^\* \[", index, re.MULTILINE)) == len(ADRS)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(_read("pyproject.toml"))
    required = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = [re.split(r"[<>=~!\[ ]", requirement)[0] for requirement in required]
    document = _read("docs/adr/0008-dependencies.md")
    shortened = {name: f"`{name.removeprefix('duckdb-extension')}`" for name in names}
    assert [name for name in names if f"`{name}`" not in document and shortened[name] not in document] == []


def _anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_lead_somewhere() -> None:
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
            found = path.parent / target if target else path
            assert found.exists(), f"{path.name} links to {target}"
            assert not anchor or anchor in _anchors(found.read_text(encoding="utf-8")), f"{path.name}: #{anchor}"


def test_prose_is_no_wider_than_120() -> None:
    for path in DOCUMENTS:
        written = path.read_text(encoding="utf-8").split("The tables below are written")[0]
        prose = re.sub(r"^```.*?^```", "", written, flags=re.MULTILINE | re.DOTALL)
        assert [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")] == [], path.name
