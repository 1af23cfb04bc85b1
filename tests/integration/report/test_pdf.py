"""The PDF of the report, opened again: what it says, in any script, and that its setting can be stopped."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from pypdf import PdfReader

from activity_audit.report.access.permissions import User
from activity_audit.report.export import pdf_file
from activity_audit.report.export.jobs import ExportJobs
from activity_audit.report.export.typeset import readable, typeset
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.report.trail import Trail
from activity_audit.settings.core import Settings
from activity_audit.warehouse.events.filters import Filters

MAY = Filters(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
MADE_AT = datetime(2026, 6, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def warehouse(report_home: Settings) -> Iterator[Warehouse]:
    opened = Warehouse(report_home)
    yield opened
    opened.close()


def _collected(warehouse: Warehouse, filters: Filters) -> pdf_file.PdfReport:
    with warehouse.query() as query:
        return pdf_file.collect(query, filters, MADE_AT)


def _text(pdf: bytes | Path) -> str:
    reader = PdfReader(BytesIO(pdf) if isinstance(pdf, bytes) else pdf)
    return "\n".join(page.extract_text() for page in reader.pages)


def test_an_export_as_pdf(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_file, "MOST_ROWS", 60)
    jobs = ExportJobs(warehouse, tmp_path / "exports", 10_000_000)
    job = jobs.start("s", User("clarissa", frozenset({"export"})), Trail(tmp_path / "own"), MAY, ".pdf")
    while not job.is_over:
        time.sleep(0.02)
    assert (job.state, job.error, job.rows, job.of) == ("done", None, 60, 60)
    assert job.name == "activity-audit_2026-05-01_2026-05-31_snapshot-2.pdf"
    reader = PdfReader(job.file)
    pages = [page.extract_text() for page in reader.pages]
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert "All times are UTC" in page
        assert "Snapshot 2" in page
    everything = "\n".join(pages)
    for said in (
        "2026-05-01 00:00:00 to 2026-06-01 00:00:00 UTC",
        "Refreshed ",
        "Applications all",
        "SUCCESS 100",
        "Events over time, by day",
        "Events: the newest 60 of 100",
        "40 older events are counted above and not listed; the other formats have every event.",
        "Share of all",
        "100 %",
        "Comments",
        "=c0",
    ):
        assert said in everything, said
    assert len(set(re.findall(r"^2026-05-01 \S+ (e\d+) ", everything, re.MULTILINE))) == 60
    assert reader.metadata
    assert "Activity Audit report, 2026-05-01" in str(reader.metadata.title)
    root = reader.trailer["/Root"]
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"]) == ("en", True), "a screen reader finds its way"
    assert not any(page.images for page in reader.pages), "charts are vectors"
    trail = [json.loads(line) for path in (tmp_path / "own").rglob(".open.ndjson") for line in path.open()]
    assert [(one["entity"], one["activity"], one["outcome"]) for one in trail] == [("Export", "Created", "SUCCESS")]
    assert "pdf, snapshot 2, 60 rows" in trail[0]["comments"]
    jobs.close()


def test_any_script_and_nothing_that_runs(warehouse: Warehouse) -> None:
    document = _collected(warehouse, MAY)
    sent = ["Заявка №7", "Ελληνικά", "Zażółć gęślą jaźń", "#panic() $x$ *b* @ref <l> \\", "longer-than-its-column-" * 4]
    row = [*sent, *["—"] * (9 - len(sent))]
    text = _text(typeset(document.content | {"rows": [row, ["שלום", "مرحبا", "ไทย", "हिन्दी", *["—"] * 5]]}, MADE_AT))
    together = text.replace("\n", "")
    for said in sent:
        assert said in together, said
    assert "ไทย" in text
    assert readable("a\u202eb\x00c") == "a[U+202E]b[U+0000]c"
    # No font in the lock file has it, or the extra is installed.
    assert readable("中") in ("[U+4E2D]", "中")


def test_a_sign_is_set_and_not_named_by_its_number(warehouse: Warehouse) -> None:
    sent = "✓ ✗ ≤ ≥ ★ → ☐"
    assert readable(sent) == sent
    document = _collected(warehouse, MAY)
    pdf = PdfReader(BytesIO(typeset(document.content | {"rows": [[sent, *["—"] * 8]]}, MADE_AT)))
    assert "✓" in pdf.pages[-1].extract_text()
    fonts = {font["/BaseFont"] for page in pdf.pages for font in page["/Resources"]["/Font"].values()}
    assert any("DejaVuSansMono" in str(name) for name in fonts)


def test_more_than_a_pipe_holds(warehouse: Warehouse) -> None:
    document = _collected(warehouse, MAY)
    content = document.content | {"rows": [["x" * 299] + ["—"] * 8] * 300}
    looked: list[None] = []
    assert len(PdfReader(BytesIO(typeset(content, MADE_AT, lambda: looked.append(None)))).pages) > 10
    assert looked


def test_a_report_without_events(warehouse: Warehouse) -> None:
    document = _collected(warehouse, Filters(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)))
    text = _text(typeset(document.content, MADE_AT))
    assert "Nothing in this period is kept by these filters." in text
    assert "Page 1 of 1" in text


def test_a_long_cell_is_cut_and_that_is_said() -> None:
    cells = [["short", pdf_file._cell("x" * 301)]]
    assert cells[0][1] == "x" * 300 + "… [cut]"
    assert pdf_file._said_cut(cells).startswith("1 cell was cut to 300 characters")


def test_the_setting_is_stopped(warehouse: Warehouse) -> None:
    class StoppedError(Exception):
        pass

    def check() -> None:
        raise StoppedError

    document = _collected(warehouse, MAY)
    with pytest.raises(StoppedError):
        typeset(document.content | {"rows": document.content["rows"] * 50}, MADE_AT, check)
    assert not [one for one in psutil.Process().children() if "activity_audit.report.export.typeset" in one.cmdline()]


def test_what_the_typesetter_refuses_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="the PDF cannot be made"):
        typeset({}, MADE_AT)
