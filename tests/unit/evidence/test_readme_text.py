"""What a pack's README quotes stays one line, in which a terminal finds nothing to obey."""

from __future__ import annotations

from activity_audit.evidence.pack import texts


def test_quoted_text_is_one_line_that_can_be_seen() -> None:
    shown = texts._template("README.md.j2").environment.filters["on_one_line"]
    assert shown("i\r\n1") == "i 1"
    assert shown("a\x1b[2J\u202eb\n# c") == "a\u27e8U+001B\u27e9[2J\u27e8U+202E\u27e9b # c"
