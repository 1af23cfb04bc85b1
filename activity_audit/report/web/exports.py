"""Exports as the page asks for them: begin one, see how far it is, fetch its file, stop it."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from activity_audit.report.access.permissions import EXPORT, requires
from activity_audit.report.export.job import ExportRefusedError, Job
from activity_audit.report.export.jobs import ExportJobs
from activity_audit.report.web.pages.asking import moment_of, number_of, state_of

_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
}


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
    """Begin to write what the URL asks for, as of its `snapshot` and `now`.

    The form's `format` is a suffix without its dot.
    """
    state = state_of(request, ("snapshot", "now"))
    filters = state.filters(await moment_of(request, state))
    snapshot = number_of(request, "snapshot")
    suffix = f".{(await request.form()).get('format', '')}"
    state = request.app.state
    try:
        job = _jobs(request).start(
            request.state.session.key, request.state.user, state.trail, filters, suffix, snapshot
        )  # fmt: skip
    except ExportRefusedError as error:
        raise HTTPException(409, str(error)) from None
    return _answer(request, job, 201)


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
    if job is None:
        raise HTTPException(404, "this session has no such export; exports end with the session, or were removed")
    return job


def _jobs(request: Request) -> ExportJobs:
    return request.app.state.exports


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")
