"""A feed of a few dozen records that try every rule of the peers' README, so that each peer is held to all of them."""

from __future__ import annotations

import json
from pathlib import Path

_GOOD = {
    "application": "UserHub",
    "entity": "User",
    "activity": "login",
    "eventTime": "2026-05-01T10:12:03.250Z",
    "triggeredBy": "ann@example.com",
    "instance": "1",
    "outcome": "SUCCESS",
    "comments": "none",
}
_TIMES = (
    "2026-05-01 10:00:00Z",
    "2026-05-01T10:00:00.1234569Z",
    "2026-05-01T12:00:00.5+02:00",
    "2026-05-01T04:30:00-05:30",
    "2026-05-01T10:00:00+00:00",
    "2026-05-01T10:00:00.999999999-00:00",
    "2024-02-29T23:59:59Z",
    "1999-12-31T23:59:59.000001Z",
    "2026-05-01T12:00:00Z",
    " 2026-05-01T10:00:00Z ",
)
_WRONG_TIMES = (
    "2026-05-01T10:00:00",
    "2026-05-01 10:00:00.25",
    "2026-05-01T12:00:00.000001Z",
    "2026-05-03T00:00:00+02:00",
    "2026-02-29T10:00:00Z",
    "2026-02-30T10:00:00",
    "2026-13-01T00:00:00Z",
    "2026-05-01T25:00:00Z",
    "2026-05-01T10:60:00Z",
    "2026-05-01T10:00:61Z",
    "2026-05-01",
    "yesterday",
    "1777629600",
    "5/1/2026 10:00:00 AM",
    "2026-05-01T10:00:00 Z0",
    "2026-05-01T10:00:00.Z",
)
_OUTCOMES = (" success ", "Failure", "FAILURE", "\u00a0SUCCESS\u2003")
_WRONG_OUTCOMES = ("PARTIAL", "OK", "SUCCESS!", "0")
_APPLICATIONS = (
    None, "", " \t", "userhub", "User-Hub", "Interaction Analytics", "CXone Mpower Screen Monitor (ScreenAgent)",
    "screen_agent", "AWS CloudTrail", "Data  Policies", "***",
)  # fmt: skip
_NAMES = (
    ("User", "LOGIN"), ("user", "log in"), ("Us\u00e9r", "login"), ("Use\u0301r", "login"), ("Nothing", "Known"),
    ("\u3000User\u2009", "login\n"), ("--", "login"), ("\u7528\u6237", "\u767b\u5f55"),
)  # fmt: skip
_TEXTS = (
    None, "", "  ", "\u00a0", "Cafe\u0301", "Caf\u00e9", "  padded ", "tab\tinside", 'a "quoted" word', "line\nbreak",
    "back\\slash", "\U0001f600", "\ufffd", "null", "\u200b", "a,b;c|d", "\u1112\u1161\u11ab", 42, "x" * 5000,
)  # fmt: skip
_LINES = (
    b"no json", b'"text"', b"17", b"null", b"true", b'["a","b"]', b"{", b'{"eventId":"broken","eventTime":"2026',
    b'{"eventId":"comma",}', b"{'eventId':'single'}", b'{eventId:"bare"}', b'{"eventId":NaN}', b'{"eventId":"a" "b"}',
    b'{"eventId":"caf\xe9"}', b'{"eventId":"\xff\xfe"}', b'{"eventId":"two"}{"eventId":"two"}', b'{"eventId":"x"} y',
    b'{"eventId":"\\x"}', b'{"eventId":01}',
)  # fmt: skip


def write(feeds: Path) -> int:
    """Write the feed below an empty folder; how many records it has."""
    first, second = [*_fields(), *_LINES], _repeated()
    hour = feeds / "userhub" / "2026-05-01"
    for name, lines in (("10/events-1", first), ("10/events-2", second[::2]), ("11/events-1", second[1::2])):
        path = hour / f"{name}.ndjson"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\n".join([*lines[:3], b"", b"   ", *lines[3:]]) + b"\n")
    # The feeds' names decide within an hour, whatever the files' are.
    other = feeds / "analytics" / "2026-05-01" / "11" / "events-9.ndjson"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"\n".join([_record("again-0", outcome="FAILURE"), _record("across", comments="first")]))
    return len(first) + len(second) + 2


def _record(event_id: object, **changes: object) -> bytes:
    return json.dumps({"eventId": event_id, **_GOOD, **changes}, ensure_ascii=False).encode()


def _fields() -> list[bytes]:
    """Each field with every kind of value."""
    records = [_record(f"good-{number}") for number in range(5)]
    records += [_record(f"time-{number}", eventTime=text) for number, text in enumerate((*_TIMES, *_WRONG_TIMES))]
    records += [_record(f"out-{number}", outcome=text) for number, text in enumerate((*_OUTCOMES, *_WRONG_OUTCOMES))]
    records += [_record(f"app-{number}", application=text) for number, text in enumerate(_APPLICATIONS)]
    records += [
        _record(f"name-{number}", entity=entity, activity=activity) for number, (entity, activity) in enumerate(_NAMES)
    ]
    for field in ("comments", "triggeredBy", "instance"):
        records += [_record(f"{field}-{number}", **{field: text}) for number, text in enumerate(_TEXTS)]
    for field in ("eventId", "eventTime", "entity", "activity", "outcome"):
        records += [_record(f"blank-{field}-{number}") for number in range(1)]
        for text in (None, "", " \u2003"):
            records.append(_record(**{"event_id": f"no-{field}", field: text}))
        records.append(json.dumps({key: value for key, value in _GOOD.items() if key != field}).encode())
    records.append(_record(" padded id ", unknown={"nested": [1, 2]}))
    records.append(_record("two-reasons", outcome="MAYBE", entity=None, eventTime="never"))
    records.append(_record("escaped", comments="\\u00e9").replace(b"\\\\u00e9", b"\\u00e9 \\ud83d\\ude00 \\/"))
    records.append(_record("too-large", comments="x" * 1_048_576))
    records.append(_record("just-fits", comments="y" * 1_000_000))
    records.append(_record(4711))
    return records


def _repeated() -> list[bytes]:
    """Pairs of records with one event id, of which the second is in a later file."""
    pairs: list[tuple[bytes, bytes]] = []
    same: tuple[dict[str, str | None], ...] = (
        {}, {"outcome": " success"}, {"eventTime": "2026-05-01T12:12:03.25+02:00"}, {"application": "User Hub"},
        {"comments": " none "}, {"eventTime": "2026-05-01T10:12:03.2500009Z"},
    )  # fmt: skip
    other: tuple[dict[str, str | None], ...] = (
        {"outcome": "FAILURE"}, {"comments": None}, {"comments": "None"}, {"eventTime": "2026-05-01T10:12:03.251Z"},
        {"entity": "user"}, {"instance": "2"}, {"application": "Search"}, {"triggeredBy": ""},
    )  # fmt: skip
    for number, changes in enumerate((*same, *other)):
        pairs.append((_record(f"again-{number}"), _record(f"again-{number}", **changes)))
    nothing: dict[str, str | None] = {"comments": None, "instance": ""}
    pairs.append((_record("nulls", **nothing), _record("nulls", comments=" ", instance=None)))
    # One that is wrong in itself is neither accepted nor a conflict.
    pairs.append((_record("wrong-first", outcome="?"), _record("wrong-first")))
    pairs.append((_record("wrong-second"), _record("wrong-second", outcome="?", comments="other")))
    pairs.append((_record("across", comments="second"), _record("across", comments="third")))
    pairs.append((_record("Case"), _record("case")))
    return [record for pair in pairs for record in pair]
