"""The credentials with which DuckDB reads and writes the warehouse's files in object storage.

They are AWS's own (environment, profile, role), found by AWS's own library, and live as long as the connection.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

import duckdb

from activity_audit.base.sql_text import literal

_SCHEMES = ("s3://", "s3a://", "s3n://")
_DEFAULT_REGION = "us-east-1"


class ObjectStorageError(RuntimeError):
    """DuckDB does not take the credentials that AWS's environment has."""


def open_storage(connection: duckdb.DuckDBPyConnection, url: str) -> None:
    """Let a connection reach `url`, if that is S3; the extension httpfs is loaded.

    A secret that the user keeps in DuckDB for this URL goes first. Without either, the store is asked anonymously.

    Raises:
        ObjectStorageError: if the credentials cannot be handed to DuckDB.
    """
    if not url.lower().startswith(_SCHEMES):
        return
    if connection.execute("select name from which_secret(?, 's3')", [url]).fetchall():
        return
    options = _secret_options()
    if options is None:
        return
    given = ", ".join(f"{name} {literal(value)}" for name, value in options.items())
    try:
        connection.execute(f"create or replace temporary secret aws_environment (type s3, {given})")
    except duckdb.Error:
        # The statement has the secret in it, and the message might quote it.
        raise ObjectStorageError(
            "DuckDB refuses the credentials of the AWS environment; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "AWS_DEFAULT_REGION and AWS_ENDPOINT_URL"
        ) from None


def _secret_options() -> dict[str, str] | None:
    """The parameters of DuckDB's secret; None where AWS's environment has no credentials."""
    session = _session()
    found = session.get_credentials()
    if found is None:
        return None
    # One moment's values: those of a role are renewed while the process lives.
    now = found.get_frozen_credentials()
    options = {
        "key_id": now.access_key,
        "secret": now.secret_key,
        "region": session.get_config_variable("region") or _DEFAULT_REGION,
    }
    if now.token:
        options["session_token"] = now.token
    return options | _endpoint_options(_endpoint())


def _endpoint_options(endpoint: str) -> dict[str, str]:
    """How DuckDB addresses an endpoint; Amazon's own it knows by the region."""
    parts = urlsplit(endpoint)
    if (parts.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return {}
    return {
        "endpoint": parts.netloc + parts.path.rstrip("/"),
        "use_ssl": "true" if parts.scheme == "https" else "false",
        "url_style": "path",
    }


@cache
def _session() -> Any:
    from botocore.session import get_session

    return get_session()


@cache
def _endpoint() -> str:
    """The URL of S3 by AWS's own rules (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile, the region)."""
    session = _session()
    region = session.get_config_variable("region") or _DEFAULT_REGION
    return session.create_client("s3", region_name=region).meta.endpoint_url
