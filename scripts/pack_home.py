"""Packs a home of this release for the tests of later ones, and lists what homes keep.

python scripts/pack_home.py                   writes tests/integration/older_homes/version-N.tar.xz
python scripts/pack_home.py --definitions     writes tests/integration/older_homes/definitions.txt
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import dagster
from alembic.script import ScriptDirectory

from activity_audit.alerts import book
from activity_audit.dbt_runner import project
from activity_audit.raw import database
from activity_audit.raw.notes import NAMES
from activity_audit.report import trail
from activity_audit.report.delivery import book as deliveries
from activity_audit.report.saved.book import SavedReports
from activity_audit.report.saved.reports import SavedReport
from activity_audit.warehouse import extensions, home_version, key_index
from activity_audit.warehouse.contract import published_models

FOLDER = Path(__file__).parents[1] / "tests/integration/older_homes"
DEFINITIONS = FOLDER / "definitions.txt"
# Made again by whoever needs them.
_NOT_PACKED = {"work", "cache", "dbt", "known_ids", "data_docs"}
_HOUR = "2026-05-01/10"


def definitions() -> str:
    """What homes of this release keep, as text that shows in a diff what was changed."""
    lines = [f"version {home_version.VERSION}", "", *_tables(), *_parts()]
    return "\n".join(lines) + "\n"


def _tables() -> Iterator[str]:
    for model in published_models(project.manifest()):
        kept = f"partitioned by {model.partition_by}, sorted by {model.sorted_by}" if model.is_table else "view"
        yield f"{model.schema}.{model.name} ({kept})"
        for column in model.columns:
            yield f"    {column.name} {column.data_type}{' not null' if column.not_null else ''}"


def _parts() -> Iterator[str]:
    yield "\nindex of the raw lake"
    yield from map(_one_line, (*database.ALL, *database.WAITING_BY_ITSELF))
    yield "\nbook of alerts"
    yield from map(_one_line, book._TABLES)
    yield "\nbook of deliveries"
    yield from map(_one_line, deliveries.TABLES)
    yield f"\nnotes: {', '.join(sorted(NAMES))}"
    yield f"saved reports: {_fields(SavedReport)}"
    fields_of_trail = re.findall(r'^ +"(\w+)": ', inspect.getsource(trail.Trail.record), re.MULTILINE)
    yield f"trail: {', '.join(fields_of_trail)}"
    yield f"index of known ids: {_fields(key_index.State)}; {_fields(key_index.Segment)}"
    yield f"DuckLake: {_ducklake()}"
    yield f"Dagster's records: {', '.join(_dagster())}"


def _one_line(statement: str) -> str:
    return "    " + " ".join(statement.split())


def _fields(kind: type) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in fields(kind))


def _ducklake() -> str:
    """The version of DuckLake's own catalog tables."""
    with extensions.connect() as connection, tempfile.TemporaryDirectory() as folder:
        extensions.load(connection, ("ducklake", "sqlite_scanner"))
        connection.execute(f"attach 'ducklake:sqlite:{folder}/c' as lake (data_path '{folder}/d')")
        query = "select value from __ducklake_metadata_lake.ducklake_metadata where key = 'version'"
        return str(connection.execute(query).fetchall()[0][0])


def _dagster() -> list[str]:
    """The newest migrations of Dagster's databases."""
    storage = Path(dagster.__file__).parent / "_core/storage"
    folders = sorted(path for path in storage.rglob("alembic") if path.is_dir())
    return [head for folder in folders for head in sorted(ScriptDirectory(str(folder)).get_heads())]


def make(home: Path) -> None:
    """Make a home as an installation has it, by the real commands."""
    home.mkdir(mode=0o700)
    landing = home / "landing/search" / _HOUR
    landing.mkdir(parents=True)
    event = {"application": "Search", "entity": "Search", "activity": "Search query", "outcome": "SUCCESS"}
    event |= {"eventTime": "2026-05-01T10:15:00Z", "triggeredBy": "clarissa.dalloway@classics.example"}
    records = [json.dumps(event | {"eventId": one, "instance": "i-1", "comments": ""}) for one in ("a", "b")]
    (landing / "a.ndjson").write_text("\n".join([*records, "junk", ""]))
    of_trail = home / "own_feeds/activity_audit" / _HOUR
    of_trail.mkdir(parents=True)
    own = {"application": trail.APPLICATION, "entity": trail.REPORT, "activity": "Run", "eventId": "c"}
    (of_trail / ".open.ndjson").write_text(json.dumps(event | own | {"instance": "", "comments": ""}) + "\n")
    settings = {"AUDIT_HOME": str(home), "AUDIT_APPLICATIONS": "search"}
    run = [str(Path(sys.executable).with_name("audit"))]
    period = ["--from", "2026-05-01", "--to", "2026-05-02"]
    for command in (["run"], ["hold", "place", "--application", "search", *period, "--reason", "r", "--by", "b"]):
        subprocess.run([*run, *command], env=os.environ | settings, check=True, stdout=subprocess.DEVNULL)
    SavedReports(home / "report/saved.json").save("mine", "ada", "application=Search")


def main() -> None:
    """Write what the arguments ask for."""
    if sys.argv[1:] == ["--definitions"]:
        DEFINITIONS.write_text(definitions())
        return
    target = FOLDER / f"version-{home_version.VERSION}.tar.xz"
    if target.exists():
        sys.exit(f"{target} is there: it is what a release has written, and is never made again")
    if DEFINITIONS.read_text() != definitions():
        sys.exit("what homes keep was changed: see tests/integration/older_homes/README.md")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        make(home)
        with tarfile.open(target, "w:xz") as archive:
            for path in sorted(home.iterdir()):
                if path.name not in _NOT_PACKED:
                    archive.add(path, path.name)
    sys.stdout.write(f"{target}: {target.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
