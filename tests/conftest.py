"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from activity_audit.settings.core import Settings, load_settings
from tests.made_once import FOLDER, leave_no_settings
from tests.s3_server import Bucket, S3Server, s3_server, use_s3

pytest_plugins = ["tests.torture.figures"]

# Homes that tests make are as the product makes them, which has nothing to warn of then.
os.umask(0o077)

# A test process imports more than a million objects that stay, and Python would look through them all again and again.
gc.set_threshold(200_000, 20, 20)

# The modules of which a test takes more than ten seconds.
_FIRST = (
    "test_retention_holds", "test_set_aside", "test_processes", "test_promises", "test_files_without_duckdb",
    "test_folder_names", "test_two_homes", "test_landing_crashes", "test_models",
    "test_lake_in_a_bucket", "test_postgres", "test_postgres_copy", "test_acknowledgements", "test_retention",
    "test_replay", "test_bucket_memory", "test_places", "test_dagster",
)  # fmt: skip

# Where the tests run in the background of a script, Ctrl-C is ignored, also by every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Have all homes of the tests share what is worked out of the code that they test, and all workers some homes."""
    if FOLDER not in os.environ:
        made = TemporaryDirectory(prefix="audit-made-once-")
        config.add_cleanup(made.cleanup)
        os.environ[FOLDER] = made.name
    if config.pluginmanager.hasplugin("cacheprovider"):
        assert config.cache is not None
        kept = config.cache.mkdir("audit")
        # What others can change is warned of, and an earlier run may have left it so.
        kept.chmod(0o700)
        os.environ["AUDIT_CACHE"] = str(kept)
        return
    folder = TemporaryDirectory(prefix="audit-cache-")
    config.add_cleanup(folder.cleanup)
    os.environ["AUDIT_CACHE"] = folder.name


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: a test that waits for another process leaves its core to the next."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the modules with the longest tests come first, so that at the end no worker is left alone with one."""
    first = {f"{module}.py": place for place, module in enumerate(_FIRST)}
    items.sort(key=lambda item: first.get(item.path.name, len(first)))


@pytest.fixture(autouse=True)
def private_files() -> Iterator[None]:
    """Whatever a test's command does to the umask of this process, the next test's home is for its owner alone."""
    os.umask(0o077)
    yield
    os.umask(0o077)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a new, empty home; nothing of the developer's own environment reaches the test."""
    leave_no_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIT_HOME", str(tmp_path / "home"))
    return load_settings()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for all tests; each takes a bucket of its own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A new bucket, which the environment of this process leads to."""
    use_s3(s3, monkeypatch)
    return s3.make_bucket(f"test-{uuid4()}")
