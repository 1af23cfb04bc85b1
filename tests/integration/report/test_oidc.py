"""Signing in at an OpenID provider: a real one on loopback, a real report, and a browser that goes between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey

from activity_audit.settings.core import load_settings
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
    provider.is_unsigned = False


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
        (_claims(iss="http://127.0.0.1:1"), "does not hold"),
        (_claims(exp=int(time.time()) - 3600), "does not hold"),
        (_claims(nonce="of another sign-in"), "does not hold"),
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
