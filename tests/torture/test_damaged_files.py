"""Damaged files of a home: each command works rightly, or says in a sentence what is wrong."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from activity_audit.base.faults import DamagedError
from activity_audit.settings.core import Settings
from activity_audit.upkeep.backup.make import backup
from activity_audit.warehouse import home_record
from activity_audit.warehouse.data_folder import MARKER
from tests.integration.support import deliver, event, lines, process_environment, query
from tests.integration.support import run as run_hours
from tests.integration.support import said as said_here
from tests.integration.tampering import copied
from tests.torture import damage
from tests.torture.figures import Figures
from tests.torture.state import require_well

_ROW = "damaged files of a home"
_IDS = "select event_id from fact_activity_event"
# From here on a Parquet file says what it has; the last eight bytes say how long that is.
_FOOTER_LENGTH = -8


@pytest.fixture
def home(retention_home: Settings, tmp_path: Path) -> Settings:
    return copied(retention_home, tmp_path / "home")


def _file_of(settings: Settings, table: str) -> Path:
    return sorted((settings.home / "warehouse/data" / table).rglob("*.parquet"))[0]


def _spoil_footer(path: Path) -> None:
    """Have the footer be nothing that a reader knows; its messages name no file then."""
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[_FOOTER_LENGTH:-4], "little")
    content[-8 - length : -8] = b"\xff" * length
    path.write_bytes(content)


def _spoil_length(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[_FOOTER_LENGTH:-4] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)


@pytest.mark.parametrize("table", ["quality/pipeline_run", "quality/known_event_id_digest"])
def test_a_damaged_data_file_is_named(home: Settings, table: str) -> None:
    calm = said_here(home, "sql", damage.EVENTS, "--output", "csv").output
    path, figures = _file_of(home, table), Figures(_ROW)
    whole = path.read_bytes()
    named = f"{path} is damaged or missing. `audit verify` lists everything that changed; restore it from a backup"
    unnamed = "a data file of the warehouse is damaged. `audit verify` names it; restore it from a backup"
    asked = f"select * from {table.replace('/', '.')}"
    for spoil, complaint in ((_spoil_length, named), (_spoil_footer, unnamed)):
        spoil(path)
        commands = [("sql", asked)]
        if table == "quality/pipeline_run":
            period = ("--from", "2026-05-01", "--to", "2026-05-02")
            commands += [("status",), ("export", *period, "--to-file", str(home.home.with_name("events.csv")))]
        for command in commands:
            assert said_here(home, *command, exit_code=1).output.endswith(f"Error: {complaint}\n"), command
        found = json.loads(said_here(home, "verify", "--output", "json", exit_code=1).output)["findings"]
        assert [(one["layer"], one["problem"], one["what"]) for one in found] == [
            ("warehouse", "unreadable", str(path))
        ]
        path.write_bytes(whole)
        figures.add(faults=1)
    assert said_here(home, "sql", damage.EVENTS, "--output", "csv").output == calm
    assert json.loads(said_here(home, "verify", "--output", "json").output)["intact"]


def test_a_damaged_mark_of_the_data_folder_is_named_and_made_again(home: Settings) -> None:
    mark = Path(home.data_root) / MARKER
    whole = mark.read_bytes()
    for content in (whole + b"\x00\xff", whole[:20], b"junk"):
        mark.write_bytes(content)
        complaint = said_here(home, "hold", "place", "--application", "search", "--from", "2026-05-01", "--to",
                              "2026-05-02", "--reason", "r", "--by", "me", exit_code=1).output  # fmt: skip
        assert complaint.startswith(f"Error: {mark} is damaged: it does not have the id of a warehouse. Restore it")
    mark.unlink()
    run_hours(home)
    assert mark.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'"a"', b"{}", b'{"warehouse_id": "a", "version": "b"}'])
def test_a_damaged_record_of_the_warehouse_is_named_whoever_reads_it(settings: Settings, content: bytes) -> None:
    settings.home.mkdir()
    home_record.path(settings).write_bytes(content)
    for read in (home_record.read, home_record.restoring, home_record.version, home_record.why_lost):
        with pytest.raises(DamagedError, match=r"warehouse\.json is damaged: restore it from a backup"):
            read(settings)


def _documented(title: str) -> str:
    """The commands below a title of docs/operations.md, word by word."""
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    return text.partition(f"# {title}\n")[2].partition("```bash\n")[2].partition("```")[0]


def _restore_as_documented(home: Settings, backups: Path, context: str = "") -> None:
    environment = process_environment(home, AUDIT_BACKUP_TO=str(backups))
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    commands = ["bash", "-euxc", _documented("Restore what is damaged")]
    done = subprocess.run(commands, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, context + done.stdout + done.stderr
    assert "Intact" in done.stdout


def test_the_documented_restore_loses_nothing(home: Settings, tmp_path: Path) -> None:
    ids = [row[0] for row in query(home, _IDS)]
    backup(home.model_copy(update={"backup_to": str(tmp_path / "backups")}))
    # Landed and published since, and gone at its source.
    deliver(home, lines([event("since")]), hour=2)
    run_hours(home, 2)
    shutil.rmtree(home.feed_root)
    Path(home.feed_root).mkdir()
    damage.damage(home.home / "warehouse/catalog.sqlite", "foreign", random.Random())
    for log in (home.home / "warehouse").glob("catalog.sqlite-*"):
        log.unlink()
    complaint = said_here(home, "status", exit_code=1).output
    assert complaint.endswith("catalog.sqlite is damaged, or is not a database. Restore it from a backup\n")
    _restore_as_documented(home, tmp_path / "backups")
    require_well(home, [*ids, "since"], Figures(_ROW))


@pytest.mark.torture
def test_any_damage_of_any_file(retention_home: Settings, tmp_path: Path, rounds: int, seed: int) -> None:
    figures, moments = Figures(_ROW), random.Random(seed)
    base, backups = copied(retention_home, tmp_path / "base"), tmp_path / "backups"
    backup(base.model_copy(update={"backup_to": str(backups)}))
    calm = damage.answers(base)
    ids = [row[0] for row in query(base, _IDS)]
    kinds: dict[str, list[str]] = {}
    for name in damage.files_of(base):
        kinds.setdefault(re.sub(r"[0-9a-f-]{32,}", "*", name), []).append(name)
    for number in range(rounds):
        name, how = moments.choice(kinds[moments.choice(sorted(kinds))]), moments.choice(damage.HOWS)
        context = f"round {number} of seed {seed}: {name}: {how}"
        home = damage.fresh(base, tmp_path / "round")
        damage.damage(home.home / name, how, moments)
        damage.require_no_wrong_answer(damage.answers(home), calm, context)
        new = [f"new-{n}" for n in range(12)]
        deliver(home, lines([event(one, eventTime="2026-05-01T12:15:00Z") for one in new]), hour=2)
        for command in (("status",), ("run",), ("maintain",), ("replay",)):
            damage.said(home, *command)
        figures.add(rounds=1, faults=1)
        # Nothing was harmed that the backup and the raw files do not mend.
        _restore_as_documented(home, backups, context)
        require_well(home, [*ids, *new], figures)
