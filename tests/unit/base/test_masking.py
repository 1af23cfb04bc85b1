"""Secrets are masked wherever they may stand, and nothing else is."""

from __future__ import annotations

import time
import traceback

import pytest

from activity_audit.base.masking import has_credentials, masked_errors, without_secrets

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"s3://AKID:{SECRET}@bucket/feeds",
        f"postgresql://audit:{SECRET}@db/audit",
        f"postgresql://audit:a:/@{SECRET}@db/audit",
        f'Unable to connect to Postgres at "dbname=audit password={SECRET}": connection refused',
        f"postgres:dbname=audit password = {SECRET} host=db",
        f"dbname=audit password='it\\'s {SECRET}' host=db",
        f"dbname=audit password=a,b;c&{SECRET} host=db",
        f"dbname=audit password=a\\ {SECRET} host=db",
        f"attach 'ducklake:postgres:password=''a {SECRET}'' host=db' as audit",
        f"sslpassword={SECRET}",
        f"https://store/feeds?sv=1&sig={SECRET}&se=2",
        f"https://store/feeds?X-Amz-Signature={SECRET}",
        f"AccountName=a;AccountKey={SECRET};EndpointSuffix=core",
        f'{{"access_token": "{SECRET}", "expires_in": 3600}}',
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"aws_session_token: {SECRET}",
    ],
)
def test_a_secret_is_masked(text: str) -> None:
    masked = without_secrets(text)
    assert SECRET not in masked
    assert "***" in masked


def test_what_surrounds_a_secret_stays() -> None:
    assert without_secrets(f"postgres:dbname=a password={SECRET} host=b") == "postgres:dbname=a password=*** host=b"
    assert without_secrets(f"s3://k:{SECRET}@b/x, s3://c/y") == "s3://k:***@b/x, s3://c/y"


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/feeds",
        "abfs://container@account.dfs.core.windows.net/feeds",
        "the token is renewed, the password was reset",
        "postgres:dbname=audit host=db user=audit",
        "file:///srv/a:b@c/landing",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert without_secrets(text) == text
    assert not has_credentials(text)


@pytest.mark.parametrize("url", [f"s3://k:{SECRET}@b", f"abfs://c@a.net/x?sig={SECRET}", f"ftp://u:{SECRET}@h/x"])
def test_credentials_in_a_url_are_seen(url: str) -> None:
    assert has_credentials(url)


def test_a_name_that_sounds_like_a_secret_is_no_credential() -> None:
    assert not has_credentials("/srv/token=1/landing")


@pytest.mark.parametrize("piece", ["a", "x-", "a://", "a://b:", "secret", "secretkey", "password", "a@", "password= '"])
def test_a_long_message_takes_no_time_that_grows_with_its_square(piece: str) -> None:
    """Most of these took minutes when it did; the limit is far above what they take now."""
    started = time.process_time()
    assert without_secrets(piece * 100_000 + f"password={SECRET}").count(SECRET) == 0
    assert time.process_time() - started < 10


@masked_errors(LookupError)
def _fails(error: Exception, cause: Exception | None = None) -> None:
    raise error from cause


def test_no_error_leaves_with_a_secret() -> None:
    for error, cause in [
        (ValueError(f"password={SECRET}"), None),
        (ValueError("cannot connect"), OSError(f"postgres://a:{SECRET}@b")),
    ]:
        with pytest.raises(RuntimeError) as raised:
            _fails(error, cause)
        assert SECRET not in "".join(traceback.format_exception(raised.value))
        assert str(raised.value).startswith("ValueError: ")


def test_other_errors_leave_as_they_are() -> None:
    for error in (ValueError("plain"), LookupError("token=1")):
        with pytest.raises(type(error)) as raised:
            _fails(error)
        assert raised.value is error


def test_an_error_that_came_from_itself_is_looked_at_once() -> None:
    error = ValueError("cannot connect")
    error.__cause__ = OSError(f"password={SECRET}")
    error.__cause__.__context__ = error
    with pytest.raises(RuntimeError, match=r"\AValueError: cannot connect\Z"):
        _fails_as_it_is(error)


@masked_errors()
def _fails_as_it_is(error: Exception) -> None:
    raise error
