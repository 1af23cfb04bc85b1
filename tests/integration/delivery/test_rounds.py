"""Each period of a subscription is delivered once: into a folder, into a bucket, by mail; whatever fails meanwhile."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.csv
import pytest

from activity_audit.alerts.book import home_book
from activity_audit.base.hours import now_utc
from activity_audit.report.access.permissions import User, user_of
from activity_audit.report.delivery import book as books
from activity_audit.report.delivery import rounds, send, standing
from activity_audit.report.delivery.book import Book, Delivery, Subscription
from activity_audit.report.delivery.rounds import MOST_AT_ONCE, deliver_due
from activity_audit.report.delivery.standing import StandingError
from activity_audit.report.delivery.subscribe import subscription
from activity_audit.report.saved.book import SavedReports
from activity_audit.report.saved.reports import Details
from activity_audit.settings.core import Settings, load_settings
from orchestration import instance as dagster_instance
from orchestration.definitions import build_definitions
from orchestration.jobs import DELIVERIES
from tests.integration.alerts_support import Mailbox, mail_server, receiver
from tests.integration.support import said
from tests.s3_server import Bucket

ANN = user_of("ann", ["analyst"])
# The events of `report_home` are of the first of May, 10:15; its data reach to 11:00.
FIRST = "2026-05-01T10:00:00Z"


@pytest.fixture
def home(report_home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home of its own on the warehouse of `report_home`, where ann is an analyst and has saved a report."""
    users = tmp_path / "users.toml"
    users.write_text('[users."ann"]\npassword = "$argon2id$x"\nroles = ["analyst"]\n')
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("AUDIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AUDIT_CATALOG", str(report_home.catalog_file))
    monkeypatch.setenv("AUDIT_DATA_PATH", report_home.data_root)
    monkeypatch.setenv("AUDIT_REPORT_AUTH", "users")
    monkeypatch.setenv("AUDIT_REPORT_USERS_FILE", str(users))
    monkeypatch.setenv("AUDIT_DELIVERY_PATH", str(tmp_path / "out"))
    settings = load_settings()
    SavedReports(settings.report_dir / "saved.json").save("Searches of May!", "ann", "application=Search")
    return settings


def _subscribe(settings: Settings, user: User = ANN, **form: str) -> Subscription:
    """A subscription whose first period is that of the events."""
    (report,) = SavedReports(settings.report_dir / "saved.json").visible_to(user)
    said = {"report": report.id, "every": "hour", "format": "csv", "to": "folder"} | form
    made = subscription(settings, user, said)
    first = {"hour": FIRST, "day": "2026-05-01T00:00:00Z"}[made.every]
    Book(settings).add(made)
    Book(settings).change(made, next_from=first)
    return Book(settings).find(Subscription, "id = ?", [made.id])[0]


def _deliveries(settings: Settings) -> list[Delivery]:
    return Book(settings).find(Delivery)


def _trail(settings: Settings) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in settings.own_feeds_dir.rglob(".open.ndjson")
        for line in path.read_text().splitlines()
    ]


def test_a_folder_gets_each_period_once(home: Settings, tmp_path: Path) -> None:
    made = _subscribe(home, folder="weekly/ann")
    done = deliver_due(home)
    assert (len(done.delivered), done.failed, done.warnings) == (1, [], [])
    folder = tmp_path / "out/weekly/ann"
    name = f"searches-of-may_2026-05-01T10Z_{made.id[:8]}.csv"
    assert sorted(path.name for path in folder.iterdir()) == [name, f"{name}.about.json"]
    assert pyarrow.csv.read_csv(folder / name).num_rows == 100
    assert json.loads((folder / f"{name}.about.json").read_text())["filters"]["start"] == FIRST
    (record,) = _trail(home)
    assert (record["triggeredBy"], record["entity"], record["activity"]) == ("ann", "Delivery", "Sent")
    assert f"Searches of May!: {FIRST} to 2026-05-01T11:00:00Z" in record["comments"]
    assert record["comments"].endswith(f"100 events, to {folder / name}")
    # Nothing more is due, and a file that a person took away is not made again.
    (folder / name).unlink()
    assert deliver_due(home).delivered == []
    assert not (folder / name).exists()
    # One that was killed between putting the file there and noting it.
    (folder / name).write_text("as it was delivered")
    (delivered,) = _deliveries(home)
    Book(home).change(delivered, state="due", done_at=None)
    assert len(deliver_due(home).delivered) == 1
    assert (folder / name).read_text() == "as it was delivered"
    assert len(_trail(home)) == 1


def test_a_delivery_has_the_columns_and_the_order_of_the_report(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, query = SavedReports(home.saved_file), "application=Search&sort=instance&columns=outcome%2Cinstance"
    (report,) = saved.visible_to(ANN)
    saved.save(report.name, "ann", query, replace_id=report.id)
    monkeypatch.setenv("AUDIT_REPORT_URL", "https://audit.example")
    _subscribe(load_settings())
    assert len(deliver_due(load_settings()).delivered) == 1
    (file,) = (tmp_path / "out").glob("*.csv")
    found = pyarrow.csv.read_csv(file)
    assert found.column_names == ["Outcome", "Instance"]
    instances = found["Instance"].to_pylist()
    assert instances == sorted(instances)
    about = json.loads(file.with_name(f"{file.name}.about.json").read_text())
    assert about["link"].startswith("https://audit.example/?period=from-to&")


def test_a_role_that_only_a_provider_knows_is_remembered(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is shared with a role, and its owner's roles are those of their last visit."""
    monkeypatch.setenv("AUDIT_REPORT_AUTH", "proxy")
    monkeypatch.setenv("AUDIT_REPORT_PROXY_HEADER", "X-User")
    monkeypatch.setenv("AUDIT_REPORT_PROXY_FROM", "127.0.0.1")
    settings, saved = load_settings(), SavedReports(home.saved_file)
    (report,) = saved.visible_to(ANN)
    saved.edit(report.id, "ann", report.name, Details(roles=["fraud team"]))
    bob = user_of("bob", ["analyst", "Fraud Team", "a,quarantine"])
    made = _subscribe(settings, bob)
    assert standing.owner_now(settings, made).permissions == bob.permissions
    assert len(deliver_due(settings).delivered) == 1
    saved.edit(report.id, "ann", report.name, Details(roles=[]))
    (delivered,) = _deliveries(settings)
    Book(settings).change(delivered, state="due", done_at=None)
    deliver_due(settings)
    (stopped,) = Book(settings).find(Subscription)
    assert "is not shared any more" in (stopped.stopped_why or "")


def test_what_is_not_over_is_not_due(home: Settings, tmp_path: Path) -> None:
    _subscribe(home, every="day")
    assert rounds.due(home) == []
    assert not rounds.is_due(home)
    assert deliver_due(home).delivered == []
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_missed_periods_catch_up_within_a_bound(home: Settings, tmp_path: Path) -> None:
    made = _subscribe(home, format="parquet")
    Book(home).change(made, next_from="2026-04-29T00:00:00Z")
    assert [one.period_from for _, one in rounds.due(home)][-1] == FIRST
    (warning,) = deliver_due(home).warnings
    assert f"28 periods were over at once; the newest {MOST_AT_ONCE} are delivered" in warning
    assert len(list((tmp_path / "out").iterdir())) == MOST_AT_ONCE
    states = [one.state for one in _deliveries(home)]
    assert states.count("delivered") == MOST_AT_ONCE
    assert states.count("passed over") == 1
    assert deliver_due(home).delivered == []


def test_a_bucket_gets_what_a_folder_gets(home: Settings, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_DELIVERY_PATH", f"{bucket.url}/reports")
    settings = load_settings()
    made = _subscribe(settings, format="xlsx", folder="ann")
    assert len(deliver_due(settings).delivered) == 1
    place = send.Folder(f"{bucket.url}/reports", "ann")
    name = f"searches-of-may_2026-05-01T10Z_{made.id[:8]}.xlsx"
    assert place.has(name)
    assert not place.has("another")
    (delivered,) = _deliveries(settings)
    Book(settings).change(delivered, state="due")
    assert len(deliver_due(settings).delivered) == 1
    assert len(_trail(settings)) == 1


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mail_server(tmp_path) as found:
        monkeypatch.setenv("AUDIT_DELIVERY_SMTP", f"smtp://127.0.0.1:{found.port}?from=audit@example.org")
        monkeypatch.setenv("AUDIT_DELIVERY_DOMAINS", "example.org")
        yield found


def test_mail_has_the_file_or_says_where_it_is(home: Settings, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_REPORT_URL", "https://audit.example.org")
    settings = load_settings()
    made = _subscribe(settings, to="mail", recipients="ann@example.org, bob@Example.org")
    assert len(deliver_due(settings).delivered) == 1
    mails = box.mails
    assert sorted(mail["To"] for mail in mails) == ["ann@example.org", "bob@Example.org"]
    (name, about) = (part.get_filename() for part in reversed(list(mails[0].iter_attachments())))
    assert name == f"searches-of-may_2026-05-01T10Z_{made.id[:8]}.csv"
    assert about == f"{name}.about.json"
    attached = {part.get_filename(): part.get_payload(decode=True) for part in mails[0].iter_attachments()}
    assert pyarrow.csv.read_csv(io.BytesIO(attached[name])).num_rows == 100  # type: ignore[arg-type]
    text = mails[0].get_body().get_content()  # type: ignore[union-attr]
    assert "“Searches of May!”, of the hour 2026-05-01T10Z (UTC): 100 events" in text
    assert "https://audit.example.org/?period=from-to&from=2026-05-01&to=2026-05-01&zoom=" in text
    # One that was killed after the first mail and before it could note the second.
    (delivered,) = _deliveries(settings)
    Book(settings).change(delivered, state="due", sent_to="ann@example.org")
    assert len(deliver_due(settings).delivered) == 1
    again = [mail for mail in box.mails if mail["To"].startswith("bob")]
    assert len({mail["Message-ID"] for mail in box.mails}) == 1
    assert (len(again), len(box.mails)) == (2, 3)
    assert [record["comments"].rpartition("to ")[2] for record in _trail(settings)] == [
        "ann@example.org", "bob@Example.org", "bob@Example.org"
    ]  # fmt: skip
    monkeypatch.setenv("AUDIT_DELIVERY_MAIL_BYTES", "1000")
    small = load_settings()
    Book(small).change(delivered, state="due", sent_to="ann@example.org")
    deliver_due(small)
    last = box.mails[-1]
    assert list(last.iter_attachments()) == []
    assert "more than a mail may have here (1.0 kB): open https://audit.example.org/" in (
        last.get_body().get_content()  # type: ignore[union-attr]
    )


def test_a_failure_is_tried_again_and_told_once(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as place:
        monkeypatch.setenv("AUDIT_ALERT_TO", place.url)
        settings = load_settings()
        _subscribe(settings)
        (tmp_path / "out").rename(tmp_path / "away")
        # The second round comes before its time.
        assert [len(deliver_due(settings, at_once=at_once).failed) for at_once in (False, False, True)] == [1, 0, 1]
        assert place.titles == ["A report could not be delivered"]
        assert "“Searches of May!” of ann" in place.messages[0]["message"]
        assert "make or mount it" in place.messages[0]["message"]
        assert _deliveries(settings)[0].tries == 2
        (tmp_path / "away").rename(tmp_path / "out")
        assert "Error" not in said(settings, "deliver").stderr
        assert place.titles == ["A report could not be delivered", "over: A report could not be delivered"]
        assert [record["outcome"] for record in _trail(settings)] == ["SUCCESS", "FAILURE"] * 2 + ["SUCCESS"]
        assert home_book(settings).alerts(()) == []


def test_it_stops_when_the_owner_may_not_any_more(home: Settings, tmp_path: Path) -> None:
    _subscribe(home)
    users = tmp_path / "users.toml"
    users.write_text(users.read_text().replace("analyst", "viewer"))
    (warning,) = deliver_due(home).warnings
    assert warning.endswith("stopped: ann does not have the permission “export”")
    (stopped,) = Book(home).find(Subscription)
    assert stopped.stopped_why == "ann does not have the permission “export”"
    assert list((tmp_path / "out").iterdir()) == []
    assert not rounds.is_due(home)
    Book(home).change(stopped, stopped_at=None, stopped_why=None)
    users.write_text(users.read_text().replace('"ann"', '"bob"'))
    deliver_due(home)
    (stopped,) = Book(home).find(Subscription)
    assert stopped.stopped_why == "ann is not a user of this report any more"
    assert "ann is not a user of this report any more" in said(home, "deliver", "--list").stdout


def test_a_masked_owner_gets_masked_files(home: Settings, tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_text(users.read_text().replace("analyst", "masked-analyst"))
    _subscribe(home)
    assert len(deliver_due(home).delivered) == 1
    (file,) = (tmp_path / "out").glob("*.csv")
    assert set(pyarrow.csv.read_csv(file)["Comments"].to_pylist()) == {"masked"}
    (record,) = _trail(home)
    assert record["comments"].startswith("triggered_by") or "masked" in record["comments"]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"to": "mail", "recipients": "ann@example.org"}, "mail is not set up here"),
        ({"folder": "../elsewhere"}, "a folder has letters"),
        ({"folder": "/etc/../.."}, "a folder has letters"),
        ({"folder": "link"}, "leads out of"),
        ({"every": "second"}, "“every” must be one of hour, day, week, month"),
        ({"format": "exe"}, "“format” must be one of"),
        ({"report": "x"}, "choose a saved report"),
    ],
)
def test_what_is_refused(home: Settings, tmp_path: Path, form: dict[str, str], why: str) -> None:
    (tmp_path / "out/link").symlink_to(tmp_path)
    with pytest.raises(StandingError, match=why):
        _subscribe(home, **form)


def test_mail_goes_to_the_domains_of_the_setting_alone(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_DELIVERY_SMTP", "smtp://mail.example.org?from=audit@example.org")
    monkeypatch.setenv("AUDIT_DELIVERY_DOMAINS", "example.org")
    settings = load_settings()
    for address in ("ann@evil.example", "ann@sub.example.org", "ann@example.org.evil.example", "a@b@example.org", ""):
        with pytest.raises(StandingError):
            _subscribe(settings, to="mail", recipients=address)
    _subscribe(settings, to="mail", recipients="ann@example.org")
    # A domain that was taken out of the setting stops what goes there.
    monkeypatch.setenv("AUDIT_DELIVERY_DOMAINS", "other.example")
    (warning,) = deliver_due(load_settings()).warnings
    assert "ann@example.org is not of a domain of AUDIT_DELIVERY_DOMAINS any more" in warning


@pytest.mark.slow
def test_the_sensor_follows_the_published_data(home: Settings, tmp_path: Path) -> None:
    definitions = build_definitions(home, begin=datetime(2026, 5, 1, 10, tzinfo=UTC))
    sensor = definitions.resolve_sensor_def("due_deliveries")
    with dagster_instance.instance(home) as instance:

        def ticked() -> int:
            with dg.build_sensor_context(instance=instance, definitions=definitions) as context:
                return len(sensor.evaluate_tick(context).run_requests or [])

        assert ticked() == 0
        _subscribe(home)
        assert ticked() == 1
        assert definitions.resolve_job_def(DELIVERIES).execute_in_process(instance=instance).success
        assert len(list((tmp_path / "out").glob("*.csv"))) == 1
        assert ticked() == 0


def test_what_is_old_is_given_up(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _subscribe(home)
    shutil.rmtree(tmp_path / "out")
    deliver_due(home)
    monkeypatch.setattr(rounds, "now_utc", lambda: now_utc() + timedelta(days=8))
    deliver_due(home)
    assert [one.state for one in _deliveries(home)] == ["given up"]
    assert books.at(datetime(2026, 5, 1, 10, tzinfo=UTC)) == FIRST
