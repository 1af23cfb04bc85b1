"""File systems of fsspec, by the URLs that settings name."""

from __future__ import annotations

from typing import Any

from activity_audit.base.masking import without_secrets

# What `uv sync --extra` installs, by URL scheme.
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure", "adl": "azure"}


class ObjectUrlError(ValueError):
    """A URL cannot be opened; the message names the setting and says what to do."""


def open_url(url: str, setting: str) -> tuple[Any, str]:
    """The file system of a URL that is not of this machine, and the path of the URL in it; `setting` names it.

    Raises:
        ObjectUrlError: if nothing that is installed can open it; the message says what to install.
    """
    import fsspec

    shown = f"{setting}={without_secrets(url)!r}"
    try:
        files, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(url.partition("://")[0].lower())
        how = f"run `.venv/bin/uv sync --locked --inexact --extra {extra}`" if extra else str(error)
        raise ObjectUrlError(f"{shown} needs a package that is not installed: {how}") from None
    except Exception as error:
        raise ObjectUrlError(f"{shown} cannot be opened: {reason(error)}") from None
    if _is_local(files):
        raise ObjectUrlError(f"{shown} is a folder of this machine; write it as a path")
    return files, root.rstrip("/")


def schemes(files: Any) -> tuple[str, ...]:
    """The names of a file system's protocol."""
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def reason(error: Exception) -> str:
    """What an error of a store says, without secrets."""
    return without_secrets(str(error) or type(error).__name__)


def _is_local(files: Any) -> bool:
    """Whether it is a file system of this machine, or stands before one; neither knows which links lead out of it."""
    inner = getattr(files, "fs", None)
    return "file" in schemes(files) or (inner is not None and _is_local(inner))
