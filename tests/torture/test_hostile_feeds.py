"""Feed files of any bytes and any names: all is accounted for, and what is accepted is what a plain reading finds."""

from __future__ import annotations

import os
import random
import socket
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from activity_audit.ingest.sources.file_systems import uri_of
from activity_audit.settings.core import Settings, load_settings
from tests.integration.support import HOUR, deliver, event, lines, query, run
from tests.torture.figures import Figures
from tests.torture.hostile_feeds import Delivery, deliveries
from tests.torture.plain_reading import STORED, UNKNOWN, is_valid, stored
from tests.torture.state import require_well


def _deliver_all(settings: Settings, made: list[Delivery], hour: int) -> dict[str, Delivery]:
    """The deliveries by their source URIs."""
    folder = Path(settings.feed_root) / f"search/{HOUR + timedelta(hours=hour):%Y-%m-%d/%H}"
    folder.mkdir(parents=True, exist_ok=True)
    delivered = {}
    for one in made:
        path = os.path.join(os.fsencode(folder), one.name)  # noqa: PTH118
        Path(os.fsdecode(path)).write_bytes(one.content)
        delivered[uri_of(os.fsdecode(path))] = one
    return delivered


def _special_files(settings: Settings, secret: Path, hour: int) -> None:
    """What is no file, leads out, or only looks like a feed."""
    folder = Path(settings.feed_root) / f"search/{HOUR + timedelta(hours=hour):%Y-%m-%d/%H}"
    os.mkfifo(folder / "pipe.ndjson")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(folder)
        try:
            listening.bind("socket.ndjson")
        finally:
            os.chdir(before)
    (folder / "out.ndjson").symlink_to(secret)
    (folder / "self.ndjson").symlink_to("self.ndjson")
    (folder / "zero.ndjson").symlink_to("/dev/zero")
    (folder / "environment.ndjson").symlink_to("/proc/self/environ")
    (folder / "folder.ndjson").mkdir()
    (folder / "folder.ndjson" / "inner.ndjson").write_bytes(secret.read_bytes())
    (folder.parent / "24").mkdir(exist_ok=True)
    os.link(folder / "pipe.ndjson", folder / "again.ndjson")


def _round(settings: Settings, rng: random.Random, hour: int, count: int, known: set[str], figures: Figures) -> None:
    """Deliver files in an hour, run it, and compare with what a plain reading finds; `known` are the ids so far."""
    made = deliveries(rng, count, f"e{hour}")
    delivered = _deliver_all(settings, made, hour)
    deliver(settings, lines([event(f"good-{hour}", application="QM")]), feed="qm", hour=hour)
    known.add(f"good-{hour}")
    run(settings, hour)
    figures.add(rounds=1, inputs=len(made))
    counted = query(
        settings, "select source_uri, received, accepted, duplicate, quarantined from quality.feed_delivery"
    )
    received = {uri: counts for uri, *counts in counted}
    assert not {uri: delivered[uri].content for uri in delivered if uri not in received}, "not landed"
    for uri, one in delivered.items():
        total, *parts = received[uri]
        assert total == sum(parts), (hour, one)
        assert one.records is None or total == len(one.records), (hour, one, total)
    rows = query(settings, f"select source_uri, source_record, {', '.join(STORED)} from fact_activity_event")
    accepted = [(uri, number, tuple(values)) for uri, number, *values in rows if uri in delivered]
    for uri, number, values in accepted:
        if (records := delivered[uri].records) is not None and records[number - 1] is not UNKNOWN:
            assert records[number - 1] is not None, (hour, uri, number, values)
            assert stored(records[number - 1]) == values, (hour, uri, number)
    # Where a plain reading knows nothing, an event is known once it is there.
    known.update(values[STORED.index("event_id")] or "" for _, _, values in accepted)
    known.update(one["event_id"] for each in made for one in each.records or [] if is_valid(one))
    assert max(Counter(row[4] for row in rows).values()) == 1


def test_files_of_any_bytes_and_names_are_accounted_for(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", feed_url=str(tmp_path / "landing"))
    secret = tmp_path / "secret.ndjson"
    secret.write_bytes(lines([event("secret")]))
    figures = Figures("hostile files")
    rng = random.Random(1)
    (Path(settings.feed_root) / "search/2026-05-01/10").mkdir(parents=True)
    _special_files(settings, secret, 0)
    known: set[str] = set()
    _round(settings, rng, 0, 120, known, figures)
    require_well(settings, known, figures)


@pytest.mark.torture
def test_many_files_of_any_bytes_and_names(tmp_path: Path, rounds: int, seed: int) -> None:
    settings = load_settings(home=tmp_path / "home", feed_url=str(tmp_path / "landing"))
    figures = Figures("hostile files")
    known: set[str] = set()
    rng = random.Random(seed)
    for hour in range(rounds):
        _round(settings, rng, hour, 200, known, figures)
    require_well(settings, known, figures)
