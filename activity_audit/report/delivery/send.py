"""Brings a finished file to where a subscription wants it: into a folder or a bucket, or by mail."""

from __future__ import annotations

import ipaddress
import shutil
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

from activity_audit.base.faults import FaultError
from activity_audit.base.masking import without_secrets
from activity_audit.base.object_urls import ObjectUrlError
from activity_audit.base.shown_text import visible
from activity_audit.base.storage_paths import local_path, place
from activity_audit.settings.private_files import for_people
from activity_audit.upkeep.copying import store_at

if TYPE_CHECKING:
    from activity_audit.raw.store import RawStore
    from activity_audit.settings.delivery import MailServer

_SETTING = "AUDIT_DELIVERY_PATH"
_TIMEOUT = 60


class NotSentError(RuntimeError):
    """A file could not be brought to its place; the message says why, without secrets."""


@dataclass(frozen=True)
class Folder:
    """A folder below AUDIT_DELIVERY_PATH, which may be in a bucket."""

    root: str
    name: str

    def shown(self, name: str = "") -> str:
        """How people call a file in it."""
        return without_secrets("/".join(part for part in (self.root.rstrip("/"), self.name, name) if part))

    @property
    def is_below(self) -> bool:
        """Whether it is below the root, by whichever links."""
        return place(self.shown()).is_in(place(self.root))

    def has(self, name: str) -> bool:
        """Whether there is a file of this name.

        Raises:
            NotSentError: if nobody can say.
        """
        try:
            return self._store().exists(name)
        except (OSError, FaultError, ObjectUrlError) as error:
            raise self._failed(error) from None

    def put(self, files: Sequence[tuple[Path, str]]) -> None:
        """Have these whole files there under their names, the last one last; one that is there already stays.

        Raises:
            NotSentError: if one cannot be put there.
        """
        root, folder = local_path(self.root), local_path(self.shown())
        if root and not root.is_dir():
            raise NotSentError(f"there is no folder {root}; make or mount it, or correct {_SETTING}")
        if not self.is_below:
            raise NotSentError(f"{self.shown()} leads out of {_SETTING}")
        try:
            store = self._store()
            for path, name in files:
                # It gets its name where it is, so that nobody sees half of it.
                beside = folder / f".{name}.part" if folder else path.with_name(f"{path.name}.sent")
                with for_people():
                    beside.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, beside)
                with store.writing() as writer:
                    writer.publish([(beside, name)])
                    writer.settle([name])
        except (OSError, FaultError, ObjectUrlError) as error:
            raise self._failed(error) from None

    def _store(self) -> RawStore:
        folder = local_path(self.root)
        return store_at(str(folder / self.name) if folder else self.shown(), _SETTING)

    def _failed(self, error: Exception) -> NotSentError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return NotSentError(f"{self.shown()} cannot be written: {without_secrets(why)}")


@dataclass(frozen=True)
class Mail:
    """A mail with files; one that is sent again has the same `message_id`, by which a mailbox knows it."""

    message_id: str
    subject: str
    text: str
    files: Sequence[Path]

    def send(self, server: MailServer, address: str) -> None:
        """Send it to one address.

        Raises:
            NotSentError: if the server cannot be reached, or does not take it.
        """
        try:
            with closing(_connected(server)) as connection:
                connection.send_message(self._message(server.sender, address))
                connection.quit()
        except (smtplib.SMTPException, OSError) as error:
            raise NotSentError(f"{server.host}:{server.port} did not take the mail: {_why(error)}") from None

    def _message(self, sender: str, address: str) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, address, visible(self.subject)
        message["Message-ID"], message["Date"] = self.message_id, formatdate()
        # Who is away must not answer a machine.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content("\n".join(map(visible, self.text.split("\n"))))
        for path in self.files:
            kind = (guess_type(path.name)[0] or "application/octet-stream").split("/")
            message.add_attachment(path.read_bytes(), maintype=kind[0], subtype=kind[1], filename=path.name)
        return message


def _connected(server: MailServer) -> smtplib.SMTP:
    """A connection that is signed in, over TLS where the server has it; a password never goes in the clear."""
    context = ssl.create_default_context()
    if server.has_tls:
        connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT)
    try:
        connection.ehlo()
        is_safe = server.has_tls or _is_loopback(server.host)
        if not server.has_tls and connection.has_extn("starttls"):
            connection.starttls(context=context)
            connection.ehlo()
            is_safe = True
        if server.user and server.password:
            if not is_safe:
                raise smtplib.SMTPException("it has no TLS, and a password must not be sent in the clear")
            connection.login(server.user, server.password)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _why(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return f"{code} {text.decode(errors='replace')}"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
    return without_secrets(getattr(error, "strerror", None) or str(error))
