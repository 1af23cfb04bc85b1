"""Signing in and out: the one-time link, the form, and the way to an OpenID provider and back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from activity_audit.report.access.access import Access
from activity_audit.report.access.attempts import BusyError
from activity_audit.report.access.permissions import LOCAL_USER, public
from activity_audit.report.access.tokens import TokenRefusedError
from activity_audit.report.access.users import TooManyFailuresError
from activity_audit.report.trail import Trail

LIVE, READY = "/health/live", "/health/ready"
_LONGEST_NAME = 200
_WRONG = "The name or the password is wrong."


def routes() -> list[BaseRoute]:
    """What is there before one has signed in, and to end it."""
    return [
        Route("/open", open_link),
        Route("/login", login, methods=["GET"]),
        Route("/login", check_password, methods=["POST"]),
        Route("/login/callback", callback),
        Route("/logout", logout, methods=["POST"]),
        Route("/alive", alive),
        Route(LIVE, alive),
        Route(READY, ready),
    ]


@public
def open_link(request: Request) -> Response:
    """The link that `audit report` printed; it works once."""
    access = _access(request)
    if request.method == "HEAD":
        # What only looks whether the link leads somewhere must not use it up.
        return Response()
    if access.mode != "token":
        return RedirectResponse("/login", 303)
    try:
        access.tokens.use(request.query_params.get("token", ""))
    except TokenRefusedError as error:
        from activity_audit.report.web.pages.messages import message

        if request.state.user:
            return RedirectResponse("/", 303)
        why, _, what_to_do = str(error).partition("; ")
        return message(request, 403, "This link opens nothing", _sentence(why), _sentence(what_to_do))
    return _signed_in(request, LOCAL_USER, (), "/")


@public
async def login(request: Request) -> Response:
    """The form, or the way to the provider."""
    from activity_audit.report.access.oidc import SignInFailedError
    from activity_audit.report.access.permissions import NotSignedInError

    access = _access(request)
    wanted = safe_path(request.query_params.get("next", "/"))
    if request.state.user and access.mode != "users":
        return RedirectResponse(wanted, 303)
    if access.provider:
        pending, _ = access.begin_sign_in(access.pending(request))
        try:
            response: Response = RedirectResponse(await access.provider.begin(pending, wanted), 303)
        except SignInFailedError as error:
            return _failed(request, error, 503)
        access.tell_pending(response, pending)
        return response
    if access.mode != "users":
        raise NotSignedInError
    return _form(request, wanted, "")


@public
async def check_password(request: Request) -> Response:
    """What the form sent."""
    access, users = _access(request), _access(request).users
    form = await request.form()
    name, password, wanted = (str(form.get(field, "")) for field in ("name", "password", "next"))
    name = name[:_LONGEST_NAME]
    if not users:
        return RedirectResponse("/login", 303)

    def check() -> Response:
        try:
            user = users.sign_in(name, password)
        except TooManyFailuresError as error:
            return _form(request, wanted, _sentence(str(error)), name, 429)
        if user is None:
            _trail(request).signed_in(name, ok=False)
            return _form(request, wanted, _WRONG, name, 401)
        return _signed_in(request, user.name, (), safe_path(wanted))

    try:
        return await access.attempts.run(_client(request), check)
    except BusyError as error:
        response = _form(request, wanted, _sentence(str(error)), name, error.status)
        response.headers["retry-after"] = str(error.wait)
        return response


@public
async def callback(request: Request) -> Response:
    """Back from the provider."""
    from starlette.concurrency import run_in_threadpool

    from activity_audit.report.access.oidc import SignInFailedError

    access, pending = _access(request), _access(request).pending(request)
    if not access.provider:
        return RedirectResponse("/login", 303)
    try:
        with access.attempts.place(_client(request)):
            name, roles, wanted = await access.provider.finish(pending, str(request.url.query))
    except BusyError as error:
        response = _failed(request, error, error.status)
        response.headers["retry-after"] = str(error.wait)
    except SignInFailedError as error:
        response = _failed(request, error, 403)
    else:
        response = await run_in_threadpool(_signed_in, request, name, roles, wanted)
    if pending:
        # Each way back is good once; those of other tabs stay.
        access.tell_pending(response, pending if pending.ways else None)
    return response


@public
async def logout(request: Request) -> Response:
    """The end of the session, or of all that the user has, where the form says `everywhere`."""
    from starlette.concurrency import run_in_threadpool

    is_everywhere = bool((await request.form()).get("everywhere"))
    return await run_in_threadpool(_signed_out, request, is_everywhere=is_everywhere)


def _signed_out(request: Request, *, is_everywhere: bool) -> Response:
    from activity_audit.report.web.pages.messages import message

    access = _access(request)
    if request.state.session:
        if is_everywhere:
            access.sessions.end_all_of(request.state.session.name)
        access.sessions.end(request.state.session)
    if request.state.user:
        _trail(request).signed_out(request.state.user)
    request.state.user = None
    what_to_do = "Start `audit report` again for a new link." if access.mode == "token" else "Open the report again."
    response = message(request, 200, "You are signed out", "The session is ended, with its exports.", what_to_do)
    access.tell(response, "")
    return response


@public
async def alive(request: Request) -> Response:
    """For a load balancer: the server answers, whatever its threads are busy with. It says nothing of the data."""
    return PlainTextResponse("alive\n")


@public
def ready(request: Request) -> Response:
    """For a load balancer: whether the warehouse can be read. It says nothing of the data."""
    status, kind, content = request.app.state.watched.answer(READY)
    return Response(content, status, media_type=kind)


def safe_path(wanted: str) -> str:
    """The path to go on to after signing in, if it is one of this server; else the report's first page."""
    is_ours = wanted.startswith("/") and wanted[1:2] not in ("/", "\\") and wanted.isprintable()
    return wanted if is_ours else "/"


def _failed(request: Request, error: Exception, status: int) -> Response:
    from activity_audit.report.web.pages.messages import message

    again = "Open the report and sign in again."
    return message(request, status, "Signing in failed", _sentence(str(error)), again)


def _form(request: Request, wanted: str, error: str, name: str = "", status: int = 200) -> Response:
    from activity_audit.report.web.templating import render

    access = _access(request)
    if request.state.session:
        return render(request, "login.html", status, error=error, next=wanted, name=name)
    pending, request.state.csrf = access.begin_sign_in(access.pending(request))
    response = render(request, "login.html", status, error=error, next=wanted, name=name)
    access.tell_pending(response, pending)
    return response


def _signed_in(request: Request, name: str, roles: tuple[str, ...], wanted: str) -> Response:
    access = _access(request)
    _trail(request).signed_in(name, ok=True)
    response = RedirectResponse(wanted, 303)
    access.sign_in(response, request.state.session, name, roles)
    if not access.provider:
        access.tell_pending(response, None)
    return response


def _client(request: Request) -> str:
    """Whom attempts are counted for: the address that asks, and the one that a proxy before the report says.

    A reader who comes without a proxy can say any, and so pass for many; what all may try together still holds.
    """
    said = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:100]
    return f"{request.client.host if request.client else ''} {said}"


def _access(request: Request) -> Access:
    return request.app.state.access


def _trail(request: Request) -> Trail:
    return request.app.state.trail


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
