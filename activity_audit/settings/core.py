"""Every setting of the product, read here and nowhere else.

Settings are environment variables (or lines of a `.env` file in the working directory). Each has a
default that works; a wrong value is refused with the variable's name and what it must be.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from activity_audit.base import catalogue
from activity_audit.base.delivery_limits import DEFAULT as LIMITS
from activity_audit.base.delivery_limits import Limits
from activity_audit.base.masking import has_credentials, without_secrets
from activity_audit.base.places import local_path
from activity_audit.base.sql_text import PATTERN
from activity_audit.settings.cxone import CxoneSettings
from activity_audit.settings.durations import Duration, Hour
from activity_audit.settings.overlaps import overlaps
from activity_audit.settings.report import ReportSettings
from activity_audit.settings.retention import RetentionRules, parse_retention

ENV_FILE = ".env"
# How alike two names must be for one to be taken for the other, misspelt; 1 is the same.
_ALIKE = 0.85
# As JSON a record may take six times its bytes, and Arrow's texts have 2 GiB at most.
_MOST_RECORD_BYTES = 256 << 20
_PEBIBYTE = 1 << 50
_TEBIBYTE = 1 << 40
_OWN_SOURCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_NO_BACKSLASH = "must not contain a backslash, which DuckDB takes for a slash"


class SettingsError(ValueError):
    """A setting has a value that it must not have; the message names it and says what it must be."""


def split_list(value: Any) -> Any:
    """A comma-separated text as the list of its non-blank parts."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


NameList = Annotated[list[str], NoDecode, BeforeValidator(split_list)]


class Settings(BaseSettings):
    """The settings of one process. Field `home` is the variable `AUDIT_HOME`, and so on."""

    model_config = SettingsConfigDict(
        env_prefix="AUDIT_", env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )

    home: Path = Field(Path("var"), description="the folder that holds all state")
    source: str = Field("files", description="where feeds come from: files, cxone, or package.module:Class")
    feed_url: str | None = Field(None, description="a folder, or any fsspec URL; default $AUDIT_HOME/landing")
    lookback: Duration = Field(timedelta(days=2), description="how far back from now every look at a bucket goes")
    sweep_every: Duration = Field(timedelta(days=1), description="how often a look at a bucket goes over all of it")
    applications: NameList = Field(
        default_factory=list,
        description="the slugs of the feeds that are expected; default: the report prompt's",
    )
    catalog: str | None = Field(
        None,
        description="the DuckLake catalog: a SQLite file or a postgres connection; default in $AUDIT_HOME",
    )
    data_path: str | None = Field(None, description="where the lake's Parquet files are; default in $AUDIT_HOME")
    max_record_bytes: int = Field(
        1_048_576, ge=1, le=_MOST_RECORD_BYTES, description="a larger record is quarantined as too_large"
    )
    max_delivery_bytes: int = Field(
        LIMITS.delivery_bytes,
        ge=1,
        le=_PEBIBYTE,
        description="a delivery with more, decompressed and decoded, is not landed",
    )
    max_delivery_records: int = Field(
        LIMITS.delivery_records, ge=1, le=10**12, description="a delivery with more records is not landed"
    )
    max_delivery_expansion: int = Field(
        LIMITS.delivery_expansion,
        ge=1,
        le=10**6,
        description="a compressed delivery that expands further is not landed; it may always expand to 256 MiB",
    )
    max_delivery_memory: int = Field(
        LIMITS.delivery_memory,
        ge=1 << 20,
        le=_TEBIBYTE,
        description="a delivery of which a part takes more bytes of memory to read is not landed",
    )
    future_tolerance: Duration = Field(
        timedelta(hours=1),
        description="how far after its feed hour's end an event may claim to have happened",
    )
    seal_after: Duration = Field(
        timedelta(hours=3),
        description="how long after an hour the API's window of it is read again, and for the last time",
    )
    schedule_lag: Duration = Field(
        timedelta(minutes=10), description="how long after the hour its feeds are ingested by the schedule"
    )
    first_hour: Hour | None = Field(
        None, description="the feed hour with which Dagster's partitions begin, if none before it is known"
    )
    freshness: Duration = Field(
        timedelta(hours=2),
        description="how old the newest published feed hour's end may be before status fails",
    )
    snapshot_retention: Duration = Field(
        timedelta(days=30), description="how long old snapshots of the warehouse can be read"
    )
    retention: str | None = Field(
        None,
        description="how long feed hours are kept, for all feeds and as slug=duration; default: for ever",
    )
    retention_max_share: float = Field(
        0.7, ge=0, le=1, description="how much of all feed hours, or events, an upkeep deletes at once by itself"
    )
    max_clock_lead: Duration = Field(
        timedelta(days=7), description="how far the clock may be ahead of the newest data for an upkeep to go by it"
    )
    run_history: Duration = Field(timedelta(days=30), description="how long Dagster's record of a run is kept")
    umask: int | None = Field(
        None, description="the umask of all that is written below the home, in octal; default: what the home grants"
    )
    lock_timeout: Duration = Field(
        timedelta(hours=1), description="how long a run waits for another run to let go of the warehouse"
    )
    memory_limit: str = Field("3GB", description="what DuckDB may use in a run before it spills to disk")
    ledger_head_file: Path | None = Field(
        None, description="a file, best on another mount, to which each run appends the ledger's newest entry"
    )
    docs_runs: int = Field(200, ge=1, le=100_000, description="how many runs' validation pages the data docs keep")
    _cxone: CxoneSettings | None = PrivateAttr(None)
    _report: ReportSettings | None = PrivateAttr(None)

    @field_validator("feed_url", "data_path")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        if value and has_credentials(value):
            raise ValueError("must have no password or key in it; put them into the store's own environment")
        return value

    @field_validator("data_path")
    @classmethod
    def _plain_folder(cls, value: str | None) -> str | None:
        # DuckDB takes `file:/x` and `file://localhost/x` for the folder /x, too; nothing else here does.
        # Nor does DuckDB read %20 in it as a space.
        is_url = value and re.match("(file|local):", value, re.IGNORECASE)
        if value and is_url and ("%" in value or not value.startswith("file:///")):
            raise ValueError("is a folder of this machine; write it as a path")
        if value and "\\" in value:
            raise ValueError(_NO_BACKSLASH)
        if value and local_path(value) is None and any(character in value for character in PATTERN):
            raise ValueError("must have no *, ? or [ in it, which DuckDB takes for a pattern of other names")
        return value

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        home = value.expanduser().absolute()
        if "?" in str(home):
            raise ValueError("must not contain a ?, behind which DuckDB looks for options")
        if "\\" in str(home):
            raise ValueError(_NO_BACKSLASH)
        return home

    @field_validator("source")
    @classmethod
    def _known_source(cls, value: str) -> str:
        if value not in ("files", "cxone") and not _OWN_SOURCE.fullmatch(value):
            raise ValueError("must be 'files', 'cxone', or a class of your own as package.module:Class")
        return value

    @field_validator("ledger_head_file")
    @classmethod
    def _absolute_file(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else None

    @field_validator("applications")
    @classmethod
    def _known_slugs(cls, value: list[str]) -> list[str]:
        known = catalogue.slugs()
        unknown = [slug for slug in value if slug not in known]
        if unknown:
            raise ValueError(f"must be slugs of the catalogue ({', '.join(known)}); unknown: {', '.join(unknown)}")
        return value

    @field_validator("retention")
    @classmethod
    def _retention(cls, value: str | None) -> str | None:
        parse_retention(value or "", catalogue.slugs())
        return value

    @field_validator("umask", mode="before")
    @classmethod
    def _octal(cls, value: str | int | None) -> int | None:
        if value is None or isinstance(value, int):
            return value
        if not re.fullmatch(r"0{0,2}[0-7]{1,2}|0?0[0-7]{2}", value.strip()):
            raise ValueError("must be an octal number that leaves the owner their rights, such as 077 or 027")
        return int(value, 8)

    def memory_share(self, parts: int) -> str:
        """The memory limit of each DuckDB where so many share what `memory_limit` says."""
        number, unit = re.fullmatch(r"([\d.]+)\s*(\w+)", self.memory_limit).groups()  # type: ignore[union-attr]
        return f"{float(number) / parts:.3f}{unit}"

    @field_validator("memory_limit")
    @classmethod
    def _memory(cls, value: str) -> str:
        if not re.fullmatch(r"\d+(\.\d+)?\s*[KMGT]i?B", value, re.IGNORECASE):
            raise ValueError("must be an amount of memory such as 3GB or 512MiB")
        return value

    @field_validator(
        "lookback",
        "sweep_every",
        "future_tolerance",
        "seal_after",
        "schedule_lag",
        "freshness",
        "snapshot_retention",
        "max_clock_lead",
        "run_history",
        "lock_timeout",
    )
    @classmethod
    def _not_negative(cls, value: timedelta) -> timedelta:
        if value < timedelta(0):
            raise ValueError("must not be negative")
        return value

    @property
    def feed_root(self) -> str:
        """The folder or URL below which feeds are delivered, without a trailing slash."""
        return (self.feed_url or str(self.home / "landing")).rstrip("/")

    @property
    def limits(self) -> Limits:
        """What one delivery may take."""
        return Limits(
            self.max_delivery_bytes,
            self.max_delivery_records,
            self.max_delivery_expansion,
            self.max_delivery_memory,
        )

    @property
    def data_root(self) -> str:
        """The folder or URL of the warehouse's data files."""
        return self.data_path or str(self.home / "warehouse" / "data")

    @property
    def catalog_file(self) -> Path | None:
        """The file of a SQLite catalog; None where the catalog is in PostgreSQL."""
        catalog = self.catalog or str(self.home / "warehouse" / "catalog.sqlite")
        return None if catalog.startswith(("postgres:", "postgresql:")) else Path(catalog.removeprefix("sqlite:"))

    @property
    def raw_dir(self) -> Path:
        """The raw lake: one immutable Parquet file per delivery, and its index."""
        return self.home / "raw"

    @property
    def work_dir(self) -> Path:
        """Scratch space of the run under way, and of processes that read; nothing here outlives them."""
        return self.home / "work"

    @property
    def cache_dir(self) -> Path:
        """What is worked out of the release itself, where that may not be written; it is made again if it is lost."""
        return self.home / "cache"

    @property
    def spill_dir(self) -> Path:
        """Where each process has a folder for what does not fit into memory."""
        return self.work_dir / "spill"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: runs, events, schedules."""
        return self.home / "dagster"

    @property
    def docs_dir(self) -> Path:
        """The data docs site that auditors read."""
        return self.home / "data_docs"

    @property
    def review_file(self) -> Path:
        """The auditor's page, where no other place is named for it."""
        return self.docs_dir / "review.html"

    @property
    def warehouse_lock(self) -> Path:
        """The lock file that a run holds while it stages, checks and publishes."""
        return self.home / "warehouse.lock"

    @property
    def own_feeds_dir(self) -> Path:
        """The feeds that the product itself makes, which every run takes whatever the source is."""
        return self.home / "own_feeds"

    @property
    def report_dir(self) -> Path:
        """What the report keeps: named reports, and exports of sessions."""
        return self.home / "report"

    @property
    def report(self) -> ReportSettings:
        """The settings of the report's web page."""
        assert self._report is not None, "the settings were not made by load_settings"
        return self._report

    @property
    def cxone(self) -> CxoneSettings:
        """The settings of the vendor's API; there are some where it is the source."""
        assert self._cxone is not None, "AUDIT_SOURCE is not cxone"
        return self._cxone

    @property
    def retention_rules(self) -> RetentionRules:
        """How long the feed hours of each feed are kept."""
        return parse_retention(self.retention or "", catalogue.slugs())

    @cached_property
    def expected_feeds(self) -> list[str]:
        """The slugs of the feeds whose absence from a closed feed hour is reported."""
        return self.applications or catalogue.report_prompt_slugs()


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment, `.env` and `overrides` (by field name).

    Raises:
        SettingsError: naming every variable that is wrong, its value, and what it must be.
        SeedError: if the catalogue, from which some settings take their values, has a wrong row.
    """
    catalogue.check()
    try:
        settings = Settings(**overrides)
        settings._report = ReportSettings.model_validate({})
        if settings.source == "cxone":
            settings._cxone = CxoneSettings.model_validate({})
            if missing := settings._cxone.missing():
                raise SettingsError("\n".join(missing))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{Path(ENV_FILE).absolute()} cannot be read: {reason}") from None
    except ValidationError as error:
        (prefix,) = (prefix for kind, prefix in _prefixes() if kind.__name__ == error.title)
        raise SettingsError("\n".join(_explain(prefix, item) for item in error.errors())) from None
    if overlapping := overlaps(settings):
        raise SettingsError("\n".join(overlapping))
    return settings


def misspelt() -> dict[str, str]:
    """Names in the environment and in `.env` that look like a setting's and are none, each with the one it looks like.

    Others are left alone: a source of your own may have settings of its own.
    """
    known = [f"{prefix}{field}".upper() for kind, prefix in _prefixes() for field in kind.model_fields]
    given = {name.upper() for name in (*os.environ, *dotenv_values(ENV_FILE))} - {*known}
    ours = sorted(name for name in given if name.startswith(("AUDIT_", "CXONE_")))
    alike = {name: get_close_matches(name, known, n=1, cutoff=_ALIKE) for name in ours}
    return {name: found[0] for name, found in alike.items() if found}


def _prefixes() -> list[tuple[type[BaseSettings], str]]:
    return [(kind, kind.model_config.get("env_prefix", "")) for kind in (Settings, ReportSettings, CxoneSettings)]


def _explain(prefix: str, item: Any) -> str:
    name = prefix + "_".join(str(part) for part in item["loc"]).upper()
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "literal_error":
        message = "must be " + item["ctx"]["expected"]
    elif item["type"].startswith("int"):
        message = "must be a whole number"
    elif item["type"].startswith("float"):
        message = "must be a number"
    elif item["type"] == "greater_than_equal":
        message = f"must be at least {_number(item['ctx']['ge'])}"
    elif item["type"] == "less_than_equal":
        message = f"must be at most {_number(item['ctx']['le'])}"
    # A URL of the API may have a password or a key in it.
    value = "…" if prefix == "CXONE_" and re.search("[@?]", str(item["input"])) else item["input"]
    return f"{name}={without_secrets(repr(value))}: {message}"


def _number(bound: float) -> str:
    """A bound as people write it: pydantic makes 1.0 of the 1 that it is."""
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
