"""A real S3 server on loopback, in a process of its own, which counts what it is asked."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

KEY_ID = "AKIDLOOPBACK0000TEST"
SECRET = "loopback/Secret+Key/that-must-not-be-seen"
_REQUEST = re.compile(r'"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP')


class S3Server:
    """moto's server; `folder` takes its log."""

    def __init__(self, folder: Path, port: int | None = None, **environment: str) -> None:
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"s3-{self.port}.log"
        self._seen = 0
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )
        self._wait()

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know of the server, as AWS's own variables."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str = "s3", **options: str) -> Any:
        """A client that is none of the product's."""
        import boto3

        given = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET, "region_name": "eu-central-1"}
        return boto3.client(service, endpoint_url=self.url, **(given | options))

    def make_bucket(self, name: str) -> Bucket:
        """A new bucket."""
        client = self.client()
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        return Bucket(client, name)

    def forget_requests(self) -> None:
        """Count from here on."""
        self._seen = self._log.stat().st_size

    def requests(self) -> list[tuple[str, str]]:
        """Method and path of every request since then."""
        return _REQUEST.findall(self._log.read_bytes()[self._seen :].decode(errors="replace"))

    def listings(self) -> int:
        """How many of them were requests for a page of a listing."""
        return sum("list-type=2" in path for _, path in self.requests())

    def stop(self) -> None:
        """End the process at once; what it held is lost."""
        self.process.kill()
        self.process.wait()

    def _wait(self) -> None:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{self.url}/moto-api/data.json", timeout=5).close()
                return
            except OSError:
                assert self.process.poll() is None, self._log.read_text()
                time.sleep(0.05)
        raise AssertionError("the S3 server does not answer")


class Bucket:
    """A bucket to put deliveries into."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name
        self.url = f"s3://{name}"
        self.endpoint: str = client.meta.endpoint_url

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""
        self._client.put_object(Bucket=self.name, Key=key, Body=content)

    def upload(self, key: str, path: Path) -> None:
        """Write a file of any size as an object."""
        self._client.upload_file(str(path), self.name, key)

    def put_all(self, objects: dict[str, bytes]) -> None:
        """Write many objects."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: self.put(*item), objects.items()))

    def put_folder(self, folder: Path, prefix: str) -> None:
        """Write every file below a folder, under the same names below the prefix."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self.put_all({f"{prefix}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files})

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._client.delete_object(Bucket=self.name, Key=key)

    def keys(self, prefix: str = "") -> list[str]:
        """The names of the objects, at most the first thousand."""
        return [
            item["Key"] for item in self._client.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", [])
        ]


@contextmanager
def s3_server(folder: Path, port: int | None = None, **environment: str) -> Iterator[S3Server]:
    """A server for the time of the block."""
    server = S3Server(folder, port, **environment)
    try:
        yield server
    finally:
        server.stop()


def use_s3(server: S3Server, monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Lead AWS's libraries in this process to a server; they keep what they have read of the environment."""
    from s3fs import S3FileSystem

    from activity_audit.warehouse import object_storage

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (server.environment | environment).items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    object_storage._session.cache_clear()
    object_storage._endpoint.cache_clear()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
