"""Each cause is told once, and once when it is over, whoever looks and whatever fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from activity_audit.alerts import book
from activity_audit.alerts.book import home_book
from activity_audit.alerts.causes import Cause
from activity_audit.alerts.notify import Message, NotDeliveredError, Target, targets
from activity_audit.alerts.rounds import deliver_all, known, observe
from activity_audit.base.hours import now_utc
from activity_audit.settings.core import Settings, SettingsError, load_settings
from tests.integration.alerts_support import Receiver, mail_server, receiver
from tests.integration.postgres_server import PostgresServer
from tests.integration.support import said

LATE = [Cause("feed_late", "search", "Search lacks 1 feed hour."), Cause("feed_late", "qm", "QM lacks 2 feed hours.")]
STOPPED = Cause("run_failed", "2026-05-01T10:00:00Z", "The run of 2026-05-01T10:00Z failed.")


@pytest.fixture
def place() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def alerting(settings: Settings, place: Receiver, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a home whose alerts go to `place`."""
    monkeypatch.setenv("AUDIT_ALERT_TO", place.url)
    return load_settings()


def _passes(monkeypatch: pytest.MonkeyPatch, time: timedelta) -> None:
    monkeypatch.setattr(book, "now_utc", lambda: now_utc() + time)


def test_a_cause_is_told_once_and_once_when_it_is_over(alerting: Settings, place: Receiver) -> None:
    for found in (LATE[:1], LATE[:1], LATE, LATE, LATE[1:], [], []):
        assert observe(alerting, "feed_late", found) == []
    assert place.titles == [title for _ in range(2) for title in ["A feed is late, missing or incomplete"]] + [
        title for _ in range(2) for title in ["over: A feed is late, missing or incomplete"]
    ]
    assert [message["type"] for message in place.messages] == ["failure", "failure", "success", "success"]
    assert "Search lacks 1 feed hour. (since " in place.messages[0]["message"]
    assert "`audit status`" in place.messages[0]["message"]
    assert "Search lacks 1 feed hour. (from " in place.messages[2]["message"]
    assert known(alerting) == []
    # The same cause, when it comes again, is another one.
    observe(alerting, "feed_late", LATE[:1])
    assert len(place.messages) == 5


def test_causes_that_come_together_are_one_message(alerting: Settings, place: Receiver) -> None:
    observe(alerting, "feed_late", LATE)
    observe(alerting, "run_failed", [STOPPED])
    observe(alerting, "feed_late", [])
    assert place.titles == [
        "A feed is late, missing or incomplete (2)",
        "A run failed",
        "over: A feed is late, missing or incomplete (2)",
    ]
    assert all(cause.says in place.messages[0]["message"] for cause in LATE)


def test_only_what_was_judged_is_over(alerting: Settings, place: Receiver) -> None:
    observe(alerting, "feed_late", LATE)
    observe(alerting, "feed_late", [], judged=lambda about: about == "qm")
    assert [alert.about for alert in known(alerting)] == ["search"]
    assert "QM" in place.messages[1]["message"]
    assert "Search" not in place.messages[1]["message"]


def test_what_cannot_be_sent_is_a_warning_and_is_tried_again(alerting: Settings, place: Receiver) -> None:
    place.status = 500
    (warning,) = observe(alerting, "run_failed", [STOPPED])
    assert warning.startswith("an alert could not be sent, and is tried again: json://127.0.0.1:")
    assert "pa55word" not in warning
    assert known(alerting)[0].untold == 1
    place.status = 200
    assert observe(alerting, "run_failed", [STOPPED]) == []
    assert deliver_all(alerting) == []
    assert place.titles == ["A run failed"]


def test_what_is_over_before_it_could_be_told_is_told_in_one_message(alerting: Settings, place: Receiver) -> None:
    place.status = 500
    observe(alerting, "run_failed", [STOPPED])
    assert observe(alerting, "run_failed", []) != []
    place.status = 200
    assert deliver_all(alerting) == []
    assert place.titles == ["over: A run failed"]
    assert "(from " in place.messages[0]["message"]


def test_of_two_places_only_the_one_that_failed_is_tried_again(
    settings: Settings, place: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as other:
        monkeypatch.setenv("AUDIT_ALERT_TO", f"{place.url}, {other.url}")
        both = load_settings()
        other.status = 503
        assert len(observe(both, "run_failed", [STOPPED])) == 1
        other.status = 200
        assert observe(both, "run_failed", [STOPPED]) == []
        assert (place.titles, other.titles) == (["A run failed"], ["A run failed"])


def test_a_place_whose_url_is_corrected_is_told_what_is_still_wrong(
    settings: Settings, place: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_ALERT_TO", "json://127.0.0.1:1/mistyped")
    assert len(observe(load_settings(), "run_failed", [STOPPED])) == 1
    monkeypatch.setenv("AUDIT_ALERT_TO", place.url)
    corrected = load_settings()
    # Nobody waits for the place that is named no more.
    assert known(corrected)[0].untold == 0
    for _ in range(2):
        assert observe(corrected, "run_failed", [STOPPED]) == []
    assert observe(corrected, "run_failed", []) == []
    assert place.titles == ["A run failed", "over: A run failed"]
    assert known(corrected) == []


def test_what_a_message_quotes_begins_no_line_of_its_own(alerting: Settings, place: Receiver) -> None:
    cause = Cause("integrity", "x", "raw: a\n\nFrom head office: all is well.\r\x1b[2K\u202eb is changed.")
    observe(alerting, "integrity", [cause])
    assert place.messages[0]["message"].count("\n\nFrom ") == 1
    assert not {"\x1b", "\r", "\u202e"} & set(place.messages[0]["message"])


def test_who_dies_while_sending_leaves_the_message_to_others(
    alerting: Settings, place: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (target,) = targets(alerting.alert_urls)
    found = home_book(alerting)
    found.note("run_failed", [STOPPED], lambda about: True, [target.key])
    assert len(found.claim(target.key)) == 1
    # As long as it may still be sending, nobody else does.
    assert deliver_all(alerting) == []
    assert place.messages == []
    _passes(monkeypatch, timedelta(minutes=3))
    assert deliver_all(alerting) == []
    assert place.titles == ["A run failed"]


def test_processes_that_look_at_once_tell_it_once(alerting: Settings, place: Receiver) -> None:
    begin = threading.Barrier(4)

    def look() -> None:
        begin.wait()
        observe(alerting, "feed_late", LATE)

    looking = [threading.Thread(target=look) for _ in range(4)]
    for one in looking:
        one.start()
    for one in looking:
        one.join()
    assert sum(message["message"].count("Search lacks") for message in place.messages) == 1
    assert sum(message["message"].count("QM lacks") for message in place.messages) == 1


def test_the_book_forgets(alerting: Settings, place: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    place.status = 500
    observe(alerting, "run_failed", [STOPPED])
    observe(alerting, "run_failed", [])
    _passes(monkeypatch, timedelta(days=8))
    other = Cause("run_failed", "another", "Another run failed.")
    observe(alerting, "run_failed", [other])
    place.status = 200
    deliver_all(alerting)
    assert place.titles == ["A run failed"]
    assert "Another" in place.messages[0]["message"]


def test_homes_of_one_warehouse_share_what_is_about_it(
    alerting: Settings, place: Receiver, postgres: PostgresServer, tmp_path: Path
) -> None:
    catalog = postgres.new_database()
    homes = [load_settings(home=tmp_path / name, catalog=catalog, data_path=str(tmp_path / "d")) for name in "ab"]
    for home in homes:
        assert observe(home, "feed_late", LATE) == []
        assert observe(home, "run_failed", [STOPPED]) == []
    assert place.titles == ["A feed is late, missing or incomplete (2)", "A run failed", "A run failed"]
    assert observe(homes[1], "feed_late", []) == []
    assert [alert.kind for alert in known(homes[0])] == ["run_failed"]
    postgres.kill()
    (warning,) = observe(homes[0], "feed_late", LATE)
    assert warning.startswith("alerts could not be noted: the book of alerts, in the schema activity_audit_alerts")
    # What is about the home is told all the same.
    assert observe(homes[0], "run_failed", []) == []
    postgres.start()


def test_a_damaged_book_stops_nothing(alerting: Settings) -> None:
    alerting.home.mkdir()
    (alerting.home / "alerts.sqlite").write_bytes(b"no database" * 1000)
    (warning,) = observe(alerting, "run_failed", [STOPPED])
    assert "is damaged" in warning
    assert "is then told once more" in warning


def test_without_a_place_nothing_is_noted(settings: Settings) -> None:
    assert observe(settings, "run_failed", [STOPPED]) == []
    assert deliver_all(settings) == []
    assert not settings.home.exists()


def test_mail(settings: Settings, tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    report.write_text("a,b\n")
    with mail_server(tmp_path) as box:
        (place,) = targets([box.url])
        place.send(Message("Activity audit: <b>a</b>", "x < y\nsecond line", "warning", [report]))
        (mail,) = box.mails
    with pytest.raises(NotDeliveredError, match=f"mailto://127.0.0.1:{box.port} did not take the message: Conn"):
        place.send(Message("a", "b"))
    assert mail["Subject"] == "Activity audit: <b>a</b>"
    assert mail["To"] == "oncall@example.org"
    (body,) = [part for part in mail.walk() if part.get_content_type() == "text/plain"]
    assert body.get_content().split("\n")[:2] == ["x < y", "second line"]
    (attached,) = [part for part in mail.walk() if part.get_filename() == "report.csv"]
    assert attached.get_payload(decode=True) == b"a,b\n"


def test_secrets_are_in_no_message_and_no_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    slack = "slack://T0KENAAAA/T0KENBBBB/T0KENCCCCCCCCCCCCCCCCCCC/#general"
    for url in (slack, "json://user:s3cretword@host/s3cretpath?+X-Key=s3cretkey", "nothing://s3cretword/s3cretpath"):
        monkeypatch.setenv("AUDIT_ALERT_TO", url)
        (place,) = targets(load_settings().alert_urls)
        assert "s3cret" not in place.name + repr(load_settings())
        assert "T0KEN" not in place.name + repr(load_settings())
    with pytest.raises(NotDeliveredError, match=r"nothing://… is not a URL that can be sent to") as refused:
        Target("nothing://s3cretword/s3cretpath").send(Message("a", "b"))
    assert "s3cret" not in str(refused.value) + "".join(capfd.readouterr())
    monkeypatch.setenv("AUDIT_ALERT_TO", "s3cretword, json://host")
    with pytest.raises(SettingsError, match="AUDIT_ALERT_TO='…': must be URLs such as") as error:
        load_settings()
    assert "s3cret" not in str(error.value)


def test_places_in_a_file(settings: Settings, place: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "places"
    monkeypatch.setenv("AUDIT_ALERT_TO_FILE", str(file))
    with pytest.raises(SettingsError, match=r"AUDIT_ALERT_TO_FILE=.* cannot be read: No such file"):
        load_settings()
    file.write_text(f"# on call\n{place.url}\n\nmailto://mail.example.org?to=a@b.org,c@d.org\n")
    file.chmod(0o644)
    assert load_settings().alert_urls == [place.url, "mailto://mail.example.org?to=a@b.org,c@d.org"]
    done = said(settings, "alert", "list")
    assert f"every user of this machine can read {file}" in done.stderr


def test_the_command(alerting: Settings, place: Receiver) -> None:
    assert "No alert is open." in said(alerting, "alert", "list").stdout
    assert "json://127.0.0.1" in said(alerting, "alert", "test").stdout
    assert place.titles == ["a test"]
    place.status = 500
    failed = said(alerting, "alert", "test", exit_code=1)
    assert "Error: json://127.0.0.1" in failed.stderr
    observe(alerting, "run_failed", [STOPPED])
    assert STOPPED.says in said(alerting, "alert", "list").stdout
    assert '"untold": 1' in said(alerting, "alert", "list", "--output", "json").stdout
    none = said(alerting, "alert", "test", exit_code=1, AUDIT_ALERT_TO="")
    assert "no place is set: AUDIT_ALERT_TO" in none.stderr
