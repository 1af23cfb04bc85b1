"""The seeds that people edit: what is wrong with one is told by its file and line, by every command."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from activity_audit.base import catalogue
from activity_audit.base.seeds import SeedError
from activity_audit.cli.main import cli
from activity_audit.settings.core import Settings

APPLICATION = "application.csv"
ENTITY_ACTIVITY = "entity_activity.csv"


@pytest.fixture
def seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The product's seeds, as a copy."""
    folder = tmp_path / "seeds"
    shutil.copytree(catalogue.SEEDS_DIR, folder)
    monkeypatch.setattr(catalogue, "SEEDS_DIR", folder)
    _forget()
    yield folder
    _forget()


def _forget() -> None:
    catalogue.applications.cache_clear()
    catalogue.entity_activities.cache_clear()


def test_a_byte_order_mark_is_no_part_of_a_seed(seeds: Path) -> None:
    expected = catalogue.applications(), catalogue.entity_activities()
    for path in seeds.glob("*.csv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    _forget()
    assert (catalogue.applications(), catalogue.entity_activities()) == expected


@pytest.mark.parametrize(
    ("file_name", "line", "problem"),
    [
        (APPLICATION, "AWS,AWS", "line 21: it must have 6 fields"),
        (APPLICATION, "AWS,,aws,false,,stated", "line 21: display_name must not be blank"),
        (APPLICATION, "AWS,AWS,Aws-1,false,,stated", "line 21: slug is 'Aws-1'; it must have lower-case letters"),
        (APPLICATION, "AWS,AWS,aws,no,,stated", "line 21: in_report_prompt is 'no'; it must be true or false"),
        (APPLICATION, "AWS,AWS,search,false,,stated", "line 21: it names the same as line "),
        (ENTITY_ACTIVITY, "QM;Fax;;stated", "line 133: it must have 4 fields"),
        (ENTITY_ACTIVITY, "QM,,Send,stated", "line 133: entity must not be blank"),
        (ENTITY_ACTIVITY, "analytics,CHAT,interaction-viewed,stated", "line 133: it names the same as line 2"),
        ("own_activity.csv", "Activity Audit,Report", "line 27: it must have 4 fields"),
    ],
)
def test_a_wrong_row_is_named(seeds: Path, settings: Settings, file_name: str, line: str, problem: str) -> None:
    path = seeds / file_name
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    _forget()
    with pytest.raises(SeedError) as raised:
        catalogue.check()
    assert str(raised.value).startswith(f"{path} {problem}")
    told = CliRunner().invoke(cli, ["status"])
    assert (told.exit_code, problem in told.output, "Traceback" in told.output) == (2, True, False)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (lambda text: text.replace(",", ";").encode(), "its first line must be application,display_name,slug"),
        (lambda text: text.encode("utf-16"), "it is not UTF-8; in a spreadsheet, save it as 'CSV UTF-8'"),
        (lambda text: "é".join(text.split("e", 1)).encode("latin-1"), "it is not UTF-8"),
        (lambda text: b"", "its first line must be application,"),
        (lambda text: text.encode() + b'"open', "cannot be read: unexpected end of data"),
        (lambda text: None, "cannot be read: No such file or directory"),
    ],
)
def test_a_seed_that_is_no_such_table_says_how_to_save_it(
    seeds: Path, content: Callable[[str], bytes | None], problem: str
) -> None:
    path = seeds / APPLICATION
    written = content(path.read_text(encoding="utf-8"))
    path.unlink()
    if written is not None:
        path.write_bytes(written)
    with pytest.raises(SeedError) as raised:
        catalogue.check()
    assert str(path) in str(raised.value)
    assert problem in str(raised.value)
