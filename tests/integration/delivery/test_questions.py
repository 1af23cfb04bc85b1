"""Questions are asked of each new snapshot, of the hours that changed; each finding is told once."""

from __future__ import annotations

from typing import Any

import pytest

from activity_audit.report.access.permissions import PERMISSIONS, User
from activity_audit.report.delivery import questions, subscribe
from activity_audit.report.delivery.book import Book, Finding, Question
from activity_audit.report.delivery.standing import StandingError
from activity_audit.report.saved.book import SavedReports
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake
from tests.integration.alerts_support import receiver
from tests.integration.support import begin, deliver, event, lines, run

LOCAL = User("local", frozenset(PERMISSIONS))
ANN, ZOE = "ann@x.example", "zoe@x.example"


def _logins(hour: int, counts: dict[str, int], minute: str = "15") -> list[dict[str, Any]]:
    time = f"2026-05-01T{10 + hour}:{minute}:00Z"
    return [
        event(f"{who}-{hour}-{minute}-{n}", triggeredBy=who, outcome="FAILURE", eventTime=time)
        for who, number in counts.items()
        for n in range(number)
    ]


def _ask(settings: Settings, name: str, query: str, **form: str) -> Question:
    report = SavedReports(settings.report_dir / "saved.json").save(name, "local", query)
    said = {"report": report.id, "field": "", "every": "hour", "comparison": "more", "number": "0"} | form
    made = subscribe.question(settings, LOCAL, said)
    with lake.reader(settings) as connection:
        hours = questions.hours_of(lambda sql: connection.execute(sql).fetchall())
        questions.begin(Book(settings), made, hours, lake.snapshot(connection).snapshot_id)
    return made


def _found(settings: Settings, question: Question) -> list[tuple[str, str, int]]:
    rows = Book(settings).find(Finding, "question_id = ?", [question.id])
    return [(one.window_from, one.value, one.event_count) for one in rows]


def test_each_finding_is_told_once_and_late_events_raise_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as place:
        monkeypatch.setenv("AUDIT_ALERT_TO", place.url)
        settings = load_settings()
        # What was there before somebody asked is not told.
        begin(settings, *_logins(0, {ANN: 9}))
        each = _ask(settings, "Failed logins", "outcome=FAILURE", field="triggered_by", number="3")
        by_day = _ask(settings, "Of a day", "outcome=FAILURE&period=last-hour", every="day", number="14")
        never = _ask(settings, "Deletes", "activity=Delete", comparison="least", number="1")
        assert questions.look(settings) == []
        assert not questions.is_new(settings)
        deliver(settings, lines(_logins(1, {ANN: 4, ZOE: 3})), hour=1)
        run(settings, 1)
        assert questions.is_new(settings)
        assert questions.look(settings) == []
        assert _found(settings, each) == [("2026-05-01T11:00:00Z", ANN, 4)]
        assert _found(settings, by_day) == [("2026-05-01T00:00:00Z", "", 16)]
        assert _found(settings, never) == []
        (told,) = place.messages
        assert place.titles == ["A question found something (2)"]
        assert (
            "“Failed logins” (more than 3 events of one Triggered By in an hour): 4 in the hour 2026-05"
            in (told["message"])
        )
        # It goes to other systems, so it does not say whom it is about.
        assert "ann@" not in told["message"]
        assert questions.look(settings) == []
        # Late events of the hour before: one more of zoe, and two of ann, who was told of already.
        deliver(settings, lines(_logins(1, {ANN: 2, ZOE: 1}, "45")), hour=2)
        run(settings, 2)
        assert questions.look(settings) == []
        assert _found(settings, each) == [("2026-05-01T11:00:00Z", ANN, 6), ("2026-05-01T11:00:00Z", ZOE, 4)]
        assert len(place.messages) == 2
        assert "4 in the hour" in place.messages[1]["message"]
        assert place.titles[1] == "A question found something"


def test_a_question_that_fails_is_told_and_asked_again_of_what_it_missed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(settings)
    each = _ask(settings, "All of one", "", field="triggered_by", number="1")
    deliver(settings, lines(_logins(1, {ANN: 2})), hour=1)
    run(settings, 1)
    with monkeypatch.context() as patch:
        patch.setattr(questions, "_TIME", 0.0)
        (warning,) = questions.look(settings)
        assert (
            warning == "The question “All of one” of local could not be answered: 1 windows are left for the next look"
        )
        # The sensor does not ask again before there is something new.
        assert not questions.is_new(settings)
    assert questions.look(settings) == []
    assert _found(settings, each) == [("2026-05-01T11:00:00Z", ANN, 2)]
    SavedReports(settings.report_dir / "saved.json").delete(each.report_id, "local")
    deliver(settings, lines(_logins(2, {ANN: 2})), hour=2)
    run(settings, 2)
    (warning,) = questions.look(settings)
    assert "stopped: the saved report “All of one” was deleted" in warning


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"field": "comments"}, "cannot be counted by"),
        ({"number": "many"}, "must be a whole number"),
        ({"every": "year"}, "“every” must be one of"),
        ({"comparison": "least"}, "at least 0 is always so"),
    ],
)
def test_what_is_refused(settings: Settings, form: dict[str, str], why: str) -> None:
    report = SavedReports(settings.report_dir / "saved.json").save("one", "local", "")
    said = {"report": report.id, "field": "", "every": "hour", "comparison": "more", "number": "0"} | form
    with pytest.raises(StandingError, match=why):
        subscribe.question(settings, LOCAL, said)
