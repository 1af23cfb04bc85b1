"""The filters of an evidence pack: what it says of them, and that its check knows each event that they do not keep."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from activity_audit.base.hours import parse_time
from activity_audit.evidence.pack.pack import Pack
from activity_audit.settings.core import Settings
from activity_audit.warehouse.events.filters import EXCLUDABLE, Filters, choice
from activity_audit.warehouse.events.long_texts import Digest
from tests.integration.evidence_support import HARD, PERIOD, check_pack, edit_about, failed_checks, pack_of, rewrite

_LONG = Digest(hashlib.sha256(b"long").hexdigest())
# Events of which one field each has no value, an empty one, a hard one, another case, and a long one.
_ODD = {1: "null", 2: "''", 3: "?", 4: "'SEARCH'", 5: "'long'"}


def _filters(**chosen: Any) -> Filters:
    return Filters(parse_time(PERIOD[1]), parse_time(PERIOD[3]), **chosen)


def _cases(field: str) -> list[dict[str, Any]]:
    by, one = choice(field), ("Search", "i-1", "plain-1")
    return [
        {by: (None,)},
        {by: ("",)},
        {by: (HARD, HARD)},
        {by: ("", None, HARD)},
        {by: ("Search", _LONG)},
        {by: ("SEARCH",)},
        {by: one, "excluded": ((field, None),)},
        {"excluded": ((field, None),)},
        {"excluded": ((field, ""), (field, HARD), (field, _LONG))},
    ]


@pytest.fixture(scope="module")
def pack(evidence_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack of everything that the period has."""
    return pack_of(evidence_home, tmp_path_factory.mktemp("pack") / "pack")


def _expected(folder: Path, filters: Filters) -> int:
    """Of how many ids the events are that the filters do not keep, as the warehouse answers them."""
    where, values = filters.where()
    with duckdb.connect() as connection:
        query = f"from (select distinct event_id from '{folder}/events.parquet' where not coalesce({where}, false))"
        return len(connection.execute(query, values).fetchall())


def _event_filters(folder: Path) -> str:
    """What the pack's own check of that name does, as SQL with a row."""
    sql = (folder / "check.sql").read_text()
    names = ("temp table result", "temp table pack", "temp table chosen", "'event_filters'")
    wanted = [part for part in sql.split("\n\n") if any(name in part for name in names)]
    return "".join(wanted) + ";\nselect ok, detail from result"


# Of those that are compared in the same way, one in the usual run.
_ALIKE = {"entity", "activity", "instance"}


@pytest.mark.parametrize(
    "field", [pytest.param(field, marks=pytest.mark.slow if field in _ALIKE else ()) for field in EXCLUDABLE]
)
def test_the_check_knows_what_the_filters_do_not_keep(
    pack: Pack, tmp_path: Path, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(pack.folder, tmp_path / "pack"))
    monkeypatch.chdir(own)
    hard = "'" + HARD.replace("'", "''").replace("\0", "' || chr(0) || '") + "'"
    odd = " ".join(
        f"when event_time_utc::varchar like '%:{number:02}' then {text.replace('?', hard)}"
        for number, text in _ODD.items()
    )
    rewrite(own, "events", f"select * replace (case {odd} else {field} end as {field}) from t", both=False)
    sql = _event_filters(own)
    some = 0
    for chosen in [*_cases(field), {"comments": "LO"}, {"comments": "no such"}]:
        filters = _filters(**chosen)
        edit_about(own, lambda about, filters=filters: about.update(filters=filters.as_dict()))
        differ = _expected(own, filters)
        with duckdb.connect() as connection:
            ((ok, detail),) = connection.execute(sql).fetchall()
        assert ok == (differ == 0), (chosen, detail)
        assert ok or detail.startswith(f"{differ} differ: "), (chosen, detail, differ)
        some += differ > 0
    assert some > 5


def test_an_event_without_a_value_is_found_in_a_pack_that_chose_one(pack: Pack, tmp_path: Path) -> None:
    own = Path(shutil.copytree(pack.folder, tmp_path / "pack"))
    rewrite(own, "events", "select * replace (if(event_id = 'plain-3', null, outcome) as outcome) from t")
    edit_about(own, lambda about: about["filters"].update(outcomes=["SUCCESS", "FAILURE"]))
    assert failed_checks(own)["event_filters"] == "1 differ: plain-3"


@pytest.mark.parametrize(
    ("chosen", "line"),
    [
        ({"applications": (None,)}, "applications: (none)"),
        ({"excluded": (("triggered_by", None), ("comments", ""))}, 'excluded: triggered_by: (none), comments: ""'),
        pytest.param({"instances": ("", "i\r\n1"), "event_ids": ("plain-1",)},
                     'instances: "", i 1\n* event IDs: plain-1', marks=pytest.mark.slow),
        pytest.param({"triggered_by": ('"', '"')}, 'triggered by: ", "', marks=pytest.mark.slow),
        ({"comments": "SAY", "comments_are": (HARD, _LONG)}, "comments contain: SAY\n* comments: say"),
    ],
)  # fmt: skip
def test_a_pack_says_every_filter(evidence_home: Settings, tmp_path: Path, chosen: dict[str, Any], line: str) -> None:
    pack = pack_of(evidence_home, tmp_path / "pack", **chosen)
    assert pack.about["filtered"]
    assert f", and of these only:\n\n* {line}" in (pack.folder / "README.md").read_text()
    assert all(ok for ok, _ in check_pack(pack.folder).values())
    with duckdb.connect() as connection:
        marks = connection.execute(f"select distinct is_in_pack from '{pack.folder}/record_hashes.parquet'").fetchall()
    assert (None,) not in marks
