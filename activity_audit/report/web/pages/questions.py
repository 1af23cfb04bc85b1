"""Alerts on questions: the questions, what they found, the form to ask one of a saved report, and stopping them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from activity_audit.base.hours import parse_time, unit_end
from activity_audit.report.access.permissions import EDIT, requires
from activity_audit.report.delivery import questions, standing
from activity_audit.report.delivery.book import Book, Finding, Question
from activity_audit.report.delivery.standing import StoppedError, of_period
from activity_audit.report.delivery.subscribe import question as asked_by
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.saved.reports import SavedReportError
from activity_audit.report.texts import decode, value_text
from activity_audit.report.trail import QUESTION
from activity_audit.report.web.pages.deliveries import changed, chosen_report, refusing
from activity_audit.report.web.pages.layout import fields_of
from activity_audit.report.web.pages.query_threads import ask
from activity_audit.report.web.templating import TITLES, render
from activity_audit.report.web.urls import BadLinkError, State

PATH = "/questions"
_MOST_SHOWN = 50


@dataclass(frozen=True)
class ShownFinding:
    """A finding: its window, its value in words, how many events, and where they are; None if nobody can say."""

    window: str
    value: str
    count: int
    url: str | None


@dataclass(frozen=True)
class ShownQuestion:
    """A question and its newest findings; `more` is how many others there are."""

    question: Question
    threshold: str
    findings: list[ShownFinding]
    more: int


def routes() -> list[BaseRoute]:
    """All of it."""
    return [
        Route(PATH, page, methods=["GET"]),
        Route(PATH, begin, methods=["POST"]),
        Route(f"{PATH}/{{id}}/{{change}}", change, methods=["POST"]),
    ]


@requires(EDIT)
def page(request: Request) -> Response:
    """The list; with the id of a saved report as `report`, the form to ask a question of it too."""
    settings, user = request.app.state.settings, request.state.user
    book = Book(settings)
    standing.seen(book, user)
    found = [_shown(request, book, one) for one in book.find(Question) if not user.is_masked or one.owner == user.name]
    return render(
        request,
        "questions.html",
        report=chosen_report(request),
        found=sorted(found, key=lambda one: one.question.report_name.casefold()),
        fields={name: TITLES[name] for name in fields_of(request, questions.FIELDS)},
        windows=questions.WINDOWS,
        comparisons=questions.COMPARISONS,
        titles=TITLES,
        has_places=bool(settings.alert_urls),
    )


def _shown(request: Request, book: Book, question: Question) -> ShownQuestion:
    found = book.find(Finding, "question_id = ? order by window_from desc, event_count desc", [question.id])
    try:
        state = standing.asked(request.app.state.settings, question, request.state.user)[1]
    except (StoppedError, BadLinkError, SavedReportError):
        state = None
    shown = [_shown_finding(question, state, one) for one in found[:_MOST_SHOWN]]
    return ShownQuestion(question, questions.threshold_text(question), shown, len(found) - len(shown))


def _shown_finding(question: Question, state: State | None, finding: Finding) -> ShownFinding:
    value = decode(finding.value) if question.field else None
    start = parse_time(finding.window_from)
    url = None
    if state:
        state = of_period(state, start, unit_end(start, question.every))
        if question.field:
            state = replace(state, path=()).with_list(question.field, (value,))
        url = state.url()
    named = value_text(value) if question.field else ""
    return ShownFinding(finding.window_from[: 16 if question.every == "hour" else 10], named, finding.event_count, url)


@requires(EDIT)
async def begin(request: Request) -> Response:
    """Ask a question of the saved report of the form: `field`, `every`, `comparison`, `number`."""
    form = await request.form()
    hours, snapshot = await ask(request, _now)

    def work() -> None:
        settings, user = request.app.state.settings, request.state.user
        made = asked_by(settings, user, form)
        text = f"{made.report_name}: {questions.threshold_text(made)}"
        request.app.state.trail.changed_standing(user, QUESTION, "Asked", made.id, text)
        questions.begin(Book(settings), made, hours, snapshot)

    await refusing(work)
    return RedirectResponse(PATH, 303)


@requires(EDIT)
async def change(request: Request) -> Response:
    """Stop one, start it again, or remove it with its findings."""
    hours, snapshot = await ask(request, _now)

    def started(one: Question) -> None:
        questions.again(Book(request.app.state.settings), one, hours, snapshot)

    await changed(request, Question, QUESTION, started)
    return RedirectResponse(PATH, 303)


def _now(query: Query) -> tuple[dict[str, int], int]:
    return questions.hours_of(query.rows), query.snapshot.snapshot_id
