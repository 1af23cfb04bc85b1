"""The records that try the peers' rules, judged by the product and by a peer; and that a difference is seen."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from activity_audit.dbt_runner.project import DBT_PROJECT_DIR
from activity_audit.settings.core import Settings
from benchmarks.peers import compare, edges
from benchmarks.peers.environments import HERE, PEERS, version_of
from tests.integration.support import run


@pytest.mark.slow
def test_the_product_and_pandas_come_to_the_same_and_a_difference_is_told(settings: Settings, tmp_path: Path) -> None:
    feeds = Path(settings.feed_root)
    written = edges.write(feeds)
    run(settings, 0, 2)
    ours = compare.of_ours(settings, tmp_path / "ours")
    assert ours.counts["received"] == written
    assert min(ours.counts.values()) > 0
    assert len(ours.reasons) == 12
    out = tmp_path / "peer"
    command = [sys.executable, HERE / "pandas" / "load.py", "--feeds", feeds, "--catalogue", DBT_PROJECT_DIR / "seeds"]
    subprocess.run([*command, "--out", out], check=True)
    theirs = compare.of_peer(out)
    assert compare.difference(ours, theirs) == ""
    for change, told in (
        ("where event_id <> 'good-0'", "1 events missing (good-0)"),
        ("union all by name select * replace ('more' as event_id) from fact limit 125", "1 events too many (more)"),
        ("select * replace (if(event_id = 'good-0', null, comments) as comments)", "another comments (good-0)"),
        (
            "select * replace (event_time_utc + to_microseconds((event_id = 'time-1')::int) as event_time_utc)",
            "1 events with another event_time_utc (time-1)",
        ),
        (
            "select * replace (event_id <> 'good-1' and is_documented as is_documented)",
            "another is_documented (good-1)",
        ),
    ):
        changed = tmp_path / "changed"
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(out, changed)
        with duckdb.connect() as connection:
            connection.execute(f"create table fact as from '{out}/fact/*.parquet'")
            connection.execute(f"copy (from fact {change}) to '{changed}/fact/part.parquet'")
        assert told in compare.difference(ours, compare.of_peer(changed)), change


def test_another_count_is_told() -> None:
    ours = compare.Result(dict.fromkeys(compare.COUNTS, 1), {"unparseable": 1}, "same", Path())
    theirs = compare.Result({**ours.counts, "conflict": 2}, {"too_large": 1}, "same", Path())
    told = "conflict: 2 instead of 1; too_large: 1 instead of 0; unparseable: 0 instead of 1"
    assert compare.difference(ours, theirs) == told


@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_has_its_script_and_pinned_requirements(peer: str) -> None:
    assert (HERE / peer / "load.py").is_file()
    assert version_of(peer)
    lines = (HERE / peer / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines if not line.startswith("#"))
