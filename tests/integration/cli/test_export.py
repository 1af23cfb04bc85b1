"""The report as a file: `audit export`, and the file opened again with other programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activity_audit.base.hours import now_utc, parse_time
from activity_audit.report.export import xlsx_file
from activity_audit.report.export.export import expected_rows, export
from activity_audit.report.export.layout import Layout
from activity_audit.report.queries import events
from activity_audit.report.queries.orders import Order
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import Filters
from tests.integration.support import HOUR, audit, deliver, event, lines, query, run, said

TITLES = [column.title for column in COLUMNS]
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1"]
HARD = 'say "hi",\nthen; go — 😀 \x0b \u202e'
PERIOD = ("--from", "2026-05-01T10:00:00Z", "--to", "2026-05-01T11:00:00Z")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Two runs: the first with everything that is hard on files, the second with one event more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_HOME", str(tmp_path_factory.mktemp("export") / "home"))
        settings = load_settings()
        formulas = [
            event(f"f{number}", comments=text, eventTime=f"2026-05-01T10:20:0{number}.000001Z")
            for number, text in enumerate(FORMULAS)
        ]
        odd = [
            event("hard", comments=HARD, instance="", triggeredBy=None, outcome="failure"),
            event("long", comments="x" * 40_000, entity="SEARCH"),
            event("old", eventTime="1899-12-31T23:00:00Z"),
            event("later", eventTime="2026-05-01T11:00:00Z"),
            event("foreign", application="UserHub", entity="User", activity="login"),
        ]
        deliver(settings, lines([*formulas, *odd]))
        run(settings)
        deliver(settings, lines([event("second-run")]), "b.ndjson")
        run(settings)
        yield settings


def _export(home: Settings, target: Path, *arguments: str) -> dict[str, Any]:
    return json.loads(said(home, "export", *arguments, "--to-file", str(target), "--output", "json").stdout)


def _expected(home: Settings, where: str) -> list[tuple[Any, ...]]:
    return query(home, f"select * from activity_audit_report where {where} order by 1 desc, 2")


IN_PERIOD = """"Event Time (UTC)" >= '2026-05-01 10:00' and "Event Time (UTC)" < '2026-05-01 11:00'"""


def test_parquet_has_exactly_what_the_report_has(home: Settings, tmp_path: Path) -> None:
    real = audit(home, "export", *PERIOD, "--to-file", str(tmp_path / "report.parquet"), "--output", "json")
    told = json.loads(real.stdout)
    table = pq.read_table(tmp_path / "report.parquet")
    assert table.column_names == TITLES
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert table.schema.field(0).type == pa.timestamp("us", "UTC")
    plain = [(row[0].astimezone(UTC).replace(tzinfo=None), *row[1:]) for row in rows]
    assert plain == _expected(home, IN_PERIOD)
    assert told["rows"] == len(rows) == 9
    metadata = {
        key.decode(): value.decode() for key, value in pq.read_metadata(tmp_path / "report.parquet").metadata.items()
    }
    assert metadata["Rows"] == "9"
    assert metadata["From (UTC)"] == "2026-05-01T10:00:00Z"
    assert metadata["Snapshot"] == str(told["snapshot_id"])


def test_csv_is_read_by_pandas_and_runs_no_formula(home: Settings, tmp_path: Path) -> None:
    told = _export(home, tmp_path / "report.csv", *PERIOD)
    table = pd.read_csv(tmp_path / "report.csv", keep_default_na=False, dtype=str)
    assert list(table.columns) == TITLES
    expected = _expected(home, IN_PERIOD)
    assert [datetime.fromisoformat(value) for value in table["Event Time (UTC)"]] == [row[0] for row in expected]
    plain = table["Comments"].str.removeprefix("'")
    assert list(plain) == [row[8] or "" for row in expected]
    changed = table.loc[table["Comments"].str.startswith("'"), "Comments"]
    assert sorted(changed) == sorted(f"'{text}" for text in FORMULAS)
    about = json.loads((tmp_path / "report.csv.about.json").read_text(encoding="utf-8"))
    assert about == {key: value for key, value in told.items() if key != "file"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.csv", "report.csv.about.json"]


def test_xlsx_has_typed_times_text_cells_and_says_what_it_cut(home: Settings, tmp_path: Path) -> None:
    _export(home, tmp_path / "report.xlsx", "--from", "1800-01-01", "--to", "2027-01-01")
    book = openpyxl.load_workbook(tmp_path / "report.xlsx")
    sheet = book["Activity Audit"]
    rows = list(sheet.iter_rows(values_only=True))
    assert list(rows[0]) == TITLES
    expected = _expected(home, "true")
    assert [row[1] for row in rows[1:]] == [row[1] for row in expected]
    assert rows[1][0] == datetime.fromisoformat("2026-05-01T11:00:00")
    assert rows[-1][0] == "1899-12-31 23:00:00.000000"
    comments = {row[1]: row[8] for row in rows[1:]}
    assert [comments[f"f{number}"] for number in range(len(FORMULAS))] == FORMULAS
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    assert openpyxl.utils.escape.unescape(comments["hard"]) == HARD
    assert len(comments["long"]) == 32_767
    about = dict(book["About"].iter_rows(values_only=True))
    assert about["Rows"] == str(len(expected))
    assert about["Cells cut to what Excel can hold"] == "1"


def test_every_filter_of_the_report_holds_for_its_files(home: Settings, tmp_path: Path) -> None:
    filters = Filters(
        HOUR, parse_time("2026-05-01T11:00:00Z"), instances=("i-1",), comments="1",
        excluded=(("comments", "+1"), ("triggered_by", None)),
    )  # fmt: skip
    with lake.reader(home, pinned=True) as connection:
        about = export(connection, home, filters, tmp_path / "report.parquet", now_utc())
        assert expected_rows(connection, filters) >= about.rows
    found = pq.read_table(tmp_path / "report.parquet")["Comments"].to_pylist()
    assert sorted(found) == sorted(text for text in FORMULAS if "1" in text and text != "+1")
    told = about.as_texts()
    assert (told["Instances"], told["Comments contain"]) == ("i-1", "1")
    assert told["Excluded"] == "comments: +1, triggered_by: (none)"
    # A filter on an empty text is seen.
    blank = replace(about, filters=replace(filters, applications=("",), instances=(None, " "))).as_texts()
    assert (blank["Applications"], blank["Instances"]) == ('""', '(none), " "')


def test_a_file_has_the_columns_and_the_order_of_the_view(home: Settings, tmp_path: Path) -> None:
    titles = {column.field: column.title for column in COLUMNS}
    filters = Filters(parse_time("1800-01-01"), parse_time("2027-01-01"))
    warehouse, target = Warehouse(home), tmp_path / "report.csv"
    with lake.reader(home, pinned=True) as connection, warehouse.query() as query:
        for order in (Order(field, descending) for field in titles for descending in (True, False)):
            shown = tuple(dict.fromkeys(("comments", "event_id", order.field)))
            layout = Layout(shown, order, link="http://audit.example/?period=today")
            about = export(connection, home, filters, target, now_utc(), layout=layout)
            table = pd.read_csv(target, keep_default_na=False, dtype=str)
            assert list(table.columns) == [titles[name] for name in shown]
            rows = events.page(query, filters, order, limit=100).rows
            assert list(table["Event ID"]) == [row[1] for row in rows], order
            assert about.rows == len(rows) == 11
            told = json.loads((tmp_path / "report.csv.about.json").read_text(encoding="utf-8"))
            assert (told["columns"], told["link"]) == (list(table.columns), layout.link)
            assert told["order"] == about.as_texts()["Order"] == layout.order_text
    warehouse.close()


def test_every_format_leads_back_to_the_view(home: Settings, tmp_path: Path) -> None:
    link = "https://audit.example/?period=today&entity=Chat"
    for length, suffix in ((0, ".xlsx"), (3000, ".xlsx"), (0, ".parquet")):
        layout, filters = Layout(link=link + "x" * length), Filters(HOUR, parse_time("2026-05-01T11:00:00Z"))
        with lake.reader(home, pinned=True) as connection:
            export(connection, home, filters, tmp_path / f"report{suffix}", now_utc(), layout=layout)
        if suffix == ".xlsx":
            sheet = openpyxl.load_workbook(tmp_path / "report.xlsx")["About"]
            (cell,) = [row[1] for row in sheet.iter_rows() if row[0].value == "Link to the view"]
            assert cell.value == layout.link
            assert (cell.hyperlink is None) == bool(length), "Excel follows no longer one"
    found = pq.read_metadata(tmp_path / "report.parquet").metadata[b"Link to the view"]
    assert found.decode() == link


def test_every_file_says_how_much_of_its_period_was_looked_at(home: Settings, tmp_path: Path) -> None:
    month = ("--from", "2026-05-01", "--to", "2026-06-01", "--application", "search")
    unknown = "743 of 744 feed hours not looked at, 10 of them before the first that was loaded"
    for suffix in ("csv", "xlsx", "parquet"):
        told = _export(home, tmp_path / f"month.{suffix}", *month)
        assert (told["coverage"]["level"], told["coverage"]["unknown"]) == ("unknown", 743)
    key = "Feed hours of the period"
    assert json.loads((tmp_path / "month.csv.about.json").read_text())["coverage"]["recorded"] == 1
    assert dict(openpyxl.load_workbook(tmp_path / "month.xlsx")["About"].iter_rows(values_only=True))[key] == unknown
    assert pq.read_metadata(tmp_path / "month.parquet").metadata[key.encode()].decode() == unknown
    assert unknown[:24] in said(home, "export", *month, "--to-file", str(tmp_path / "month.csv")).stdout
    hour = _export(home, tmp_path / "hour.csv", *PERIOD, "--application", "search")
    assert hour["coverage"]["level"] == "good"


def test_a_sheet_that_is_full_goes_on_in_the_next(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx_file, "_SHEET_ROWS", 5)
    filters = Filters(HOUR, parse_time("2026-05-01T11:00:00Z"))
    with lake.reader(home, pinned=True) as connection:
        export(connection, home, filters, tmp_path / "report.xlsx", now_utc())
    book = openpyxl.load_workbook(tmp_path / "report.xlsx")
    assert book.sheetnames == ["Activity Audit", "Activity Audit 2", "Activity Audit 3", "About"]
    rows = [row for name in book.sheetnames[:3] for row in list(book[name].iter_rows(values_only=True))[1:]]
    assert [row[1] for row in rows] == [row[1] for row in _expected(home, IN_PERIOD)]


def test_values_choose_events_and_names_may_be_typed_anyhow(home: Settings, tmp_path: Path) -> None:
    target = tmp_path / "report.csv"
    assert _export(home, target, *PERIOD, "--outcome", "failure")["rows"] == 1
    assert _export(home, target, *PERIOD, "--application", "userhub")["rows"] == 1
    told = _export(home, target, *PERIOD, "--entity", "search", "--entity", "user")
    assert told["rows"] == 9
    assert told["filters"]["entities"] == ["Search", "SEARCH", "User"]
    assert _export(home, target, *PERIOD, "--entity", "search", "--activity", "Login")["rows"] == 0
    assert list(pd.read_csv(target).columns) == TITLES


def test_the_report_as_it_stood_after_a_run(home: Settings, tmp_path: Path) -> None:
    first = query(home, "select min_by(run_id, started_at_utc) from quality.pipeline_run")[0][0]
    told = _export(home, tmp_path / "report.csv", *PERIOD, "--at", first)
    assert told["rows"] == 8
    assert told["newest_run_id"] == first


def test_what_cannot_be_written_is_said_and_what_was_there_stays(home: Settings, tmp_path: Path) -> None:
    target = tmp_path / "report.csv"
    target.write_text("old", encoding="utf-8")
    for arguments, code, message in (
        ((*PERIOD, "--to-file", str(tmp_path / "report.pdf")), 2, "must end in one of .csv, .xlsx, .parquet"),
        ((*PERIOD, "--to-file", str(tmp_path / "no" / "report.csv")), 2, "does not exist"),
        ((*PERIOD, "--entity", "Serch", "--to-file", str(target)), 2, "did you mean 'Search'"),
        (("--from", "2026-05-02", "--to", "2026-05-01", "--to-file", str(target)), 2, "half-open"),
    ):
        assert message in said(home, "export", *arguments, exit_code=code).stderr
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]
