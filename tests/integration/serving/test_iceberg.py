"""The tables in Iceberg's format: engines that know nothing of DuckLake read the same rows, after every change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import duckdb
import pytest
from pyiceberg.table import StaticTable

from activity_audit.pipeline.replay import replay
from activity_audit.serving import iceberg_folder
from activity_audit.serving.published import How, ServingError
from activity_audit.serving.serve import bring_up_to_date
from activity_audit.serving.target import Target, parse
from activity_audit.settings.core import Settings
from activity_audit.upkeep import compaction
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse import extensions, lake, lake_catalog, object_storage
from activity_audit.warehouse import tables as warehouse_tables
from tests.integration.retention_support import keeping
from tests.integration.serving.copies import publish_first, publish_next, served, tolerant
from tests.integration.support import begin, deliver, event, lines, query, run
from tests.integration.tampering import change
from tests.s3_server import Bucket

TABLES = [model for model in served() if model.is_table]


@pytest.fixture
def copy(tmp_path: Path) -> Target:
    return parse(f"iceberg:{tmp_path}/an iceberg")


def _require_equal(settings: Settings, copy: Target) -> None:
    """By DuckDB's extension, which shares nothing with pyiceberg."""
    with duckdb.connect(config=extensions.CONFIG) as connection:
        extensions.load(connection, ("httpfs", "avro", "iceberg"))
        object_storage.open_storage(connection, copy.iceberg or "")
        for model in TABLES:
            expected = query(settings, f"select * from {model.schema}.{model.name} order by all")
            scan = f"from iceberg_scan('{copy.iceberg}/{model.schema}/{model.name}') order by all"
            try:
                found = connection.execute(scan).fetchall()
            except duckdb.Error:
                # A table that never had a row has no snapshot that could be scanned.
                found = []
                assert expected == [], model.name
            assert found == expected, model.name


def _versions(copy: Target, table: str = "main/fact_activity_event") -> list[str]:
    return sorted(path.name for path in Path(f"{copy.iceberg}/{table}/metadata").glob("v*.json"))


def test_it_equals_the_warehouse(settings: Settings, copy: Target) -> None:
    begin(settings, event("a"), event("b"), "junk")
    assert bring_up_to_date(settings, copy).added["main.fact_activity_event"] == 2
    _require_equal(settings, copy)
    assert bring_up_to_date(settings, copy).is_unchanged
    change(settings, "update quality.pipeline_run set deliveries = 5")
    assert bring_up_to_date(settings, copy).added == {"quality.pipeline_run": 1}
    _require_equal(settings, copy)


@pytest.mark.slow
def test_it_equals_the_warehouse_after_every_change(
    settings: Settings, copy: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = settings.model_copy(update={"applications": ["search", "qm"]})
    publish_first(home)
    done = bring_up_to_date(home, copy)
    assert done.added["main.fact_activity_event"] == 43
    _require_equal(home, copy)
    assert bring_up_to_date(home, copy).is_unchanged
    assert _versions(copy) == ["v1.metadata.json"]

    publish_next(home)
    replay(tolerant(home), "replay")
    bring_up_to_date(home, copy)
    assert _versions(copy) == ["v1.metadata.json", "v2.metadata.json"]
    # A replay replaces rows, of which DuckLake keeps the old files with a delete file.
    assert list(Path(f"{copy.iceberg}/quality/quarantined_event/data").iterdir())
    assert not Path(f"{copy.iceberg}/main/fact_activity_event/data").exists()
    _require_equal(home, copy)

    monkeypatch.setattr(compaction, "_ENOUGH", 2)
    monkeypatch.setattr(iceberg_folder, "_MOST_MANIFESTS", 1)
    maintain(keeping(home, "forever, qm=30d"))
    bring_up_to_date(home, copy)
    _require_equal(home, copy)
    table = StaticTable.from_metadata(f"{copy.iceberg}/main/fact_activity_event/metadata/v3.metadata.json")
    assert len(table.metadata.snapshots) == 1
    read = table.scan().to_arrow().sort_by("event_id")
    with lake.reader(home) as connection:
        fact = connection.execute("from fact_activity_event order by event_id").arrow().read_all()
    assert read.cast(fact.schema).equals(fact)


@pytest.mark.slow
def test_what_no_version_needs_goes_after_an_hour(settings: Settings, copy: Target) -> None:
    begin(settings)
    for number in range(3):
        change(settings, f"update quality.pipeline_run set deliveries = {number}")
        bring_up_to_date(settings, copy)
    data = Path(f"{copy.iceberg}/quality/pipeline_run/data")
    theirs = data.parent / "notes.txt"
    theirs.touch()
    before = len(list(data.iterdir()))
    assert before > 1
    old = time.time() - 4000
    for path in data.parent.rglob("*"):
        os.utime(path, (old, old))
    change(settings, "update quality.pipeline_run set deliveries = 9")
    bring_up_to_date(settings, copy)
    # The version before was replaced just now, and may still be read.
    assert len(list(data.iterdir())) == 2
    assert _versions(copy, "quality/pipeline_run") == ["v3.metadata.json", "v4.metadata.json"]
    assert theirs.exists()
    _require_equal(settings, copy)


@pytest.mark.slow
def test_rows_that_only_the_catalog_has_are_not_left_out(
    settings: Settings, copy: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an earlier release kept them."""
    with monkeypatch.context() as earlier:
        earlier.delitem(warehouse_tables._OPTIONS, "data_inlining_row_limit")
        for number in range(2):
            deliver(settings, lines([event(f"{number}")]), name=f"{number}.ndjson")
            run(settings, feeds=["search"])
    with lake.reader(settings) as connection:
        assert lake_catalog.sources(connection, "main", "fact_activity_event")
    bring_up_to_date(settings, copy)
    assert list(Path(f"{copy.iceberg}/main/fact_activity_event/data").iterdir())
    _require_equal(settings, copy)
    # The number of rows shows it too.
    monkeypatch.setattr(lake_catalog, "sources", lambda *_: [])
    other = parse(f"{copy.text} too")
    bring_up_to_date(settings, other)
    _require_equal(settings, other)


def test_places_that_it_refuses(settings: Settings, copy: Target) -> None:
    begin(settings)
    for folder in (settings.data_root, settings.home, f"{settings.data_root}/main"):
        with pytest.raises(ServingError, match="must be a folder apart from"):
            bring_up_to_date(settings, parse(f"iceberg:{folder}"))
    with pytest.raises(ServingError, match="leave out --days"):
        bring_up_to_date(settings, copy, How(5))


@pytest.mark.slow
def test_in_a_bucket(settings: Settings, bucket: Bucket) -> None:
    far = settings.model_copy(update={"data_path": f"{bucket.url}/lake"})
    copy = parse(f"iceberg:{bucket.url}/iceberg")
    deliver(far, lines([event("a")]))
    run(far)
    bring_up_to_date(far, copy)
    deliver(far, lines([event("b")]), hour=1)
    run(far, 1)
    bring_up_to_date(far, copy)
    _require_equal(far, copy)
    assert not [key for key in bucket.keys("iceberg/main/fact_activity_event/") if key.endswith(".parquet")]
