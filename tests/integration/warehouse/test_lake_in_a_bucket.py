"""The warehouse's data in a bucket, on a real S3 server, and what must never be seen of its keys."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import iso
from activity_audit.ingest.planning import plan
from activity_audit.settings.core import Settings, SettingsError, load_settings
from activity_audit.simulator.simulate import simulate
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse import extensions, object_storage
from tests.integration.support import HOUR, VOLATILE, audit, deliver, dump, event, lines, one, query, run, said
from tests.s3_server import SECRET, Bucket, s3_server, use_s3

PASSWORD = "database/Password,that;must-not&be-seen"


def test_feeds_and_warehouse_in_a_bucket(settings: Settings, bucket: Bucket) -> None:
    """They become what the same feeds in a folder become, in a warehouse of this machine."""
    end = HOUR + timedelta(hours=1)
    simulate(Path(settings.feed_root), hours=1, until=end, events_per_hour=200, seed=7, defects=True)
    bucket.put_folder(Path(settings.feed_root), "feeds")
    run(settings)
    places = {"feed_url": f"{bucket.url}/feeds", "data_path": f"{bucket.url}/lake"}
    far = settings.model_copy(update={"home": settings.home.with_name("far"), **places})
    assert plan(far, catalogue.slugs()).ranges == [(HOUR, end)]
    run(far)
    assert dump(far, VOLATILE | {"source_uri"}) == dump(settings, VOLATILE | {"source_uri"})
    assert one(far, "select count(*) from fact_activity_event where source_uri like 's3://%'") > 170
    assert any("fact_activity_event" in key for key in bucket.keys("lake/"))
    assert list((far.home / "warehouse").rglob("*.parquet")) == []

    first, events = query(far, "select max(run_id), count(*) from fact_activity_event")[0]
    bucket.put(f"feeds/search/{HOUR:%Y-%m-%d/%H}/late.ndjson", lines([event("late")]))
    run(far)
    maintain(far)
    assert one(far, "select count(*) from fact_activity_event") == events + 1
    assert one(far, "select count(*) from fact_activity_event", first) == events
    # A query has the warehouse's files and no other, and does not get to see the key.
    asked = "select count(*) as n from fact_activity_event"
    environment = {"AUDIT_DATA_PATH": f"{bucket.url}/lake"}
    answer = said(far, "sql", asked, "--output", "csv", **environment).stdout
    assert answer == f"n\n{events + 1}\n"
    secret = said(far, "sql", "select secret_string from duckdb_secrets()", exit_code=1, **environment)
    assert secret.stdout == ""
    other = said(far, "sql", f"select * from read_text('{bucket.url}/feeds/x')", exit_code=1, **environment)
    assert "a query may not call the function read_text" in other.stderr
    assert files_with("s3://", far.home) != ""
    assert files_with(SECRET, far.home) == ""


def test_a_store_that_does_not_answer_is_named(settings: Settings, bucket: Bucket) -> None:
    far = settings.model_copy(update={"data_path": f"{bucket.url}-not-there/lake"})
    deliver(far, lines([event("a")]))
    with pytest.raises(Exception, match=f"{bucket.name}-not-there") as raised:
        run(far)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [
        ("https://s3.eu-central-1.amazonaws.com", {}),
        ("https://s3.cn-north-1.amazonaws.com.cn", {}),
        ("http://127.0.0.1:9000", {"endpoint": "127.0.0.1:9000", "use_ssl": "false", "url_style": "path"}),
        ("https://store.example/s3/", {"endpoint": "store.example/s3", "use_ssl": "true", "url_style": "path"}),
    ],
)
def test_how_an_endpoint_is_addressed(endpoint: str, options: dict[str, str]) -> None:
    assert object_storage._endpoint_options(endpoint) == options


def test_the_users_own_secret_goes_first(settings: Settings, bucket: Bucket) -> None:
    import duckdb

    with duckdb.connect() as connection:
        extensions.load(connection, ("httpfs",))
        connection.execute("create temporary secret mine (type s3, key_id 'k', secret 's', scope 's3://mine')")
        object_storage.open_storage(connection, "s3://mine/lake")
        names = "select name from duckdb_secrets() order by name"
        assert connection.execute(names).fetchall() == [("mine",)]
        object_storage.open_storage(connection, f"{bucket.url}/lake")
        assert connection.execute(names).fetchall() == [("aws_environment",), ("mine",)]


@pytest.mark.parametrize("name", ["AUDIT_FEED_URL", "AUDIT_DATA_PATH"])
def test_keys_in_a_url_are_refused_and_not_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"s3://AKID:{PASSWORD}@bucket/feeds")
    with pytest.raises(
        SettingsError, match=rf"{name}='s3://AKID:\*\*\*@bucket/feeds': must have no password"
    ) as raised:
        load_settings()
    assert PASSWORD not in str(raised.value)


def test_secrets_are_nowhere(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails in Dagster, and one that cannot begin, neither leave nor show a key or a password."""
    window = ("--from", iso(HOUR), "--to", iso(HOUR + timedelta(hours=1)))
    with s3_server(tmp_path) as server:
        use_s3(server, monkeypatch)
        bucket = server.make_bucket("secretive")
        bucket.put(f"feeds/search/{HOUR:%Y-%m-%d/%H}/a.ndjson", lines([event("a")]))
        places = {"AUDIT_FEED_URL": f"{bucket.url}/feeds", "AUDIT_DATA_PATH": f"{bucket.url}/lake"}
        lost = f"postgres:dbname=audit host=127.0.0.1 port=1 user=audit password={PASSWORD}"
        refused = audit(settings, "run", *window, check=False, AUDIT_CATALOG=lost, **places)
        assert refused.returncode == 1
        assert "failed: the warehouse ducklake:postgres:dbname=audit" in refused.stdout + refused.stderr
        assert "password=***" in refused.stdout + refused.stderr
        assert "Traceback" not in refused.stderr
    down = audit(settings, "run", check=False, AWS_MAX_ATTEMPTS="1", **places)
    assert "cannot be listed" in down.stderr
    printed = "".join(done.stdout + done.stderr for done in (refused, down))
    assert (settings.dagster_home / "history").exists()
    for secret in (SECRET, PASSWORD, PASSWORD[:16]):
        assert secret not in printed
        found = subprocess.run(
            ["grep", "-rlaF", secret, str(settings.home)], capture_output=True, text=True, check=False
        )
        assert found.stdout == ""


def files_with(text: str, folder: Path) -> str:
    """The names of the files below a folder that have the text in them."""
    return subprocess.run(["grep", "-rlaF", text, str(folder)], capture_output=True, text=True, check=False).stdout
