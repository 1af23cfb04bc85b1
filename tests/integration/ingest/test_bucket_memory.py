"""An object of any size takes little memory: it is streamed, whatever its size."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.s3_server import Bucket
from tests.unit.raw_lake import HOUR

_LINES = 2_000
# Prints the peak memory of the process in MiB. The kernel's own account of a child begins with its parent's.
_LAND = """
import resource, sys
from pathlib import Path
from tests.unit.raw_lake import Feeds
report = Feeds(Path(sys.argv[1])).land(sys.argv[2])
status = Path("/proc/self/status")
if status.exists():
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) >> 10
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20
print(peak, sum(delivery.records for delivery in report.new), sum(delivery.bytes for delivery in report.new))
"""


def block(number: int) -> bytes:
    """A mebibyte of records, or nearly, that compress little."""
    return b"".join(
        b'{"eventId":"%d-%d","comments":"%s"}\n' % (number, n, os.urandom(240).hex().encode()) for n in range(_LINES)
    )


def landed(home: Path, bucket: Bucket, prefix: str) -> tuple[int, int, int]:
    """The peak memory in MiB, the records and the bytes of a process that lands what is below the prefix."""
    done = subprocess.run(
        [sys.executable, "-c", _LAND, str(home), f"{bucket.url}/{prefix}"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak, records, size = map(int, done.stdout.split())
    return peak, records, size


def deliver(bucket: Bucket, prefix: str, name: str, path: Path) -> None:
    bucket.upload(f"{prefix}/search/{HOUR:%Y-%m-%d/%H}/{name}", path)


def grows(tmp_path: Path, bucket: Bucket, name: str, blocks: int) -> tuple[int, int]:
    """How many MiB more a process takes for `blocks` of them than for one, and the size of the large object in MiB."""
    peaks = []
    size = 0
    for count in (1, blocks):
        path = tmp_path / name
        with gzip.open(path, "wb", 1) if name.endswith(".gz") else path.open("wb") as file:
            for number in range(count):
                file.write(block(number))
        deliver(bucket, f"of-{count}", name, path)
        peak, records, size = landed(tmp_path / f"home-{count}", bucket, f"of-{count}")
        assert records == count * _LINES
        assert size == path.stat().st_size
        peaks.append(peak)
    return peaks[1] - peaks[0], size >> 20


def test_a_large_object_takes_little_memory(tmp_path: Path, bucket: Bucket) -> None:
    more, size = grows(tmp_path, bucket, "a.ndjson", 200)
    assert size > 190
    assert more < 230


@pytest.mark.slow
@pytest.mark.parametrize(("name", "blocks"), [("a.ndjson", 1060), ("a.ndjson.gz", 1900)])
def test_a_gigabyte_takes_little_memory(tmp_path: Path, bucket: Bucket, name: str, blocks: int) -> None:
    more, size = grows(tmp_path, bucket, name, blocks)
    assert size > 1000
    assert more < 230
