"""Raw lake, data and feeds in a bucket, catalogue and index in PostgreSQL: any machine with the settings goes on."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR as ONE_HOUR
from activity_audit.evidence.pack.pack import Options
from activity_audit.evidence.verify.verify import verify
from activity_audit.ingest.beginning import beginning
from activity_audit.ingest.planning import plan
from activity_audit.pipeline.replay import ReplayError, replay
from activity_audit.pipeline.run import land_feeds
from activity_audit.pipeline.status import status
from activity_audit.raw import object_store
from activity_audit.raw.lake import raw_lake
from activity_audit.raw.object_store import RawStoreError
from activity_audit.settings.core import Settings, load_settings
from activity_audit.upkeep.maintenance import Allowed, maintain
from activity_audit.upkeep.retention.holds import place, release
from activity_audit.warehouse.lake import WarehouseError
from tests.integration.evidence_support import failed_checks, pack_of
from tests.integration.postgres_server import INITDB, PostgresServer
from tests.integration.support import HOUR, audit, deliver, event, lines, one, query, run, until
from tests.s3_server import Bucket

pytestmark = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")


class Team:
    """A shared warehouse: what every machine's settings name."""

    def __init__(self, bucket: Bucket, catalog: str, folder: Path) -> None:
        self.bucket = bucket
        self.folder = folder
        self.variables = {
            "AUDIT_FEED_URL": f"{bucket.url}/feeds",
            "AUDIT_RAW_PATH": f"{bucket.url}/raw",
            "AUDIT_DATA_PATH": f"{bucket.url}/lake",
            "AUDIT_CATALOG": catalog,
            "AUDIT_APPLICATIONS": "search",
        }

    def machine(self, name: str) -> Settings:
        """The settings of a machine with a home of its own."""
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in self.variables.items():
                patch.setenv(variable, value)
            return load_settings(home=self.folder / name)

    def deliver(self, content: bytes, name: str = "a.ndjson", hour: int = 0) -> None:
        """Put a file of the feed `search` into the bucket."""
        self.bucket.put(f"feeds/search/{HOUR + hour * ONE_HOUR:%Y-%m-%d/%H}/{name}", content)

    def raw_keys(self) -> list[str]:
        """The files of the raw lake."""
        return self.bucket.keys("raw/")


@pytest.fixture
def team(bucket: Bucket, postgres: PostgresServer, tmp_path: Path, settings: Settings) -> Team:
    """A new one; `settings` keeps the developer's own out of it."""
    return Team(bucket, postgres.new_database(), tmp_path)


def test_a_second_machine_takes_over(team: Team) -> None:
    """The first one's home is thrown away, with all that is in it; an empty one with the same settings goes on."""
    first = team.machine("first")
    team.deliver(lines([event("a"), event("a"), "junk"]))
    team.deliver(b'{"files":[{"name":"a.ndjson","records":3}]}', "_manifest.json")
    assert run(first).totals["accepted"] == 1
    assert [key.rsplit(".", 1)[-1] for key in team.raw_keys()] == ["json", "parquet"]
    assert list(first.home.rglob("*.parquet")) == []
    shutil.rmtree(first.home)

    second = team.machine("second")
    assert beginning(second) == HOUR
    assert plan(second, catalogue.slugs()).ranges == []
    assert status(second)["unpublished_deliveries"] == 0
    team.deliver(lines([event("a"), event("b", eventTime="2026-05-01T11:15:00Z")]), hour=1)
    assert [start for start, _ in plan(second, catalogue.slugs()).ranges] == [HOUR + ONE_HOUR]
    assert run(second, 1).totals["accepted"] == 1
    assert query(second, "select event_id from fact_activity_event order by 1") == [("a",), ("b",)]
    assert one(second, "select count(*) from quality.integrity_ledger") == 2
    report = verify(second)
    assert (report.findings, report.counts["raw files"]) == ([], 2)


@pytest.mark.slow
def test_a_second_machine_proves_judges_again_holds_and_deletes(team: Team, tmp_path: Path) -> None:
    first, second = team.machine("first"), team.machine("second")
    for hour in range(2):
        team.deliver(lines([event(f"{hour}", eventTime=f"2026-05-01T{10 + hour}:15:00Z"), "junk"]), hour=hour)
    team.deliver(b'{"files":[{"name":"a.ndjson","records":2}]}', "_manifest.json")
    run(first, 0, 2)
    shutil.rmtree(first.home)
    # To do it again adds nothing.
    assert run(second, 0, 2).totals["received"] == 0
    pack = pack_of(second, tmp_path / "pack", options=Options(with_raw=True))
    assert failed_checks(pack.folder) == {}
    assert len(list((pack.folder / "raw").rglob("*.parquet"))) == 2
    assert replay(second, str(uuid4())).judged == 2
    third = team.machine("third").model_copy(update={"retention": "1d", "retention_max_share": 1.0})
    held, _ = place(third, "all", HOUR, HOUR + ONE_HOUR, "matter 7", "counsel")
    trusting = Allowed(trust_clock=True)
    assert len(maintain(third, trusting).retention.due) == 1
    assert [key.split("/")[3] for key in team.raw_keys()] == ["10", "10"]
    assert verify(third).findings == []
    release(third, held.hold_id, "settled", "counsel")
    maintain(third, trusting)
    assert (team.raw_keys(), verify(third).findings) == ([], [])
    assert one(third, "select count(*) from fact_activity_event") == 0
    # What was deleted and is still at its source is not taken again.
    assert plan(third, catalogue.slugs()).ranges == []


def test_a_bucket_with_a_catalogue_of_this_machine(
    settings: Settings, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is beside the catalogue; what somebody does to the bucket is found, and named by its URL."""
    far = settings.model_copy(update={"raw_path": f"{bucket.url}/raw/", "applications": ["search"]})
    for name in ("a", "b", "c"):
        deliver(far, lines([event(name), "junk"]), f"{name}.ndjson")
    run(far)
    (folder,) = {key.rpartition("/")[0] for key in bucket.keys("raw/")}
    assert (far.home / "warehouse/catalog.sqlite.raw-index").exists()
    assert verify(far).findings == []
    first, second, _ = bucket.keys("raw/")
    # No two contents can have one name.
    store = raw_lake(far).store
    other = far.home / "other"
    # Also not in the parts in which a large file is sent.
    monkeypatch.setitem(object_store._PARTS, "chunksize", 5 << 20)
    for content in (b"other", bytes(11 << 20)):
        other.write_bytes(content)
        with store.writing() as writer:
            assert writer.publish([(other, first.removeprefix("raw/"))]) == [False]
    assert verify(far).findings == []

    # Except to somebody who goes past the product.
    bucket.put(first, b"other")
    bucket.delete(second)
    bucket.put(f"{folder}/{'0' * 32}.parquet", b"other")
    bucket.put(f"{folder}/notes.txt", b"other")
    found = verify(far).findings
    assert {(one.problem, one.severity, one.what) for one in found if one.layer == "raw"} == {
        ("added", "error", f"{bucket.url}/{folder}/{'0' * 32}.parquet"),
        ("added", "warning", f"{bucket.url}/{folder}/notes.txt"),
        ("changed", "error", f"{bucket.url}/{first}"),
        ("missing", "error", f"{bucket.url}/{second}"),
    }
    assert [one for one in found if one.layer != "raw"] == []
    with pytest.raises(ReplayError, match=rf"1 raw files that the replay needs are gone, the first is {bucket.url}"):
        replay(far, str(uuid4()))
    # An empty place that the setting names by mistake does not become a second raw lake.
    for path in ("elsewhere", "raw/search/2026-05-02"):
        empty = far.model_copy(update={"raw_path": f"{bucket.url}/{path}"})
        with pytest.raises(WarehouseError, match=rf"the raw lake {bucket.url}/{path} is empty, and .* 3 deliveries"):
            run(empty)
        with pytest.raises(WarehouseError, match="is empty"):
            plan(empty, ["search"])
    assert all(key.startswith(f"{folder}/") for key in bucket.keys(""))
    wrong = far.model_copy(update={"raw_path": f"{bucket.url}-not-there/raw"})
    for command in (run, verify, lambda own: verify(own, (HOUR, HOUR + ONE_HOUR))):
        with pytest.raises(RawStoreError, match=rf"there is no bucket {bucket.name}-not-there; check AUDIT_RAW_PATH="):
            command(wrong)


def test_any_url_that_fsspec_opens(settings: Settings, tmp_path: Path) -> None:
    """DuckDB reads it through fsspec where it knows no other way."""
    far = settings.model_copy(update={"raw_path": f"memory://{tmp_path.name}/raw", "applications": ["search"]})
    deliver(far, lines([event("a"), event("b"), "junk"]))
    try:
        assert run(far).totals["accepted"] == 2
        report = verify(far)
        assert (report.findings, report.counts["raw files"]) == ([], 1)
    finally:
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


@pytest.mark.slow
def test_two_machines_land_and_run_at_the_same_time(team: Team) -> None:
    for hour in range(2):
        for name in range(8):
            content = lines([event(f"{hour}-{name}", eventTime=f"2026-05-01T{10 + hour}:15:00Z")])
            team.deliver(content, f"{name}.ndjson", hour)
    machines = [team.machine("first"), team.machine("second")]

    def land(own: Settings) -> int:
        return len(land_feeds(own, ["search"], (HOUR, HOUR + 2 * ONE_HOUR)).new)

    with ThreadPoolExecutor(2) as pool:
        # What one adopts while the other is about to record it, neither calls new.
        assert sum(pool.map(land, machines)) <= 16
        assert len(raw_lake(machines[0]).index.deliveries(["search"])) == len(team.raw_keys()) == 16
        # The other one may have published meanwhile; the same command again goes on with what is left.
        list(pool.map(lambda own: until(lambda: _runs(own, team), 120), machines))
    for own in machines:
        assert one(own, "select count(*) from fact_activity_event") == 16
        assert one(own, "select count(*) from quality.feed_delivery") == 16
        assert verify(own).findings == []
        assert plan(own, ["search"]).ranges == []


def _runs(own: Settings, team: Team) -> bool:
    window = ("--from", "2026-05-01T10:00Z", "--to", "2026-05-01T12:00Z")
    done = audit(own, "run", *window, check=False, **team.variables)
    assert (
        done.returncode == 0 or "another run published into this warehouse in the meantime" in done.stdout + done.stderr
    )
    return done.returncode == 0


@pytest.mark.slow
def test_the_commands_on_another_machine(team: Team, tmp_path: Path) -> None:
    first, second = team.machine("first"), team.machine("second")
    team.deliver(lines([event("a"), "junk"]))
    audit(first, "run", **team.variables)
    shutil.rmtree(first.home)
    audit(second, "verify", **team.variables)
    variables = f"{{hour: {HOUR:%Y-%m-%dT%H}}}"
    shown = audit(
        second, "dbt", "show", "--limit", "-1", "-s", "stg_record", "--vars", variables, **team.variables
    ).stdout
    assert "unparseable" in shown
    team.deliver(lines([event("b", eventTime="2026-05-01T11:15:00Z")]), hour=1)
    audit(second, "run", **team.variables)
    assert one(second, "select count(*) from fact_activity_event") == 2
    period = ("--from", "2026-05-01T10:00Z", "--to", "2026-05-01T12:00Z")
    audit(second, "evidence", *period, "--with-raw", "--out", str(tmp_path / "pack"), **team.variables)
    assert failed_checks(tmp_path / "pack") == {}
