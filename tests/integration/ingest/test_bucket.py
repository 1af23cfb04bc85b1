"""Feeds in a bucket, on a real S3 server: what they become, what they cost, and what may go wrong."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from activity_audit.base import catalogue
from activity_audit.base.hours import now_utc
from activity_audit.ingest.landing import LandingReport, land, open_index
from activity_audit.ingest.planning import Plan, plan, source_of
from activity_audit.ingest.sources.bucket import BucketSource
from activity_audit.ingest.sources.source import Listing, Offer, SourceError
from activity_audit.ingest.sweeps import Reach, Sweeps, list_changes
from activity_audit.raw.files import SWEEPS
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import Settings
from tests.integration.support import HOUR, event, lines
from tests.s3_server import Bucket, S3Server, s3_server, use_s3
from tests.unit.raw_lake import FEEDS, LANDED_AT, Feeds, raw_content

PLACE = f"feeds/search/{HOUR:%Y-%m-%d/%H}"
A, B = lines([event("a")]), lines([event("b")])


@pytest.fixture
def feeds(tmp_path: Path) -> Feeds:
    return Feeds(tmp_path / "here")


@pytest.fixture
def in_bucket(settings: Settings, bucket: Bucket) -> Settings:
    """The settings of a home whose feeds are in the bucket."""
    return settings.model_copy(update={"feed_url": f"{bucket.url}/feeds"})


def take(feeds: Feeds, bucket: Bucket) -> LandingReport:
    return feeds.land(f"{bucket.url}/feeds")


def every_format() -> dict[str, bytes]:
    rows = [event(f"e-{n}") for n in range(50)]
    header = ",".join(rows[0])
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), table)
    plain = {
        "a.ndjson": lines([*rows, "junk"]),
        "b.jsonl": lines(rows),
        "c.json": json.dumps({"links": {}, "values": rows}).encode(),
        "d.csv": "\n".join([header, *(",".join(map(str, row.values())) for row in rows)]).encode(),
        "e.parquet": table.getvalue(),
        "empty.ndjson": b"",
    }
    packed = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in plain.items()}
    dense = {f"{name}.zst": zstandard.compress(content) for name, content in plain.items()}
    broken = {"cut.ndjson.gz": packed["a.ndjson.gz"][:-40]}
    manifest = {"_manifest.json": json.dumps({"files": [{"name": "a.ndjson", "records": 51}]}).encode()}
    return plain | packed | dense | broken | manifest


ODD_NAMES = ["a b.ndjson", "50%25.ndjson", "1+1=2&3.ndjson", "Ünï 🎉.ndjson", "it's \"it\".ndjson", "a#b?c.ndjson",
             "*[x].ndjson"]  # fmt: skip


def test_a_bucket_is_landed_as_a_folder_is(feeds: Feeds, tmp_path: Path, bucket: Bucket) -> None:
    for name, content in every_format().items():
        feeds.deliver(name, content)
    for name in [*ODD_NAMES, ".hidden.ndjson", "_private.ndjson", "half.ndjson.part", "what.xml", "ndjson"]:
        feeds.deliver(name, A)
    for name in ("nope/2026-05-01/10/a.ndjson", "readme.txt", "search/2026-5-1/10/a.ndjson", "search/2026-05-01/x.csv",
                 "search/2026-05-01/24/a.ndjson", "search/2026-05-01/10/deep/a.ndjson", "search/_x/a.ndjson",
                 "bi/2026-02-30/10/a.csv", "bi/2026-05-01/10/b.csv", "search/zzz/a.csv"):  # fmt: skip
        (feeds.landing / name).parent.mkdir(parents=True, exist_ok=True)
        (feeds.landing / name).write_bytes(A)
    bucket.put_folder(feeds.landing, "feeds")
    # Some tools make an object for each folder.
    bucket.put_all({f"feeds/{name}": b"" for name in ("", "search/", "search/2026-05-01/", "search/2026-05-01/10/")})
    bucket.put("feeds/search", b"")
    bucket.put_all({"elsewhere/search/2026-05-01/10/a.ndjson": A, "feedsnot/search/2026-05-01/10/a.ndjson": A})

    here, there = feeds.land(), Feeds(tmp_path / "there")
    report = take(there, bucket)
    assert sorted(d.name for d in report.new) == sorted(d.name for d in here.new)
    assert len(report.new) == 19 + len(ODD_NAMES) + 1
    assert len(report.new_manifests) == 1
    assert sorted(report.unknown) == sorted(here.unknown)
    assert raw_content(there.raw) == raw_content(feeds.raw)
    sources = {d.source_uri for d in report.new}
    assert {f"{bucket.url}/{PLACE}/{name}" for name in ODD_NAMES} <= sources
    again = take(there, bucket)
    assert (again.new, again.new_manifests, again.deferred) == ([], [], [])


def test_an_hour_of_more_objects_than_a_page(s3: S3Server, bucket: Bucket) -> None:
    bucket.put_all({f"{PLACE}/{n}.ndjson": b"" for n in range(1010)})
    source = BucketSource(f"{bucket.url}/feeds", FEEDS)
    s3.forget_requests()
    listing = source.list(FEEDS, (HOUR, HOUR + timedelta(hours=1)))
    assert len({offer.name for offer in listing.offers}) == 1010
    # The feeds, and two pages.
    assert s3.listings() == 3


def test_what_is_replaced_is_a_second_delivery(feeds: Feeds, bucket: Bucket) -> None:
    bucket.put(f"{PLACE}/a.ndjson", A)
    take(feeds, bucket)
    # Of the same size, and perhaps in the same second.
    bucket.put(f"{PLACE}/a.ndjson", B)
    assert [d.name for d in take(feeds, bucket).new] == ["a.ndjson"]
    assert len(raw_content(feeds.raw)) == 2
    bucket.delete(f"{PLACE}/a.ndjson")
    assert take(feeds, bucket).new == []
    assert len(raw_content(feeds.raw)) == 2


class Meanwhile(BucketSource):
    """A source to which something happens between being listed and being read."""

    def __init__(self, bucket: Bucket, happens: Callable[[], None]) -> None:
        super().__init__(f"{bucket.url}/feeds", FEEDS)
        self._happens = happens

    def list(self, *arguments: Any) -> Listing:
        listing = super().list(*arguments)
        self._happens()
        return listing


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_what_changes_between_list_and_read_waits(feeds: Feeds, bucket: Bucket, change: str) -> None:
    key = f"{PLACE}/a.ndjson"
    bucket.put(key, A)
    bucket.put(f"{PLACE}/b.ndjson", A)
    source = Meanwhile(bucket, lambda: bucket.put(key, B) if change == "replaced" else bucket.delete(key))
    report = feeds.land(source=source)
    assert [d.name for d in report.new] == ["b.ndjson"]
    assert report.deferred == [f"{bucket.url}/{key}"]
    assert [d.name for d in take(feeds, bucket).new] == (["a.ndjson"] if change == "replaced" else [])


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_two_versions_are_never_mixed(
    feeds: Feeds, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    # Two requests, with a change between them.
    monkeypatch.setattr("activity_audit.ingest.sources.object_store._READ_AHEAD", 1 << 20)
    key = f"{PLACE}/a.ndjson"
    bucket.put(key, A * 20_000)
    source = BucketSource(f"{bucket.url}/feeds", FEEDS)
    (offer,) = source.list(FEEDS, None).offers
    assert offer.size > 4 << 20
    with source.open(offer) as stream:
        assert stream.read(100) == (A * 2)[:100]
        bucket.put(key, B * 20_000) if change == "replaced" else bucket.delete(key)
        with pytest.raises(FileNotFoundError):
            shutil.copyfileobj(stream, io.BytesIO())

    def opens_and_waits(source: BucketSource, offer: Offer) -> BinaryIO:
        stream = really_open(source, offer)
        bucket.put(key, A * 20_000)
        return stream

    bucket.put(key, B * 20_000)
    with monkeypatch.context() as patch:
        really_open = BucketSource.open
        patch.setattr(BucketSource, "open", opens_and_waits)
        report = take(feeds, bucket)
    assert (report.new, len(report.deferred)) == ([], 1)
    assert [d.records for d in take(feeds, bucket).new] == [20_000]


def test_a_bucket_that_is_not_there_is_an_error(bucket: Bucket) -> None:
    with pytest.raises(SourceError, match=r"there is no bucket no-such-bucket.* check AUDIT_FEED_URL='s3://no-such"):
        BucketSource("s3://no-such-bucket/feeds", FEEDS).list(FEEDS, None)
    # One without deliveries is none.
    assert BucketSource(f"{bucket.url}/feeds", FEEDS).list(FEEDS, None).offers == []
    assert BucketSource(bucket.url, FEEDS).list(FEEDS, None).offers == []


def test_wrong_credentials_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that knows one user, who may do anything."""
    with s3_server(tmp_path, INITIAL_NO_AUTH_ACTION_COUNT="4") as server:
        iam = server.client("iam")
        iam.create_user(UserName="feeds")
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_user_policy(UserName="feeds", PolicyName="all", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName="feeds")["AccessKey"]
        server.make_bucket("feeds-of-one")
        right = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

        def look(**environment: str) -> Listing:
            use_s3(server, monkeypatch, **environment)
            return BucketSource("s3://feeds-of-one/feeds", FEEDS).list(FEEDS, None)

        assert look(**right).offers == []
        for wrong in (right | {"AWS_SECRET_ACCESS_KEY": "wrong/secret"}, {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN000000000"}):
            with pytest.raises(SourceError, match=r"cannot be listed: .*check the URL.*AWS_ACCESS_KEY_ID") as raised:
                look(**wrong)
            assert "secret" not in str(raised.value).lower()


def test_a_server_that_stops_in_the_middle(feeds: Feeds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activity_audit.ingest.landing._THREADS", 1)
    with s3_server(tmp_path) as server:
        use_s3(server, monkeypatch, AWS_MAX_ATTEMPTS="1")
        bucket = server.make_bucket("stops")
        objects = {f"{PLACE}/{name}.ndjson": lines([event(name)]) for name in "abcd"}
        bucket.put_all(objects)
        real = BucketSource.open

        def stops_before_c(source: BucketSource, offer: Offer) -> BinaryIO:
            if offer.name == "c.ndjson":
                server.stop()
            return real(source, offer)

        with monkeypatch.context() as patch:
            patch.setattr(BucketSource, "open", stops_before_c)
            assert [one.name for one in take(feeds, bucket).set_aside] == ["c.ndjson", "d.ndjson"]
            with pytest.raises(SourceError, match=r"cannot be listed: .*onnect"):
                take(feeds, bucket)
    assert [d.name for d in open_index(local_lake(feeds.raw)).deliveries(FEEDS)] == ["a.ndjson", "b.ndjson"]
    with s3_server(tmp_path, server.port) as again:
        again.make_bucket("stops").put_all(objects)
        assert [d.name for d in take(feeds, bucket).new] == ["c.ndjson", "d.ndjson"]


def look(settings: Settings) -> Plan:
    return plan(settings, catalogue.slugs())


def test_a_look_costs_what_is_new_and_a_sweep_finds_what_is_late(
    in_bucket: Settings, bucket: Bucket, s3: S3Server
) -> None:
    now = now_utc()
    recent = f"feeds/search/{now - timedelta(hours=1):%Y-%m-%d/%H}"
    # Of 60 days, with gaps: far more hours than a look may cost requests.
    old = {f"feeds/search/{now - timedelta(hours=30 * n):%Y-%m-%d/%H}/a.ndjson": A for n in range(3, 50)}
    bucket.put_all({**old, f"{recent}/a.ndjson": B, "feeds/qm/2026-05-01/10/a.ndjson": A})
    land_all(in_bucket)

    s3.forget_requests()
    assert look(in_bucket).fingerprint == look(in_bucket).fingerprint
    first = s3.listings()
    s3.forget_requests()
    calm = look(in_bucket)
    # The folders of the feeds, and a page of each feed that there is.
    assert s3.listings() == 3 < first
    late = f"feeds/search/{now - timedelta(days=40):%Y-%m-%d/%H}/late.ndjson"
    bucket.put_all({late: lines([event("late")]), f"{recent}/b.ndjson": lines([event("new")])})
    seen = look(in_bucket)
    assert seen.fingerprint != calm.fingerprint
    land_all(in_bucket, timedelta(days=2))
    assert "late.ndjson" not in landed(in_bucket)
    assert "b.ndjson" in landed(in_bucket)
    # The day is over: everything is looked at, and what is found stays in view until it is landed.
    swept = in_bucket.model_copy(update={"sweep_every": timedelta(0)})
    found = look(swept)
    assert look(in_bucket).fingerprint == found.fingerprint != seen.fingerprint
    land_all(in_bucket)
    assert "late.ndjson" in landed(in_bucket)
    look(in_bucket)
    s3.forget_requests()
    look(in_bucket)
    assert s3.listings() == 3


def land_all(settings: Settings, back: timedelta = timedelta(days=365)) -> LandingReport:
    """Land the hours of the last time, as a run over them does."""
    source = BucketSource(settings.feed_root, catalogue.slugs())
    window = (now_utc() - back, now_utc())
    return land(source, local_lake(settings.raw_dir), feeds=catalogue.slugs(), window=window, landed_at=LANDED_AT,
                max_record_bytes=settings.max_record_bytes)  # fmt: skip


def landed(settings: Settings) -> set[str]:
    return {delivery.name for delivery in open_index(local_lake(settings.raw_dir)).deliveries(catalogue.slugs())}


def test_a_lost_note_of_the_sweeps_costs_a_sweep_and_nothing_else(in_bucket: Settings, bucket: Bucket) -> None:
    bucket.put(f"{PLACE}/a.ndjson", A)
    assert seen(in_bucket) == ["a.ndjson"]
    land_all(in_bucket)
    assert seen(in_bucket) == []
    # Its hour is the newest of its feed, so it is in view though it is old.
    bucket.put(f"{PLACE}/b.ndjson", B)
    assert seen(in_bucket) == ["b.ndjson"]
    bucket.put(f"feeds/search/{HOUR - timedelta(days=9):%Y-%m-%d/%H}/c.ndjson", B)
    assert seen(in_bucket) == ["b.ndjson"]
    (in_bucket.raw_dir / SWEEPS).unlink()
    assert seen(in_bucket) == ["c.ndjson", "b.ndjson"]


def seen(settings: Settings) -> list[str]:
    """The names of the deliveries that a look finds something new in, the oldest first."""
    sweeps = Sweeps(local_lake(settings.raw_dir).notes, settings.feed_root)
    reach = Reach(settings.lookback, settings.sweep_every)
    index = open_index(local_lake(settings.raw_dir))
    _, offers = list_changes(source_of(settings), index, catalogue.slugs(), now_utc(), reach, sweeps)
    return [offer.name for offer in offers]
