"""What a source sends does not steer the terminal of who looks at it."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from activity_audit.base.shown_text import visible
from activity_audit.cli import serve
from activity_audit.cli.main import cli
from activity_audit.cli.output import as_json
from activity_audit.settings.core import Settings, load_settings
from tests import warm_process
from tests.integration.support import AUDIT, audit, deliver, event, lines, process_environment

# Clear the screen, set the clipboard (OSC 52), ring, hide what follows, and the same as C1; turn the text around; a
# line that passes for ours.
EVIL = (
    "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x1b[8m\x9b31m\x9d0;x\x9c\u202egpj.exe\u2066\u200b\x7f\x08\r\nIn order: the data\ttab"
)
# As much of it as may stand in the name of a file.
EVIL_NAME = EVIL.replace("/", "")
# What the product writes itself on a terminal: some colours, and what a progress bar needs (hide and show the cursor,
# clear the line, go up by one).
_OWN = re.compile(r"\x1b\[(?:(?:0|1|3\d|9\d)(?:;[\d;]+)?m|\?25[lh]|2K|1A)")
PERIOD = ("--from", "2026-05-01T10:00", "--to", "2026-05-01T11:00")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A landing area whose folders, names, manifests, events and records are all made to do harm; not run yet."""
    folder = tmp_path_factory.mktemp("terminal")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search,qm")
    evil = event("evil" + EVIL, comments=EVIL, triggeredBy=EVIL, instance=EVIL, entity=EVIL, activity=EVIL)
    file = deliver(settings, lines([evil, event("again", outcome=EVIL), f'{{"not": "{EVIL}'.replace("\n", "")]),
                   f"{EVIL_NAME}.ndjson")  # fmt: skip
    (file.parent / "_manifest.json").write_text(
        json.dumps({"files": [{"name": EVIL, "records": 3}, {"name": file.name, "records": 7}]}), encoding="utf-8"
    )
    for name in (EVIL_NAME, "search/" + EVIL_NAME, "search/2026-05-01/" + EVIL_NAME):
        (Path(settings.feed_root) / name).mkdir(parents=True)
    (file.parent / f"{EVIL_NAME}.what").write_text("x")
    return settings


@pytest.fixture
def published(home: Settings) -> Settings:
    """The same once it was run, on a terminal or now."""
    if not (home.home / "warehouse/catalog.sqlite").exists():
        audit(home, "run", *PERIOD, check=False)
    return home


def _on_a_terminal(settings: Settings, *arguments: str, command: Sequence[str] = (AUDIT,)) -> str:
    """All that a command writes, on both streams, on a terminal."""
    ours, theirs = pty.openpty()
    environment = process_environment(settings, TERM="xterm-256color", COLUMNS="160")
    process = warm_process.Popen([*command, *arguments], env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # The terminal is closed: the command has ended.
            break
        if not more:
            break
        written += more
    os.close(ours)
    process.wait(timeout=120)
    return written.decode()


def _steers(text: str) -> list[str]:
    """What in it is no text, but for what the product itself writes."""
    own = _OWN.sub("", text).replace("\r\n", "\n").replace("\r", "")
    return [char for char in own if not char.isprintable() and char != "\n"]


def _look(settings: Settings, *commands: tuple[str, ...]) -> dict[str, str]:
    said = {" ".join(command)[:60]: _on_a_terminal(settings, *command) for command in commands}
    assert {name: _steers(text) for name, text in said.items() if _steers(text)} == {}
    assert "Traceback" not in "".join(said.values())
    # It is shown, and not left out.
    assert [name for name, text in said.items() if not re.search(r"⟨U\+001B⟩|\\u001b|\\x1b", text)] == []
    assert [name for name, text in said.items() if "\nIn order: the data" in text.replace("\r", "")] == []
    return said


def test_events_and_names_on_a_terminal(home: Settings) -> None:
    logs = "storage/*/compute_logs/*.out"
    before = set(home.dagster_home.glob(logs))
    said = _look(home, ("run", *PERIOD), ("status",), ("sql", "select comments from fact_activity_event"))
    # The bar is for the terminal only; Dagster keeps what a run writes.
    assert "run 1/1: 2026-05-01T10:00Z" in " ".join(said.values())
    (kept,) = set(home.dagster_home.glob(logs)) - before
    assert "run 1/1" not in kept.read_text()


def test_what_is_pinned_stays_below_a_log(settings: Settings) -> None:
    program = (
        "from activity_audit.cli.output import pinned, say\n"
        "with pinned('Report: http://127.0.0.1:8080'):\n"
        "    for line in range(50): say(f'line {line}', err=True)\n"
    )
    said = _on_a_terminal(settings, program, command=[sys.executable, "-c"])
    assert [f"line {number}" for number in range(50)] == re.findall(r"line \d+", said)
    assert said.rindex("Report: http://127.0.0.1:8080") > said.rindex("line 49")
    assert _steers(said) == []


@pytest.mark.slow
def test_every_command_on_a_terminal(published: Settings, tmp_path: Path) -> None:
    home = published
    everything = "select * from fact_activity_event"
    _look(
        home,
        ("sql", everything, "--output", "csv"),
        ("sql", everything, "--output", "json"),
        ("sql", "select record, reasons, source_uri from quality.quarantined_event"),
        ("sql", "select cast(comments as int) from fact_activity_event".replace("int", "date")),
        ("sql", f'select * from "{EVIL}"'),
        ("sql", f"explain select * from fact_activity_event where comments = '{EVIL}'"),
        ("sql", "select 1", "--at", EVIL),
        ("status", "--output", "json"),
        ("export", *PERIOD, "--application", EVIL, "--to-file", str(tmp_path / "a.csv")),
        ("export", *PERIOD, "--to-file", str(tmp_path / f"{EVIL_NAME}.csv")),
        ("evidence", *PERIOD, "--out", str(tmp_path / EVIL_NAME)),
        ("review", *PERIOD, "--no-verify", "--to-file", str(tmp_path / f"{EVIL_NAME}.html")),
        ("run", "--feed", EVIL),
        ("hold", "place", "--application", "all", *PERIOD, "--reason", EVIL, "--by", EVIL, EVIL),
    )
    audit(home, "hold", "place", "--application", "all", *PERIOD, "--reason", EVIL, "--by", EVIL)
    _look(home, ("hold", "list"))


def test_programs_get_what_was_sent(published: Settings) -> None:
    home = published
    query = "select event_id, comments, {'c': [comments]} as nested from fact_activity_event"
    (row,) = json.loads(audit(home, "sql", query, "--output", "json").stdout)
    assert row == {"event_id": "evil" + EVIL, "comments": EVIL, "nested": {"c": [EVIL]}}
    done = subprocess.run([AUDIT, "sql", query, "--output", "csv"], env=process_environment(home), check=True,
                          capture_output=True)  # fmt: skip
    header, (event_id, comments, nested) = csv.reader(io.StringIO(done.stdout.decode(), newline=""))
    assert header == ["event_id", "comments", "nested"]
    assert (event_id, comments, json.loads(nested)) == ("evil" + EVIL, EVIL, {"c": [EVIL]})


@pytest.mark.parametrize("value", [EVIL, "plain", "Zoë 漢字", "\U000e0001\ud800", {"\x9b": ["\u2028", None, 1]}])
def test_json_of_any_text_is_that_text_and_can_be_seen(value: object) -> None:
    for indent in (None, 2):
        text = as_json(value, indent)
        assert json.loads(text) == value
        assert text.replace("\n", "").isprintable()


def test_messages_are_written_at_one_place() -> None:
    folder = Path(serve.__file__).parent
    written = re.compile(r"click\.s?echo|\bprint\(|sys\.std(?:out|err)\.write")
    assert [path.name for path in sorted(folder.glob("*.py")) if written.search(path.read_text())] == ["output.py"]


def test_errors_of_usage_are_visible(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["run", "--feed", EVIL],
        ["verify", "--expect-head", EVIL],
        [f"--{EVIL}"],
        ["run", "--from", EVIL],
    ):
        with pytest.raises(SystemExit):
            cli(arguments, prog_name="audit")
        said = capsys.readouterr().err
        assert _steers(said) == []
        assert "Error: " in said


def test_dagsters_log_is_passed_on_visibly(capsys: pytest.CaptureFixture[str]) -> None:
    log = io.BytesIO(f"\x1b[34mINFO\x1b[0m - {EVIL}\nnext".encode() + b"\xff\n" + b"x" * 200_000)
    serve._pass_on(log)
    said = capsys.readouterr().err
    assert said.startswith("INFO - ⟨U+001B⟩[2J⟨U+001B⟩]52;")
    assert _steers(said) == []
    assert said.count("x" * 1000) >= 198
    assert click.unstyle(visible(EVIL)) == visible(EVIL)
