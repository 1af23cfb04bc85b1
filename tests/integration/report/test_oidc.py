"""Signing in at an OpenID provider: a real one on loopback, a real report, and a browser that goes between them."""

from __future__ import annotations

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from activity_audit.report.access import oidc
from activity_audit.report.access.pending import Pending
from activity_audit.settings.core import load_settings
from activity_audit.settings.report import ReportSettings
from tests.integration.openid_provider import CLIENT, SECRET, Provider, openid_provider
from tests.integration.report_support import Served, browser, get, served


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with openid_provider() as running:
        yield running


@pytest.fixture(scope="module")
def report(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A report of that provider; nothing is published in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_HOME", str(tmp_path_factory.mktemp("oidc") / "home"))
        environment = {
            "AUDIT_REPORT_AUTH": "oidc",
            "AUDIT_REPORT_OIDC_ISSUER": provider.issuer,
            "AUDIT_REPORT_OIDC_CLIENT_ID": CLIENT,
            "AUDIT_REPORT_OIDC_CLIENT_SECRET": SECRET,
        }
        with served(load_settings(), **environment) as server:
            yield server


@pytest.fixture(autouse=True)
def _as_it_was(provider: Provider) -> Iterator[None]:
    keys = list(provider.keys)
    yield
    provider.claims, provider.refuses, provider.key, provider.keys = {}, None, None, keys
    provider.is_unsigned, provider.metadata = False, {}


def test_who_signs_in_gets_the_page_they_wanted(report: Served) -> None:
    with browser(report.base, follow_redirects=True) as client:
        page = client.get("/data-docs/none.html?x=1")
        # There is none, which only an auditor is told.
        assert (page.status_code, page.url.path, page.url.query) == (404, "/data-docs/none.html", b"x=1")
        assert "clarissa.dalloway" in page.text
        assert client.get("/export").status_code != 403


def _signed(key: RSAKey) -> Callable[[Provider], None]:
    return lambda provider: setattr(provider, "key", key)


def _claims(**claims: Any) -> Callable[[Provider], None]:
    return lambda provider: setattr(provider, "claims", claims)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_claims(aud="another"), "does not hold"),
        (_claims(aud=[CLIENT, "another"]), "for another client too"),
        (_claims(aud=[CLIENT, "another"], azp="another"), "for another client too"),
        (_claims(iss="http://127.0.0.1:1"), "does not hold"),
        (_claims(exp=int(time.time()) - 3600), "does not hold"),
        (_claims(nonce="of another sign-in"), "does not hold"),
        (_claims(nonce=None), "does not hold"),
        (_claims(sub=""), "does not hold"),
        (_claims(exp=None), "does not hold"),
        (_claims(iat=None), "does not hold"),
        (_claims(at_hash="of another token"), "does not hold"),
        (_claims(at_hash=["a"]), "does not hold"),
        (_signed(RSAKey.generate_key(2048, {"kid": "1"})), "not signed by the provider"),
        (_signed(RSAKey.generate_key(2048, {"kid": "2"})), "not signed by the provider"),
        (lambda provider: setattr(provider, "is_unsigned", True), "not signed by the provider"),
        (lambda provider: setattr(provider, "refuses", "access_denied"), "refused: access_denied"),
    ],
)
def test_what_cannot_be_trusted_is_refused(
    provider: Provider, report: Served, change: Callable[[Provider], None], says: str
) -> None:
    change(provider)
    with browser(report.base, follow_redirects=True) as client:
        page = client.get("/quality")
        assert page.status_code == 403
        assert says in page.text
        assert client.get("/quality", follow_redirects=False).status_code == 303


_AT_HASH = urlsafe_b64encode(sha256(b"a").digest()[:16]).decode()


@pytest.mark.parametrize(
    "claims",
    [
        {"amr": "pwd"},
        {"auth_time": "1796036400"},
        {"azp": "another"},
        {"aud": [CLIENT], "azp": "another"},
        {"aud": [CLIENT, "another"], "azp": CLIENT},
        {"at_hash": _AT_HASH},
        {"at_hash": _AT_HASH.rstrip("=")},
    ],
)
def test_what_providers_say_besides_does_not_keep_readers_out(
    provider: Provider, report: Served, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    with browser(report.base, follow_redirects=True) as client:
        assert client.get("/data-docs/none.html").status_code == 404


@pytest.mark.parametrize(
    "metadata",
    [
        {"client_id": "another"},
        {"scope": "profile"},
        {"proxy": "http://127.0.0.1:1"},
        {"timeout": 1e-9},
        {"token_endpoint_auth_method": "none"},
    ],
)
def test_the_providers_configuration_does_not_replace_ours(provider: Provider, metadata: dict[str, Any]) -> None:
    provider.metadata = metadata
    settings = ReportSettings(oidc_issuer=provider.issuer, oidc_client_id=CLIENT, oidc_client_secret=SecretStr(SECRET))
    client = oidc.Provider(settings, "http://127.0.0.1:2/login/callback")

    async def sign_in() -> tuple[str, tuple[str, ...], str]:
        pending = Pending("one", time.time() + 60)
        there = await client.begin(pending, "/quality")
        back = httpx.get(there, timeout=60).headers["location"]
        return await client.finish(pending, urlsplit(back).query)

    assert asyncio.run(sign_in()) == ("clarissa.dalloway", ("auditor", "offline_access"), "/quality")


def test_a_new_key_of_the_provider_is_found(provider: Provider, report: Served) -> None:
    provider.keys = [*provider.keys, RSAKey.generate_key(2048, {"kid": "new"})]
    provider.key = provider.keys[-1]
    with browser(report.base, follow_redirects=True) as client:
        assert client.get("/data-docs/none.html").status_code == 404


def test_the_way_back_is_good_once_and_in_one_browser(report: Served) -> None:
    with browser(report.base) as client:
        there = client.get("/login").headers["location"]
        back = httpx.get(there, timeout=60).headers["location"]
        assert get(back).status_code == 403
        assert client.get(back).status_code == 303
        assert client.get(back).status_code == 403


def test_a_role_that_gives_nothing_sees_nothing(provider: Provider, report: Served) -> None:
    provider.claims = {"roles": ["offline_access"]}
    with browser(report.base, follow_redirects=True) as client:
        assert client.get("/quality").status_code == 403
