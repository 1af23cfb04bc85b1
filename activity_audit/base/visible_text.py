"""Text that a source sent, made fit to be looked at: what cannot be seen, or would turn the text around, is named."""

from __future__ import annotations


def visible(text: str) -> str:
    """`text` with every character that a reader could not see as its code point, such as `⟨U+202E⟩`.

    Those are controls, formats (the direction of writing among them), surrogates, private and unassigned characters,
    line and paragraph separators, and blanks of another width, which is how two equal-looking names differ.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"⟨U+{ord(char):04X}⟩" for char in text)
