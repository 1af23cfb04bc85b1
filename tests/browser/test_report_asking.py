"""A query of somebody who has gone ends; nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from activity_audit.report.access.permissions import User
from activity_audit.report.queries.warehouse import Query, QueryStoppedError, Warehouse
from activity_audit.report.web.pages.query_threads import ask
from activity_audit.settings.core import Settings

_READER = User("reader", frozenset())
_FOR_HOURS = "select count(*) from range(10000000) a, range(10000000) b where hash(a.range, b.range) = 1"


class _Asked:
    """A server with one page whose query takes hours, and what became of its queries."""

    def __init__(self, settings: Settings) -> None:
        self.begun = threading.Event()
        self.ended: list[BaseException] = []
        self.over = threading.Event()
        app = Starlette(routes=[Route("/slow", self.slow), Route("/fast", self.fast)])
        app.state.warehouse = Warehouse(settings)
        app.state.under_way = Counter[str]()
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        self.thread = threading.Thread(target=self.server.run)

    async def slow(self, request: Request) -> Response:
        request.state.user = _READER

        def work(query: Query) -> None:
            self.begun.set()
            query.rows(_FOR_HOURS)

        try:
            await ask(request, work)
        except QueryStoppedError as error:
            self.ended.append(error)
            self.over.set()
        return PlainTextResponse("")

    async def fast(self, request: Request) -> Response:
        request.state.user = _READER
        return PlainTextResponse(str(await ask(request, lambda query: query.rows("select 1")[0][0])))

    @property
    def url(self) -> str:
        while not self.server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture
def asked(home: Settings) -> Iterator[_Asked]:
    made = _Asked(home)
    made.thread.start()
    yield made
    made.server.should_exit = True
    made.thread.join(30)


def test_a_query_ends_when_its_reader_has_gone(asked: _Asked) -> None:
    assert httpx.get(f"{asked.url}/fast", timeout=30).text == "1"
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{asked.url}/slow", timeout=httpx.Timeout(30, read=1))
    assert asked.begun.is_set()
    assert asked.over.wait(10), "the query went on"
    assert "cancelled" in str(asked.ended[0])
    assert httpx.get(f"{asked.url}/fast", timeout=30).text == "1"
