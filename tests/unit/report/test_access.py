"""Who may read the report, as far as no server is needed to tell: sessions, tokens, users, where one goes on to."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from activity_audit.report.access import users
from activity_audit.report.access.attempts import PLACES, PLACES_OF_ONE, Attempts, BusyError
from activity_audit.report.access.pending import PendingSignIns
from activity_audit.report.access.permissions import PERMISSIONS, permissions_of
from activity_audit.report.access.sessions import MOST_OF_A_USER, Sessions
from activity_audit.report.access.tokens import TokenRefusedError, Tokens
from activity_audit.report.access.users import TooManyFailuresError, Users, UsersFileError
from activity_audit.report.web.app import known_hosts
from activity_audit.report.web.sign_in import safe_path

SECOND = timedelta(seconds=1)


class Clock:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_session_ends_when_it_is_idle_and_in_any_case(clock: Clock) -> None:
    sessions = Sessions(10 * SECOND, 25 * SECOND, clock)
    ended: list[str] = []
    sessions.on_end = ended.append
    token, session = sessions.begin("clarissa")
    for _ in range(2):
        clock.now += 9
        assert sessions.find(token) is session
    clock.now += 9
    assert sessions.find(token) is None
    other, second = sessions.begin("septimus")
    clock.now += 11
    assert sessions.find(other) is None
    assert ended == [session.key, second.key]
    # Nobody comes back to this one.
    _, third = sessions.begin("rezia")
    clock.now += 9
    _, fourth = sessions.begin("lucrezia")
    clock.now += 9
    sessions.sweep()
    assert ended[2:] == [third.key]
    sessions.end(fourth)
    assert ended[3:] == [fourth.key]
    assert sessions.find("") is sessions.find(None) is None


def test_a_users_sessions_make_room_for_each_other_and_for_nobody_else(clock: Clock) -> None:
    sessions = Sessions(10 * SECOND, 25 * SECOND, clock)
    ended: list[str] = []
    sessions.on_end = ended.append
    other, _ = sessions.begin("septimus")
    first, second, *rest = [sessions.begin("clarissa")[0] for _ in range(MOST_OF_A_USER)]
    assert sessions.find(first)
    _, newest = sessions.begin("clarissa")
    assert len(ended) == 1
    # The one that nobody came back to for longest is gone.
    kept = [sessions.find(token) is not None for token in (other, first, second, *rest)]
    assert kept == [True, True, False, *(True for _ in rest)]
    sessions.end(newest)
    sessions.end(newest)
    assert (len(ended), len(sessions)) == (2, MOST_OF_A_USER)


def test_there_are_so_many_sessions_in_all(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activity_audit.report.access.sessions._MOST", 3)
    sessions = Sessions(10 * SECOND, 25 * SECOND, clock)
    for number in range(50):
        sessions.of(f"name-{number}", ["viewer"])
    assert len(sessions) == 3


def test_whom_a_proxy_names_has_one_session_however_often_they_ask(clock: Clock) -> None:
    sessions = Sessions(10 * SECOND, 25 * SECOND, clock)
    ended: list[str] = []
    sessions.on_end = ended.append
    known = sessions.of("clarissa", ["viewer", "export"])
    began = time.process_time()
    assert all(sessions.of("clarissa", ["export", "viewer"]) is known for _ in range(20_000))
    assert time.process_time() - began < 2, "each request takes the same"
    assert len(sessions) == 1
    # Other roles are another session: what one may, the other need not.
    assert sessions.of("clarissa", ["viewer"]) is not known
    for number in range(40):
        sessions.of("clarissa", [f"role-{number}"])
    assert len(sessions) == MOST_OF_A_USER
    clock.now += 11
    again = sessions.of("clarissa", ["viewer", "export"])
    assert (again.key != known.key, again.csrf != known.csrf, len(sessions)) == (True, True, 1)
    assert known.key in ended
    for _ in range(4):
        clock.now += 9
        again = sessions.of("clarissa", ["viewer", "export"])
    assert again.begun > 1030, "nobody's goes on for ever"


def test_a_browser_keeps_its_own_sign_in(clock: Clock) -> None:
    here, elsewhere = PendingSignIns(clock), PendingSignIns(clock)
    pending = here.begin()
    pending.add("state", "/quality")
    cookie = here.write(pending)
    assert here.read(cookie) == pending
    assert here.csrf(pending) == here.csrf(here.begin(pending)), "the form of another tab stays good"
    assert here.csrf(pending) != here.csrf(here.begin())
    for wrong in (None, "", "x", "x.y", cookie[:-1], f"x{cookie}", elsewhere.write(pending), "ü.ü"):
        assert here.read(wrong) is None
    for number in range(100):
        pending.add(f"{number}" * 20, "/" + "ü" * 300)
    assert len(here.write(pending)) < 4000, "more is no cookie"
    pending.add("long", "/" + "x" * 5000)
    assert (pending.ways["long"], len(here.write(pending)) < 4000) == ("/", True)
    clock.now += 3601
    assert here.read(cookie) is None


def test_signing_in_is_tried_so_often(clock: Clock) -> None:
    attempts = Attempts(clock)

    def tried(client: str) -> int:
        try:
            with attempts.place(client):
                return 200
        except BusyError as error:
            return error.status if error.wait > 0 else 0

    assert [tried("a") for _ in range(61)] == [200] * 60 + [429]
    assert tried("b") == 200, "others have their own"
    clock.now += 1
    assert [tried("a"), tried("a")] == [200, 429]
    assert 429 in [tried(f"c{number}") for number in range(130)], "all together have a bound, too"
    clock.now += 60
    with ExitStack() as under_way:
        for number in range(PLACES):
            under_way.enter_context(attempts.place(f"d{number // PLACES_OF_ONE}"))
        assert tried("e") == 503
    assert tried("e") == 200


def test_a_token_opens_once_and_for_a_while(clock: Clock) -> None:
    tokens = Tokens(10 * SECOND, clock)
    first, second = tokens.give(), tokens.give()
    assert len(first) >= 43
    tokens.use(first)
    clock.now += 11
    for token, why in ((first, "opened before"), (second, "too old"), ("x", "belongs to a report that no longer runs")):
        with pytest.raises(TokenRefusedError, match=why):
            tokens.use(token)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One user, whose password is compared without the work of a hash."""
    monkeypatch.setattr(users, "matches", lambda password, known: known == f"$argon2{password}")
    path = tmp_path / "users.toml"
    path.write_text("[users.clarissa]\npassword = '$argon2right'\nroles = ['viewer']\n")
    return path


def test_failures_make_a_name_wait_longer_each_time(file: Path, clock: Clock) -> None:
    known = Users(file, clock)
    assert [known.sign_in("clarissa", "wrong") for _ in range(3)] == [None, None, None]
    waits = []
    for _ in range(12):
        before = clock.now
        while True:
            try:
                assert known.sign_in("clarissa", "wrong") is None
                break
            except TooManyFailuresError:
                clock.now += 1
        waits.append(clock.now - before)
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == 300
    with pytest.raises(TooManyFailuresError, match="300 seconds"):
        known.sign_in("clarissa", "right")
    assert known.sign_in("septimus", "wrong") is None
    clock.now += 300
    user = known.sign_in("clarissa", "right")
    assert user is not None
    assert user.permissions == {"view"}
    # And then everything is forgotten.
    assert [known.sign_in("clarissa", "wrong") for _ in range(3)] == [None, None, None]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has no table"),
        ("[users.a]\nroles = []", "password must be a hash"),
        ("[users.a]\npassword = 'secret'", "password must be a hash"),
        ("[users.a]\npassword = '$argon2id$'\nroles = 'viewer'", "roles must be a list"),
        ("[users.a]\npassword = '$argon2id$'\nroles = ['boss']", "there is no role boss"),
        ("[users", "cannot be read"),
    ],
)
def test_a_wrong_file_of_users_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "users.toml"
    path.write_text(content)
    with pytest.raises(UsersFileError, match=says) as error:
        Users(path)
    assert str(path) in str(error.value)
    assert "secret" not in str(error.value)


def test_a_password_matches_its_hash_only() -> None:
    known = users.hashed("to the lighthouse")
    assert known.startswith("$argon2id$")
    assert users.matches("to the lighthouse", known)
    assert not users.matches("to the lightship!", known)
    assert not users.matches("to the lighthouse", None)


def test_roles() -> None:
    assert permissions_of(["Admin"]) == set(PERMISSIONS)
    assert permissions_of(["viewer", "offline_access", "export"]) == {"view", "export"}
    assert permissions_of([]) == frozenset()


@pytest.mark.parametrize(
    ("wanted", "gone_to"),
    [
        ("/?period=today", "/?period=today"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("", "/"),
    ],
)
def test_one_goes_on_to_a_page_of_the_report_only(wanted: str, gone_to: str) -> None:
    assert safe_path(wanted) == gone_to


def test_which_hosts_are_answered() -> None:
    assert known_hosts("http://127.0.0.1:8080") == {"127.0.0.1:8080", "localhost:8080", "[::1]:8080"}
    assert known_hosts("https://audit.example") == {"audit.example"}
