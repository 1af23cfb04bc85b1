"""The data docs: what they show, that they need no internet, and which runs keep a page."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from expectations import feed_contract
from expectations.docs_site import DocsSite
from tests.unit.expectation_batch import RUN_TIME, Batch, judged, reconciled, staged


def test_the_docs_show_every_expectation_and_its_outcome(batch: Batch) -> None:
    batch.connection.execute(judged("is_documented = false"))
    batch.connection.execute(staged("outcome = 'MAYBE'"))
    results = batch.validate(run_id="run-1")
    page = (batch.docs_dir / "validations" / "run-1.html").read_text()
    assert "run-1" in page
    for result in results.values():
        assert result.docs_link == f"validations/run-1.html#{result.suite}"
        assert f'<h2 id="{result.suite}">' in page
        assert result.title in page
        assert result.expectation in (batch.docs_dir / "expectations" / f"{result.suite}.html").read_text()
    assert "MAYBE" in page
    index = (batch.docs_dir / "index.html").read_text()
    assert "1 warning<" in index
    assert "1 error<" in index
    assert all(f'href="{result.docs_link}"' in index for result in results.values())


def test_the_docs_need_no_internet_and_run_nothing_a_source_sent(batch: Batch) -> None:
    batch.connection.execute(judged("outcome = '<script>alert(1)</script>'"))
    batch.connection.execute(reconciled("status = 'incomplete', detail = '<img src=x onerror=alert(2)> $x ${y}'"))
    batch.validate(run_id="<b>run</b>/../x")
    batch.validate(run_id="<b>run</b>/../y", run_time=RUN_TIME + timedelta(hours=1), keep_runs=1)
    pages = list(batch.docs_dir.rglob("*.html"))
    assert len(pages) == 6
    for page in pages:
        text = page.read_text()
        for forbidden in ("<script", "<img", "<b>", "<link", "http:", "https:", "@import", "url("):
            assert forbidden not in text
    assert any("&lt;script&gt;alert(1)" in page.read_text() for page in pages)
    assert {path.parent.name for path in batch.docs_dir.iterdir()} == {"docs"}


def _pages(batch: Batch) -> set[str]:
    """The names of the runs that have a page, not only what leads to the history."""
    pages = (batch.docs_dir / "validations").glob("*.html")
    return {path.stem for path in pages if "http-equiv" not in path.read_text()}


def test_the_docs_keep_the_pages_of_the_newest_runs_and_this_one(batch: Batch) -> None:
    for number in range(4):
        batch.validate(
            feed_contract.NAME,
            run_id=f"run-{number}",
            run_time=RUN_TIME + timedelta(hours=number),
            keep_runs=2,
        )
    assert _pages(batch) == {"run-2", "run-3"}
    index = (batch.docs_dir / "index.html").read_text()
    assert index.index("run-3") < index.index("run-2")
    assert "run-1" not in index
    batch.validate(feed_contract.NAME, run_id="older", run_time=RUN_TIME - timedelta(days=1), keep_runs=2)
    assert _pages(batch) == {"older", "run-2", "run-3"}
    assert not [path for path in batch.docs_dir.rglob("*") if path.name.startswith(".")]


def test_the_link_of_an_old_run_leads_to_its_line_in_the_history(batch: Batch) -> None:
    batch.connection.execute(judged("outcome = 'MAYBE'"))
    old = batch.validate(run_id="a/b", keep_runs=1)["sent_outcome_is_success_or_failure"]
    month = batch.docs_dir / "history" / "2026-03.html"
    assert f'<a href="../{old.docs_link.partition("#")[0]}">' in month.read_text()
    batch.validate(run_id="next", run_time=RUN_TIME + timedelta(days=31), keep_runs=1)
    page = batch.docs_dir / old.docs_link.partition("#")[0]
    (target,) = re.findall(r'content="0; url=(.*?)"', page.read_text())
    path, _, anchor = target.partition("#")
    assert (page.parent / path).resolve() == month
    line = month.read_text().partition(f'<tr id="{anchor}">')[2].partition("</tr>")[0]
    assert "a/b" in line
    assert f"{old.title}: {old.unexpected_count} of {old.evaluated_count}" in line
    assert "<a " not in line
    index = (batch.docs_dir / "index.html").read_text()
    assert index.index('href="history/2026-04.html"') < index.index('href="history/2026-03.html"')


@pytest.mark.slow
def test_a_run_costs_the_same_after_years_of_them(batch: Batch) -> None:
    """What is read and written does not grow with the runs that are past their page and their month."""

    def put_up(run_id: str, at: datetime) -> None:
        batch.connection.execute(
            "insert into audit.quality.validation_result "
            f"values ('{at:%Y-%m-%d}', '{run_id}', 'conformance', 'e', 't', null, 'error', true, true, 1, 0, '[]', '')"
        )
        batch.put_up(run_id, keep_runs=5)

    for month in (1, 2):
        for day in range(1, 29):
            put_up(f"run-{month}-{day}", datetime(2026, month, day, tzinfo=UTC))
    before = {path: path.stat().st_mtime_ns for path in batch.docs_dir.rglob("*") if path.is_file()}
    put_up("new", datetime(2026, 3, 1, tzinfo=UTC))
    after = {path: path.stat().st_mtime_ns for path in batch.docs_dir.rglob("*") if path.is_file()}
    changed = {path.relative_to(batch.docs_dir).as_posix() for path in after if after[path] != before.get(path)}
    assert changed == {
        "index.html", "expectations/conformance.html", "validations/kept.json", "validations/new.html",
        "history/2026-03.html", "validations/run-2-24.html", "history/2026-02.html",
    }  # fmt: skip


@pytest.mark.parametrize("content", [b'[{"something": "else"}]', b"\xff\x00", b"[{]"])
def test_what_says_which_runs_have_a_page_may_be_lost(batch: Batch, content: bytes) -> None:
    batch.validate(feed_contract.NAME, run_id="run-1")
    (batch.docs_dir / "validations" / "kept.json").write_bytes(content)
    batch.validate(feed_contract.NAME, run_id="run-2", run_time=RUN_TIME + timedelta(hours=1))
    month = (batch.docs_dir / "history" / "2026-03.html").read_text()
    assert month.index('<tr id="run-2">') < month.index('<tr id="run-1">')
    assert _pages(batch) == {"run-1", "run-2"}


def test_the_history_has_the_runs_of_the_warehouse_and_no_others(batch: Batch) -> None:
    """Also those that another home published, and that were put up before their transaction came to nothing."""
    batch.validate(feed_contract.NAME, run_id="lost")
    batch.connection.execute("delete from audit.quality.validation_result")
    batch.validate(feed_contract.NAME, run_id="next", run_time=RUN_TIME + timedelta(hours=1))
    assert _pages(batch) == {"next"}
    for page in ("index.html", "history/2026-03.html"):
        text = (batch.docs_dir / page).read_text()
        assert ("lost" in text, "next" in text) == (False, True)
    shutil.rmtree(batch.docs_dir)
    batch.put_up()
    assert "next" in (batch.docs_dir / "history/2026-03.html").read_text()


@pytest.mark.parametrize("in_the_way", ["", "validations", "history", "expectations", "index.html/x"])
def test_docs_that_cannot_be_written_say_so(batch: Batch, in_the_way: str) -> None:
    batch.connection.execute(staged("outcome = 'MAYBE'"))
    batch.validate(run_id="run-1")
    blocked = batch.docs_dir / in_the_way
    shutil.rmtree(batch.docs_dir)
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("not a folder, or not empty")
    with pytest.raises(OSError, match=re.escape(str(batch.docs_dir))):
        batch.validate(run_id="run-1")


def test_the_front_page_leads_to_the_auditors_page_once_it_is_there(batch: Batch) -> None:
    batch.put_up()
    assert not batch.docs_dir.exists()
    batch.validate(feed_contract.NAME)
    assert "review.html" not in (batch.docs_dir / "index.html").read_text()
    (batch.docs_dir / "review.html").write_text("page")
    batch.put_up()
    assert 'href="review.html"' in (batch.docs_dir / "index.html").read_text()


def test_two_run_ids_never_share_a_page() -> None:
    pages = {DocsSite.page_of(run_id, "suite") for run_id in ("a/b", "a-b", "a:b", "a b", "..", "", "ä", "é")}
    assert len(pages) == 8
    assert all(page.count("/") == 1 and ".." not in page for page in pages)
