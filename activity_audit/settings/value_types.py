"""The types of setting values: durations, feed hours, URLs, lists; a wrong value says what it must be."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from activity_audit.base.hours import EARLIEST_YEAR, floor_hour, parse_time

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|m|h|d)?\s*$", re.IGNORECASE)
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(i?)B", re.IGNORECASE)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# A longer one would lead out of the calendar when it is counted back from now.
_LONGEST_DURATION = timedelta(days=36_500)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_duration(value: Any) -> timedelta:
    """A duration such as `90s`, `30m`, `3h`, `2d`, or a number of seconds."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(str(value))
    if not match:
        raise ValueError("must be a duration such as 90s, 30m, 3h or 2d")
    seconds = float(match[1]) * _UNIT_SECONDS[(match[2] or "s").lower()]
    if seconds > _LONGEST_DURATION.total_seconds():
        raise ValueError(f"must be at most {_LONGEST_DURATION.days}d")
    return timedelta(seconds=seconds)


def checked_url(value: str) -> str:
    """The URL without a trailing slash, if secrets may be sent there.

    Raises:
        ValueError: saying what it must be.
    """
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be a URL such as https://api-na1.niceincontact.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must be without a user name and a password")
    if parts.query or parts.fragment:
        raise ValueError("must be without ? and #")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("must begin with https://; a secret must not be sent in the clear")
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


def _hour(value: Any) -> datetime:
    hour = value if isinstance(value, datetime) else parse_time(str(value))
    if floor_hour(hour) != hour or hour.year < EARLIEST_YEAR:
        raise ValueError(f"must be a full hour such as 2026-05-01T00:00:00Z, not before {EARLIEST_YEAR}")
    return hour


def _names(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: Any) -> Any:
    try:
        return [ipaddress.ip_network(part) for part in _names(value)]
    except ValueError as error:
        raise ValueError(f"must be addresses or networks such as 10.0.0.5,10.1.0.0/16; {error}") from None


def _path_text(value: Any) -> Any:
    if "://" in str(value):
        raise ValueError("must be a path of this machine, such as /srv/audit; it is a URL")
    return value


def _umask(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"0{0,2}[0-7]{1,2}|0?0[0-7]{2}", value.strip()):
        raise ValueError("must be an octal number that leaves the owner their rights, such as 077 or 027")
    return int(value, 8) if isinstance(value, str) else value


def _memory(value: str) -> str:
    if not _MEMORY.fullmatch(value):
        raise ValueError("must be an amount of memory such as 3GB or 512MiB")
    return value


def bytes_of(memory: str) -> int:
    """How many bytes an amount of memory such as `3GB` or `512MiB` is."""
    number, unit, is_binary = _MEMORY.fullmatch(memory).groups()  # type: ignore[union-attr]
    return int(float(number) * (1024 if is_binary else 1000) ** ("KMGT".index(unit.upper()) + 1))


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[timedelta, BeforeValidator(parse_duration), AfterValidator(_positive)]
# A feed hour such as `2026-05-01T00:00:00Z`, aware; without a zone it is UTC.
Hour = Annotated[datetime, BeforeValidator(_hour)]
Url = Annotated[str, AfterValidator(checked_url)]
Memory = Annotated[str, AfterValidator(_memory)]
AbsolutePath = Annotated[Path, BeforeValidator(_path_text), AfterValidator(lambda path: path.expanduser().absolute())]
Umask = Annotated[int, BeforeValidator(_umask)]
# Separated by commas.
Names = Annotated[list[str], BeforeValidator(_names)]
Networks = Annotated[list[Network], BeforeValidator(_networks)]
