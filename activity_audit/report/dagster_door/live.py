"""Carries a web socket, over which Dagster's pages see a run's events as they come, to Dagster's server and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from activity_audit.report.dagster_door import GRAPHQL
from activity_audit.report.dagster_door.operations import BadOperationError, changes

# The protocol of Dagster's pages, and what a message of it begins an operation with.
_PROTOCOL = Subprotocol("graphql-ws")
_START = "start"
_REFUSED = 1008
_AWAY = 1013
# How often it is asked whether the user may still look, in seconds.
_LOOK_EVERY = 5.0


async def carry(reader: WebSocket, socket: Path, may_look: Callable[[], bool]) -> None:
    """Carry messages both ways until one side ends, or the user may not look any more. Nothing can be changed by it."""
    if _PROTOCOL not in reader.scope.get("subprotocols", []):
        await reader.close(_REFUSED)
        return
    try:
        async with unix_connect(
            str(socket), f"ws://dagster{GRAPHQL}", subprotocols=[_PROTOCOL], max_size=None, compression=None
        ) as dagster:
            await reader.accept(_PROTOCOL)
            code = await _carry(reader, dagster, may_look)
    except (OSError, WebSocketException):
        code = _AWAY
    await _close(reader, code)


async def _carry(reader: WebSocket, dagster: ClientConnection, may_look: Callable[[], bool]) -> int:
    async def up() -> int:
        async for text in reader.iter_text():
            if not _only_looks(text):
                return _REFUSED
            await dagster.send(text)
        return 1000

    async def down() -> int:
        async for text in dagster:
            await reader.send_text(text if isinstance(text, str) else text.decode())
        return 1000

    async def watch() -> int:
        while await asyncio.to_thread(may_look):
            await asyncio.sleep(_LOOK_EVERY)
        return _REFUSED

    tasks = [asyncio.create_task(part()) for part in (up, down, watch)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    except WebSocketDisconnect:
        return 1000
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _only_looks(text: str) -> bool:
    try:
        message: Any = json.loads(text)
        if not isinstance(message, dict):
            return False
        return message.get("type") != _START or not changes(message["payload"]["query"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BadOperationError):
        return False


async def _close(reader: WebSocket, code: int) -> None:
    try:
        await reader.close(code)
    except (RuntimeError, WebSocketDisconnect):
        # The reader has gone before.
        return
