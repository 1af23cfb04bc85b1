"""The bytes of one version of a stored object, as a stream.

A delivery must never be a mix of two versions. Where the store's own file sends the version with every request (S3:
If-Match), that is enough; else the version is asked for again at the end.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import Any

from orchestration.masking import without_secrets

_VERSION_KEYS = ("ETag", "etag", "md5Hash", "version_id", "versionId")
_TIME_KEYS = ("mtime", "LastModified", "last_modified", "updated", "created")


def token_of(details: dict[str, Any]) -> str:
    """What tells this version of an object from any other, from what the store says about it."""
    version = next((details[key] for key in _VERSION_KEYS if details.get(key)), None)
    if version is None:
        version = ":".join(str(details.get(key)) for key in _TIME_KEYS)
    return f"{details.get('size')}:{version}"


def _is_refusal(error: Exception) -> bool:
    """Whether a store has answered, and said no; one that cannot be reached need not be asked again."""
    return isinstance(error, OSError) and not isinstance(error, (ConnectionError, TimeoutError))


class ObjectStream(io.RawIOBase):
    """What `open_file` opens, as long as `current_token()` is `token`; it reads forwards and holds little in memory.

    Raises:
        FileNotFoundError: by the constructor or while it is read, if the object is gone or has been replaced.
        OSError: likewise, if it cannot be read.
    """

    def __init__(self, open_file: Callable[[], Any], current_token: Callable[[], str], token: str) -> None:
        super().__init__()
        self._current_token = current_token
        self._token = token
        self._file: Any = None
        self._file = self._asking(open_file)
        # What the file was opened as; its own requests then ask for no other version.
        self._is_conditional = "IfMatch" in getattr(self._file, "read_kw", {})
        self._compare(token_of(self._file.details) if self._is_conditional else None)

    def readable(self) -> bool:
        """See io.IOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase."""
        data = self._asking(lambda: self._file.read(len(buffer)))
        if not data and not self._is_conditional:
            self._compare(None)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """See io.IOBase."""
        if self._file is not None:
            self._file.close()
        super().close()

    def _compare(self, token: str | None) -> None:
        if (token or self._asking(self._current_token)) != self._token:
            raise FileNotFoundError(errno.ENOENT, "it has been replaced")

    def _asking(self, question: Callable[[], Any]) -> Any:
        """The answer of the store; what went wrong is an OSError, whatever the store makes of it."""
        try:
            return question()
        except FileNotFoundError:
            raise
        except Exception as error:
            if _is_refusal(error) and self._is_replaced():
                raise FileNotFoundError(errno.ENOENT, "it has been replaced") from None
            raise OSError(errno.EIO, without_secrets(str(error) or type(error).__name__)) from None

    def _is_replaced(self) -> bool:
        """Whether that is why a request was refused; False where the store does not answer."""
        try:
            return self._current_token() != self._token
        except FileNotFoundError:
            return True
        except Exception:
            return False
