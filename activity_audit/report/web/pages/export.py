"""The export dialog, and the exports that it starts: their progress, their files, removing them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from activity_audit.base.hours import iso
from activity_audit.report import periods
from activity_audit.report.access.permissions import EXPORT, requires
from activity_audit.report.export.job import ExportRefusedError, Job
from activity_audit.report.export.jobs import ExportJobs
from activity_audit.report.export.layout import AS_EVER, Layout
from activity_audit.report.export.pdf_file import MOST_ROWS
from activity_audit.report.queries import events
from activity_audit.report.queries.lists import Application, applications
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.texts import count_text
from activity_audit.report.titles import TITLES
from activity_audit.report.web import audited
from activity_audit.report.web.pages.groups import groups_of
from activity_audit.report.web.pages.layout import chips, prompt_text
from activity_audit.report.web.pages.query_threads import ask, moment_of, number_of, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import FROM_TO, BadLinkError, State
from activity_audit.report.web.views import VIEWS, view_of

_OTHERS = ("view", "snapshot", "now")
# What each is good for.
_PDF = "to read and pass on: counts, charts, and the list of "
_FORMATS = (
    ("csv", "CSV", "for any program; formulas are escaped"),
    ("xlsx", "XLSX", "for Excel, with a sheet about it"),
    ("parquet", "Parquet", "exactly what the warehouse has; use it for evidence"),
)
# What a form may say beside the format; the first of each is meant where it says nothing.
_CHOICES = {"columns": ("shown", "all"), "order": ("shown", "newest")}
_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
}


@requires(EXPORT)
@audited.run
async def page(request: Request) -> Response:
    """What the file will hold, and what of it and which formats there are to choose from."""
    state, view = state_of(request, _OTHERS), view_of(request.query_params)
    now = await moment_of(request, state)
    filters = state.filters(now)

    def work(query: Query) -> tuple[State, int, int, list[Application]]:
        named = state.named(query.labels.of)
        return named, events.count(query, filters), query.snapshot.snapshot_id, applications(query)

    state, total, snapshot, known = await ask(request, work, number_of(request, "snapshot"))
    shown = Layout.of(state)
    grouped = groups_of(state, filters) if view == "groups" else None
    return render(
        request,
        "export.html",
        state=state,
        view=view,
        shown=shown,
        usual=AS_EVER,
        shown_columns=[TITLES[field] for field in shown.columns],
        grouped=grouped.says if grouped else "",
        total=total,
        snapshot=snapshot,
        now=iso(now),
        jobs=request.app.state.exports.of_session(request.state.session.key),
        formats=(*_FORMATS, ("pdf", "PDF", _PDF + _listed(total))),
        about=prompt_text(state, filters, known),
        chips=chips(state, VIEWS[view]),
    )


def _listed(total: int) -> str:
    """Which of so many events a PDF lists."""
    if total <= MOST_ROWS:
        return "all of them"
    return f"the first {count_text(MOST_ROWS)} of these {count_text(total)} events only"


def routes() -> list[BaseRoute]:
    """All of it below `/export`."""
    return [
        Route("/export", begin, methods=["POST"]),
        Route("/export/{job}", progress, methods=["GET"]),
        Route("/export/{job}", remove, methods=["DELETE"]),
        Route("/export/{job}/stop", remove, methods=["POST"]),
        Route("/export/{job}/file", file, methods=["GET"]),
        Route("/export/{job}/about", about, methods=["GET"]),
    ]


@requires(EXPORT)
async def begin(request: Request) -> Response:
    """Begin to write what the URL asks for, as of its `snapshot` and `now`, as its `view` shows it.

    The form's `format` is a suffix without its dot; `what` is `groups`, or the events. `columns` may be `all` and
    `order` `newest`: then the file has all nine columns, the newest event first.
    """
    state, view = state_of(request, _OTHERS), view_of(request.query_params)
    now, form = await moment_of(request, state), await request.form()
    for name, texts in _CHOICES.items():
        if (text := form.get(name, "")) not in ("", *texts):
            raise BadLinkError(f"“{name}” of an export is {' or '.join(texts)}, not “{text}”")
    link = request.app.state.access.base_url + fixed(state, now).url(VIEWS[view])
    layout = Layout.of(state, link)
    if form.get("columns") == "all":
        layout = replace(layout, columns=AS_EVER.columns)
    if form.get("order") == "newest":
        layout = replace(layout, order=AS_EVER.order)
    filters, snapshot, suffix = state.filters(now), number_of(request, "snapshot"), f".{form.get('format', '')}"
    groups = groups_of(state, filters) if form.get("what") == "groups" else None
    session, user, trail = request.state.session.key, request.state.user, request.app.state.trail
    try:
        job = _jobs(request).start(session, user, trail, filters, suffix, snapshot, groups, layout)
    except ExportRefusedError as error:
        raise HTTPException(409, str(error)) from None
    return _answer(request, job, 201)


def fixed(state: State, now: datetime) -> State:
    """The state with the days that its period has `now`, so that its link leads to the same events on another day."""
    if state.period == FROM_TO:
        return state
    start, end = periods.period(state.period, now)
    zoom = state.zoom or (((start, end),) if state.period in periods.OF_HOURS else ())
    last = (end - timedelta(microseconds=1)).date()
    return replace(state, period=FROM_TO, first_day=start.date(), last_day=last, zoom=zoom)


@requires(EXPORT)
def progress(request: Request) -> Response:
    """How far it is."""
    return _answer(request, _job(request))


@requires(EXPORT)
def file(request: Request) -> Response:
    """The file, for download; that it was fetched is on record before the first byte goes out."""
    job = _job(request)
    if job.state != "done":
        raise HTTPException(409, job.error or f"the export is {job.state}; its file can be downloaded when it is done")
    request.app.state.trail.changed_export(request.state.user, job.id, "Downloaded")
    return FileResponse(job.file, media_type=_TYPES.get(job.suffix), filename=job.name)


@requires(EXPORT)
def about(request: Request) -> Response:
    """What the file is about, which a CSV file has no place for."""
    job = _job(request)
    if job.about is None:
        raise HTTPException(409, "the export is not done")
    name = f"{job.name}.about.json"
    return JSONResponse(job.about.as_dict(), headers={"Content-Disposition": f'attachment; filename="{name}"'})


@requires(EXPORT)
def remove(request: Request) -> Response:
    """Stop it, or remove its file."""
    job = _job(request)
    _jobs(request).remove(request.state.session.key, job.id)
    if _wants_json(request):
        return JSONResponse(job.as_dict())
    return RedirectResponse("/", 303)


def _answer(request: Request, job: Job, status: int = 200) -> Response:
    if _wants_json(request):
        return JSONResponse(job.as_dict(), status, headers={"Location": f"/export/{job.id}"})
    if status == 201:
        return RedirectResponse(f"/export/{job.id}", 303)
    from activity_audit.report.web.templating import render

    return render(request, "export_job.html", job=job)


def _job(request: Request) -> Job:
    job = _jobs(request).find(request.state.session.key, request.path_params["job"])
    # One whose roles were changed meanwhile may have begun it when nothing was masked.
    if job is None or (request.state.user.is_masked and not job.user.is_masked):
        raise HTTPException(404, "this session has no such export; exports end with the session, or were removed")
    return job


def _jobs(request: Request) -> ExportJobs:
    return request.app.state.exports


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")
