"""The parts of `make bench` and `make bench-full`: each a benchmark that writes its figures with `--json`."""

from __future__ import annotations

from dataclasses import dataclass

HISTORY = "var/bench/history"
SIZES = ("small", "full")


@dataclass(frozen=True)
class Part:
    """A benchmark: its module and arguments by size, what it measures, and the free disk that it needs.

    `home` is a folder that must be there, made with the command `prepare` where it is not. A part without arguments for
    a size is left out of it.
    """

    name: str
    about: str
    module: str
    small: tuple[str, ...] | None
    full: tuple[str, ...] | None
    gigabytes: int = 2
    home: str | None = None
    prepare: tuple[str, ...] = ()

    def arguments(self, size: str) -> tuple[str, ...] | None:
        """What the module is given."""
        return self.small if size == "small" else self.full


_MAKE_HISTORY = ("benchmarks.history", "--home", HISTORY)


def _bulk(name: str, about: str, full: str, form: str, gigabytes: int, small: str | None = None) -> Part:
    return Part(
        name,
        about,
        "benchmarks.bulk",
        ("--events", small, "--format", form) if small else None,
        ("--events", full, "--format", form),
        gigabytes,
    )


PARTS = (
    Part("hour", "an hour of 16 feeds against its floor", "benchmarks.hour", (), ()),
    Part(
        "hour-on-history",
        "that hour on 100 million events, against an empty warehouse",
        "benchmarks.hour",
        None,
        ("--home", HISTORY),
        25,
        HISTORY,
        _MAKE_HISTORY,
    ),
    _bulk("bulk-ndjson", "a bulk load of NDJSON against bare DuckDB", "10000000", "ndjson", 12, "300000"),
    _bulk("bulk-gz", "the same from gzip", "10000000", "gz", 12),
    _bulk("bulk-csv", "the same from CSV", "10000000", "csv", 12),
    _bulk("bulk-50m", "a bulk load five times as large", "50000000", "ndjson", 35),
    Part(
        "year",
        "a year's backfill against a month's, at the same events an hour",
        "benchmarks.year",
        ("--hours", "24", "240", "--events-per-hour", "200"),
        ("--hours", "730", "8760", "--events-per-hour", "200"),
        10,
    ),
    Part(
        "upkeep",
        "verify and maintain, against ten times the events",
        "benchmarks.upkeep",
        ("--events", "20000", "200000"),
        ("--events", "10000000", "100000000"),
        30,
    ),
    Part(
        "verify",
        "verify 10 million events against reading them",
        "benchmarks.verify",
        None,
        ("--events", "10000000"),
        16,
    ),
    Part("week", "a week in one backfill, and again", "benchmarks.pipeline", None, ()),
    Part("api", "the vendor's API as a source", "benchmarks.api_source", ("--hours", "2", "--records", "5000"), ()),
    Part("bucket", "a bucket with few and with many old deliveries", "benchmarks.bucket", None, ()),
    Part(
        "report",
        "the report on 100 million events",
        "benchmarks.report",
        None,
        ("--home", HISTORY, "--slow", "--rows", "10000000"),
        6,
        HISTORY,
        _MAKE_HISTORY,
    ),
    Part(
        "peers",
        "the same work in pandas, dlt with dbt, PySpark and ClickHouse",
        "benchmarks.peers",
        ("--events", "200000", "--hours", "24"),
        ("--events", "10000000", "--hours", "720"),
        15,
    ),
)
