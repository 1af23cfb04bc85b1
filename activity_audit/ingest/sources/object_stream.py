"""The bytes of one version of a stored object, as a stream.

A delivery must never be a mix of two versions. Where the store's own file sends the version with every request (S3:
If-Match), that is enough; else the version is asked for before and after.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import Any

from activity_audit.base.masking import without_secrets

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
    """What `open_file` opens, of one version only; it reads forwards and holds little in memory.

    `current_token()` asks the store for the version that it has now; `listed` is the token of the listing.

    Raises:
        FileNotFoundError: by the constructor or while it is read, if the object is gone or has been replaced.
        OSError: likewise, if it cannot be read.
    """

    def __init__(self, open_file: Callable[[], Any], current_token: Callable[[], str], listed: str) -> None:
        super().__init__()
        self._current_token = current_token
        self._token: str | None = None
        self._file: Any = None
        self._file = self._asking(open_file)
        # The file's own requests ask for no other version than the one that it was opened as.
        self._is_conditional = "IfMatch" in getattr(self._file, "read_kw", {})
        if self._is_conditional:
            self._token = listed
            self._compare(token_of(self._file.details))
        else:
            # Not the token of the listing: there are stores that describe an object otherwise when it is asked for.
            self._token = self._asking(current_token)
            self._file.close()
            self._file = self._asking(open_file)

    def readable(self) -> bool:
        """See io.IOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase."""
        data = self._asking(lambda: self._file.read(len(buffer)))
        if not data and not self._is_conditional:
            self._compare(self._asking(self._current_token))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """See io.IOBase."""
        if self._file is not None:
            self._file.close()
        super().close()

    def _compare(self, token: str) -> None:
        if token != self._token:
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
        """Whether that is why a request was refused; False where it is not known."""
        try:
            return self._token is not None and self._current_token() != self._token
        except FileNotFoundError:
            return True
        except Exception:
            return False
