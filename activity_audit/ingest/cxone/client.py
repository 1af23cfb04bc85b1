"""The HTTP client of the API: one page for one URL, with as many attempts as that needs."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from activity_audit.base.delivery_limits import DEFAULT, Limits
from activity_audit.base.hours import now_utc
from activity_audit.base.masking import url_without_secrets
from activity_audit.ingest.cxone.answers import (
    Attempts,
    TransientError,
    Verdict,
    json_object,
    message_of,
    try_again,
    verdict,
)
from activity_audit.ingest.cxone.pages import BrokenPageError, Page, PageError, origin, parse_page
from activity_audit.ingest.cxone.tokens import Secrets
from activity_audit.ingest.sources.source import SourceError, SourceRefusedError
from activity_audit.settings.cxone import CxoneSettings
from activity_audit.settings.value_types import checked_url

if TYPE_CHECKING:
    import httpx

_SETTINGS_BY_STATUS = {
    400: "CXONE_TIME_FORMAT and CXONE_PAGE_SIZE",
    404: "CXONE_API_URL and CXONE_AUDIT_PATH",
}


@dataclass(frozen=True)
class Fetched:
    """A page, the bytes that it was, and the request that gave it (without secrets)."""

    page: Page
    body: bytes
    request_url: str
    status: int
    fetched_at: datetime


class Client:
    """One connection to the API, for several threads. `stop` ends what it is waiting for."""

    def __init__(self, settings: CxoneSettings, stop: threading.Event, limits: Limits = DEFAULT) -> None:
        self.limits = limits
        self._settings = settings
        self._attempts = Attempts(settings, stop)
        self._secrets = Secrets(settings)
        self._lock = threading.Lock()
        self._api_url = settings.api_url

    def close(self) -> None:
        """Close the connections."""
        if "_http" in self.__dict__:
            self._http.close()

    def api_url(self) -> str:
        """The tenant's API: the setting, or what the tenant's configuration says.

        Raises:
            SourceError: if the configuration cannot be read, or names no API.
        """
        with self._lock:
            if not self._api_url:
                where = self._settings.discovery_url
                self._api_url = self._attempts.call(self._discover, f"the API is not found through {where}")
            return self._api_url

    def get(self, url: str) -> Fetched:
        """The page at a URL of the API.

        Raises:
            SourceRefusedError: if the API refuses the request or the token, or answers with no page.
            SourceError: if it could not be had, after all attempts.
            DeliveryError: if it takes more memory than `limits` say.
        """
        base = self.api_url()
        if origin(str(self._parsed(url))) != origin(base):
            raise SourceRefusedError(
                f"{url_without_secrets(url)} is on another host than {base}; nothing is sent there"
            )
        try:
            return self._attempts.call(lambda: self._fetch(url), url_without_secrets(url))
        except SourceError as error:
            raise type(error)(self._secrets.hidden(str(error))) from None

    @cached_property
    def _http(self) -> httpx.Client:
        from activity_audit.ingest.cxone import bounded
        from activity_audit.ingest.cxone.tokens import Tokens

        # It logs each URL as it is, and a link of the server's may have a token in it.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        client = bounded.client(self._settings.timeout.total_seconds(), self.limits)
        client.auth = Tokens(self._settings, client, self._attempts, self._secrets)
        return client

    def _fetch(self, url: str) -> Fetched:
        response = self._send(url)
        if (judged := verdict(response.status_code)) is not Verdict.FINE:
            raise self._error(url, response, judged)
        body = self._secrets.hidden_in_page(response.content)
        try:
            page = parse_page(body)
            if body != response.content:
                # What leads to the next page must be sent as it came.
                sent = parse_page(response.content)
                page = replace(page, next_link=sent.next_link, ref=sent.ref)
        except BrokenPageError as error:
            raise TransientError(f"the answer is {error}") from None
        except PageError as error:
            raise SourceRefusedError(
                f"{url_without_secrets(url)}: the answer is not a page of the audit: {error}; check "
                "CXONE_API_URL and CXONE_AUDIT_PATH"
            ) from None
        return Fetched(page, body, url_without_secrets(url), response.status_code, now_utc())

    def _error(self, url: str, response: httpx.Response, judged: Verdict) -> Exception:
        said = message_of(response.status_code, self._secrets.hidden(response.text))
        where = url_without_secrets(url)
        if judged is Verdict.AGAIN:
            hint = " (too many calls, or the key has no right to read the audit)" if response.status_code == 403 else ""
            return try_again(f"the API answered {said}{hint}", response.headers)
        if judged is Verdict.UNAUTHORISED:
            return SourceRefusedError(
                f"{where}: the API refuses the token ({said}); check the rights of the access key, and that "
                "CXONE_API_URL and CXONE_TOKEN_URL belong to the same tenant"
            )
        see_to = _SETTINGS_BY_STATUS.get(response.status_code, "CXONE_API_URL")
        return SourceRefusedError(f"{where}: the API answered {said}; check {see_to}")

    def _send(self, url: str, **options: Any) -> httpx.Response:
        import httpx

        try:
            return self._http.get(self._parsed(url), **options)
        except httpx.RequestError as error:
            raise TransientError(f"the API cannot be reached ({error or type(error).__name__})") from None

    @staticmethod
    def _parsed(url: str) -> httpx.URL:
        import httpx

        try:
            return httpx.URL(url)
        except httpx.InvalidURL as error:
            raise SourceRefusedError(
                f"{url_without_secrets(url)} is not a URL ({error}); check CXONE_API_URL"
            ) from None

    def _discover(self) -> str:
        url = f"{self._settings.discovery_url}?{urlencode({'tenantId': self._settings.tenant_id})}"
        response = self._send(url, auth=None)
        said = message_of(response.status_code, response.text)
        if verdict(response.status_code) is Verdict.AGAIN:
            raise try_again(f"it answered {said}", response.headers)
        if response.status_code != 200:
            raise SourceRefusedError(f"{url} answered {said}; check CXONE_DISCOVERY_URL and CXONE_TENANT_ID")
        try:
            return checked_url(str(json_object(response.content).get("api_endpoint")))
        except ValueError as error:
            raise SourceRefusedError(
                f"{url} names no API: api_endpoint {error}; check CXONE_TENANT_ID, or set CXONE_API_URL"
            ) from None
