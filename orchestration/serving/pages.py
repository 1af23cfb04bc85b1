"""Dagster's pages at a Unix socket: `python -m orchestration.serving.pages WORKSPACE SOCKET`.

Only the door reaches the socket. What the door has refused is refused here as well, at the place where Dagster would
execute it: no operation changes anything that does not come by POST with the door's word.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse

from activity_audit.report.dagster_door import MAY_LAUNCH, PATH
from activity_audit.report.dagster_door.operations import BadOperationError, changes


class _Workspace(WorkspaceProcessContext):
    """Dagster's own permissions follow the door's word, so that its pages offer nobody what would be refused."""

    def create_request_context(self, source: object | None = None) -> WorkspaceRequestContext:
        """See Dagster."""
        return WorkspaceRequestContext(
            instance=self.instance,
            current_workspace=self.get_current_workspace(),
            process_context=self,
            version=self.version,
            source=source,
            read_only=not (isinstance(source, HTTPConnection) and _may_launch(source)),
        )


class _Pages(DagsterWebserver[_Workspace, WorkspaceRequestContext]):
    async def execute_graphql_request(
        self, request: Request, query: str, variables: dict[str, Any] | None, operation_name: str | None
    ) -> JSONResponse:
        """See Dagster."""
        try:
            changed = changes(query)
        except BadOperationError as error:
            return JSONResponse({"data": None, "errors": [{"message": str(error)}]}, 400)
        if changed and not (request.method == "POST" and _may_launch(request)):
            return JSONResponse({"data": None, "errors": [{"message": "you may not change anything here"}]}, 403)
        return await super().execute_graphql_request(request, query, variables, operation_name)


def _may_launch(connection: HTTPConnection) -> bool:
    return MAY_LAUNCH in connection.headers


def serve(workspace: Path, at: Path) -> None:
    """Serve until SIGTERM or SIGINT; `workspace` is the file that says where the code location is."""
    with (
        socket.socket(socket.AF_UNIX) as listening,
        DagsterInstance.get() as instance,
        _Workspace(instance, WorkspaceFileTarget([str(workspace)]), version=__version__) as context,
    ):
        app = _Pages(context, PATH, live_data_poll_rate=2000).create_asgi_app()
        listening.bind(str(at))
        at.chmod(0o600)
        config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
