"""Text that a source sent, made fit to be looked at: what cannot be seen, or would turn the text around, is named."""

from __future__ import annotations

import unicodedata

# Controls, formats (the direction of writing among them), surrogates, private and unassigned characters, line and
# paragraph separators. A blank of another width is shown too: it is how two equal-looking names differ.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}


def visible(text: str) -> str:
    """`text` with every character that a reader could not see as its code point, such as `⟨U+202E⟩`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"⟨U+{ord(char):04X}⟩" if char != " " and unicodedata.category(char) in _HIDDEN else char for char in text
    )
