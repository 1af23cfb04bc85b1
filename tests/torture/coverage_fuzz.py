"""A coverage-guided fuzzer of one reader: `python -m tests.torture.coverage_fuzz a.ndjson -runs=10000 -seed=1`.

What it is given on the command line besides is libFuzzer's. It ends with an error and the bytes when a reader raises,
when it loses or doubles a line, or when it takes too long or too much memory.
"""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["activity_audit.ingest", "activity_audit.raw.records"]):
    from activity_audit.base.delivery_limits import DeliveryError, Limits
    from activity_audit.ingest.cxone.pages import BrokenPageError, PageError, next_url, parse_page
    from activity_audit.ingest.manifests import read_manifest
    from activity_audit.ingest.raw_writer import read_delivery
    from activity_audit.ingest.readers.formats import feed_format

from tests.torture import plain_reading

_LIMITS = Limits(delivery_bytes=64 << 20, delivery_records=100_000, delivery_memory=256 << 20)
_LARGEST_RECORD = 1 << 12
_URL = "https://api.example/activity/audit?From=a&To=b"


def _page(data: bytes) -> None:
    with suppress(BrokenPageError, PageError):
        next_url(_URL, parse_page(data))


def _delivery(name: str, data: bytes) -> None:
    declared = feed_format(name)
    assert declared is not None
    try:
        batches = list(read_delivery(io.BytesIO(data), len(data), declared, _LARGEST_RECORD, Path("/nowhere"), _LIMITS))
    except DeliveryError:
        return
    if name != "a.ndjson" or (expected := plain_reading.lines(data)) is None:
        return
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert len(rows) == len(expected), (len(rows), len(expected))
    for row, plain in zip(rows, expected, strict=True):
        # What only DuckDB can refuse is left to it here.
        assert plain is None or row["problem"] in (None, "too_large"), row


def main() -> None:
    name = sys.argv.pop(1)
    readers = {"page": _page, "manifest": read_manifest}
    atheris.Setup(sys.argv, readers.get(name, lambda data: _delivery(name, data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
