"""Signing in and out: the one-time link, the form, and the way to an OpenID provider and back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from report.access.access import LOCAL_USER, Access
from report.access.permissions import public
from report.access.sessions import Session
from report.access.tokens import TokenRefusedError
from report.access.users import TooManyFailuresError
from report.trail import Trail

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
        from report.web.pages.messages import message

        if request.state.user:
            return RedirectResponse("/", 303)
        why, _, what_to_do = str(error).partition("; ")
        return message(request, 403, "This link opens nothing", _sentence(why), _sentence(what_to_do))
    return _signed_in(request, LOCAL_USER, (), "/")


@public
async def login(request: Request) -> Response:
    """The form, or the way to the provider."""
    from report.access.permissions import NotSignedInError

    access = _access(request)
    wanted = safe_path(request.query_params.get("next", "/"))
    if request.state.user and access.mode != "users":
        return RedirectResponse(wanted, 303)
    if access.provider:
        session, cookie = _anonymous(request)
        response: Response = RedirectResponse(await access.provider.begin(session.data, wanted), 303)
        if cookie:
            access.tell(response, cookie)
        return response
    if access.mode != "users":
        raise NotSignedInError
    return _form(request, wanted, "")


@public
async def check_password(request: Request) -> Response:
    """What the form sent."""
    from starlette.concurrency import run_in_threadpool

    access = _access(request)
    form = await request.form()
    name, password, wanted = (str(form.get(field, "")) for field in ("name", "password", "next"))
    if not access.users:
        return RedirectResponse("/login", 303)

    def check() -> Response:
        assert access.users is not None
        try:
            user = access.users.sign_in(name[:200], password)
        except TooManyFailuresError as error:
            return _form(request, wanted, _sentence(str(error)), name, 429)
        if user is None:
            _trail(request).signed_in(name[:200], ok=False)
            return _form(request, wanted, _WRONG, name, 401)
        return _signed_in(request, user.name, (), safe_path(wanted))

    return await run_in_threadpool(check)


@public
async def callback(request: Request) -> Response:
    """Back from the provider."""
    from starlette.concurrency import run_in_threadpool

    from report.access.oidc import SignInFailedError

    access = _access(request)
    session: Session | None = request.state.session
    if not access.provider:
        return RedirectResponse("/login", 303)
    try:
        name, roles, wanted = await access.provider.finish(session.data if session else {}, str(request.url.query))
    except SignInFailedError as error:
        from report.web.pages.messages import message

        return message(request, 403, "Signing in failed", _sentence(str(error)), "Open the report and sign in again.")
    return await run_in_threadpool(_signed_in, request, name, roles, wanted)


@public
def logout(request: Request) -> Response:
    """The end of the session."""
    from report.web.pages.messages import message

    access = _access(request)
    if request.state.session:
        access.sessions.end(request.state.session)
    if request.state.user:
        _trail(request).signed_out(request.state.user)
    request.state.user = None
    what_to_do = "Start `audit report` again for a new link." if access.mode == "token" else "Open the report again."
    response = message(request, 200, "You are signed out", "The session is ended, with its exports.", what_to_do)
    access.tell(response, "")
    return response


@public
def alive(request: Request) -> Response:
    """For a load balancer: the server answers. It says nothing of the data."""
    return PlainTextResponse("alive\n")


def safe_path(wanted: str) -> str:
    """The path to go on to after signing in, if it is one of this server; else the report's first page."""
    is_ours = wanted.startswith("/") and wanted[1:2] not in ("/", "\\") and wanted.isprintable()
    return wanted if is_ours else "/"


def _form(request: Request, wanted: str, error: str, name: str = "", status: int = 200) -> Response:
    from report.web.templating import render

    session, cookie = _anonymous(request)
    request.state.csrf = session.csrf
    response = render(request, "login.html", status, error=error, next=wanted, name=name)
    if cookie:
        _access(request).tell(response, cookie)
    return response


def _anonymous(request: Request) -> tuple[Session, str | None]:
    """The browser's session, and the id to tell it where it has none yet."""
    if request.state.session:
        return request.state.session, None
    token, session = _access(request).sessions.begin()
    return session, token


def _signed_in(request: Request, name: str, roles: tuple[str, ...], wanted: str) -> Response:
    access = _access(request)
    _trail(request).signed_in(name, ok=True)
    response = RedirectResponse(wanted, 303)
    access.sign_in(response, request.state.session, name, roles)
    return response


def _access(request: Request) -> Access:
    return request.app.state.access


def _trail(request: Request) -> Trail:
    return request.app.state.trail


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
