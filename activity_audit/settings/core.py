"""Every setting of the product, read here and nowhere else.

Settings are environment variables (or lines of a `.env` file in the working directory). Each has a
default that works; a wrong value is refused with the variable's name and what it must be.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

from activity_audit.base import catalogue
from activity_audit.base.delivery_limits import DEFAULT as LIMITS
from activity_audit.base.delivery_limits import Limits
from activity_audit.base.masking import has_credentials
from activity_audit.base.sql_text import PATTERN
from activity_audit.base.storage_paths import local_path
from activity_audit.settings import environment
from activity_audit.settings.alerts import places
from activity_audit.settings.cxone import CxoneSettings
from activity_audit.settings.delivery import DeliverySettings
from activity_audit.settings.folders import Folders, overlaps
from activity_audit.settings.report import ReportSettings
from activity_audit.settings.retention import RetentionRules, parse_retention
from activity_audit.settings.value_types import (
    AbsolutePath,
    Duration,
    Hour,
    Memory,
    Names,
    PositiveDuration,
    Umask,
    bytes_of,
)

# As JSON a record may take six times its bytes, and Arrow's texts have 2 GiB at most.
_MOST_RECORD_BYTES = 256 << 20
# Python and dbt take two thirds of it.
_LEAST_MEMORY = 512 << 20
_PEBIBYTE = 1 << 50
_TEBIBYTE = 1 << 40
_OWN_SOURCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_NO_BACKSLASH = "must not contain a backslash, which DuckDB takes for a slash"


class SettingsError(ValueError):
    """A setting has a value that it must not have; the message names it and says what it must be."""


class Settings(Folders, BaseModel):
    """The settings of one process; VARIABLES has the variable of each."""

    model_config = ConfigDict(validate_default=True)

    home: AbsolutePath = Field(Path("var"), description="the folder that holds all state")
    cache: AbsolutePath | None = Field(
        None, description="where what is worked out of the release is kept; default in $AUDIT_HOME"
    )
    source: str = Field("files", description="where feeds come from: files, cxone, or package.module:Class")
    feed_url: str | None = Field(None, description="a folder, or any fsspec URL; default $AUDIT_HOME/landing")
    lookback: Duration = Field(timedelta(days=2), description="how far back from now every look at a bucket goes")
    sweep_every: Duration = Field(timedelta(days=1), description="how often a look at a bucket goes over all of it")
    applications: Names = Field(
        default_factory=list,
        description="the slugs of the feeds that are expected; default: the report prompt's",
    )
    catalog: str | None = Field(
        None,
        description="the DuckLake catalog: a SQLite file or a postgres connection; default in $AUDIT_HOME",
    )
    data_path: str | None = Field(None, description="where the lake's Parquet files are; default in $AUDIT_HOME")
    raw_path: str | None = Field(
        None, description="where the raw lake is: a folder, or any fsspec URL; default in $AUDIT_HOME"
    )
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
        description="how long after its end a feed hour is due, so that data that end before it are stale",
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
    dagster_storage: str | None = Field(
        None, description="a PostgreSQL URL for Dagster's records of several machines; default in $AUDIT_HOME"
    )
    umask: Umask | None = Field(
        None, description="the umask of all that is written below the home, in octal; default: what the home grants"
    )
    lock_timeout: Duration = Field(
        timedelta(hours=1), description="how long a run waits for another run to let go of the warehouse"
    )
    memory_limit: Memory = Field(
        "3GB", description="what a run may use before DuckDB spills to disk, two thirds of it for DuckDB"
    )
    sql_timeout: PositiveDuration = Field(timedelta(minutes=30), description="how long a query of `audit sql` may take")
    workers: int = Field(
        1, ge=1, le=64, description="how many processes of this machine parse and judge the records of a large run"
    )
    exchange_path: str | None = Field(
        None,
        description="where the steps of a distributed run hand on files; a folder or URL; default in $AUDIT_HOME",
    )
    executor: Literal["in_process", "multiprocess", "celery", "kubernetes"] = Field(
        "multiprocess", description="what runs the steps of a distributed run in Dagster"
    )
    celery_broker: str = Field(
        "redis://localhost:6379/0", description="the queue of Celery's workers, and where they leave results"
    )
    ledger_head_file: AbsolutePath | None = Field(
        None, description="a file, best on another mount, to which each run appends the ledger's newest entry"
    )
    publish_to: Names = Field(
        default_factory=list,
        description="copies that each run brings up to date, as `audit publish --to` takes them",
    )
    alert_to: SecretStr | None = Field(
        None, description="where alerts are sent: URLs of apprise, separated by spaces or commas"
    )
    backup_to: str | None = Field(None, description="where `audit backup` keeps backups: a folder, or any fsspec URL")
    backup_keep: int = Field(7, ge=1, le=10_000, description="how many backups are kept there")
    metrics_file: AbsolutePath | None = Field(
        None, description="a file *.prom that node_exporter reads, which runs and looks write metrics to"
    )
    log: Literal["text", "json"] = Field("text", description="how what is logged is written to standard error")
    docs_runs: int = Field(200, ge=1, le=100_000, description="how many runs' validation pages the data docs keep")
    delivery: DeliverySettings = DeliverySettings.model_validate({})
    report: ReportSettings = ReportSettings.model_validate({})
    cxone: CxoneSettings = CxoneSettings.model_validate({})

    @field_validator("feed_url", "data_path", "raw_path", "exchange_path", "backup_to")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        if value and has_credentials(value):
            raise ValueError("must have no password or key in it; put them into the store's own environment")
        return value

    @field_validator("dagster_storage")
    @classmethod
    def _postgresql_without_password(cls, value: str | None) -> str | None:
        if value and not value.startswith("postgresql://"):
            raise ValueError("must be a PostgreSQL URL, postgresql://user@host/database")
        if value and has_credentials(value):
            raise ValueError("must have no password in it; put it into PGPASSWORD, or into the file of PGPASSFILE")
        return value

    @field_validator("data_path", "raw_path", "exchange_path")
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
    def _plain_home(cls, value: Path) -> Path:
        if "?" in str(value):
            raise ValueError("must not contain a ?, behind which DuckDB looks for options")
        if "\\" in str(value):
            raise ValueError(_NO_BACKSLASH)
        return value

    @field_validator("source")
    @classmethod
    def _known_source(cls, value: str) -> str:
        if value not in ("files", "cxone") and not _OWN_SOURCE.fullmatch(value):
            raise ValueError("must be 'files', 'cxone', or a class of your own as package.module:Class")
        return value

    @field_validator("applications")
    @classmethod
    def _known_slugs(cls, value: list[str]) -> list[str]:
        known = catalogue.slugs()
        unknown = [slug for slug in value if slug not in known]
        if unknown:
            raise ValueError(f"must be slugs of the catalogue ({', '.join(known)}); unknown: {', '.join(unknown)}")
        return value

    @field_validator("publish_to")
    @classmethod
    def _targets_without_secrets(cls, value: list[str]) -> list[str]:
        for target in value:
            if has_credentials(target):
                raise ValueError("must have no password in it; put it into PGPASSWORD, or a file that PGPASSFILE names")
        return value

    @field_validator("metrics_file")
    @classmethod
    def _for_node_exporter(cls, value: Path | None) -> Path | None:
        if value and value.suffix != ".prom":
            raise ValueError("must end with .prom; node_exporter reads no other file")
        return value

    @field_validator("alert_to")
    @classmethod
    def _places(cls, value: SecretStr | None) -> SecretStr | None:
        places(value.get_secret_value() if value else "")
        return value

    @field_validator("cxone", mode="before")
    @classmethod
    def _only_as_the_source(cls, value: Any, others: ValidationInfo) -> Any:
        return value if others.data.get("source") == "cxone" else {}

    @field_validator("workers")
    @classmethod
    def _with_memory(cls, value: int, others: ValidationInfo) -> int:
        limit = others.data.get("memory_limit")
        if value > 1 and limit and bytes_of(limit) < (value + 1) * _LEAST_MEMORY:
            raise ValueError(
                f"must be fewer, or AUDIT_MEMORY_LIMIT more than {limit}: so many workers and the run's own process "
                f"need {(value + 1) * _LEAST_MEMORY >> 20}MiB"
            )
        return value

    @field_validator("retention")
    @classmethod
    def _retention(cls, value: str | None) -> str | None:
        parse_retention(value or "", catalogue.slugs())
        return value

    def memory_share(self, share: float) -> str:
        """The memory limit of a DuckDB that may use this share (of 1) of what `memory_limit` says."""
        number, unit = re.fullmatch(r"([\d.]+)\s*(\w+)", self.memory_limit).groups()  # type: ignore[union-attr]
        return f"{float(number) * share:.3f}{unit}"

    @property
    def worker_memory(self) -> str:
        """The memory limit of one of the workers that share this machine; the run's own process has as much."""
        return self.memory_limit if self.workers == 1 else self.memory_share(1 / (self.workers + 1))

    @property
    def limits(self) -> Limits:
        """What one delivery may take."""
        return Limits(
            self.max_delivery_bytes, self.max_delivery_records, self.max_delivery_expansion, self.max_delivery_memory
        )

    @property
    def retention_rules(self) -> RetentionRules:
        """How long the feed hours of each feed are kept."""
        return parse_retention(self.retention or "", catalogue.slugs())

    @cached_property
    def alert_urls(self) -> list[str]:
        """Where alerts are sent: URLs of apprise, which are secrets."""
        return places(self.alert_to.get_secret_value() if self.alert_to else "")

    @cached_property
    def expected_feeds(self) -> list[str]:
        """The slugs of the feeds whose absence from a closed feed hour is reported."""
        return self.applications or catalogue.report_prompt_slugs()


VARIABLES = environment.variables(Settings)
# Those whose value may be in a file that NAME_FILE names.
SECRETS = tuple(environment.secrets(Settings))


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment, `.env` and `overrides` (by field name).

    Raises:
        SettingsError: naming every variable that is wrong, its value, and what it must be.
        SeedError: if the catalogue, from which some settings take their values, has a wrong row.
    """
    catalogue.check()
    try:
        settings = Settings.model_validate(environment.values(VARIABLES, SECRETS) | overrides)
    except environment.SecretFileError as error:
        raise SettingsError(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{Path(environment.FILE).absolute()} cannot be read: {reason}") from None
    except ValidationError as error:
        raise SettingsError(environment.explained(error)) from None
    missing = settings.cxone.missing() if settings.source == "cxone" else []
    if wrong := missing + overlaps(settings):
        raise SettingsError("\n".join(wrong))
    return settings
