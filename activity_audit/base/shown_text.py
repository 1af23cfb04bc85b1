"""Text that a source sent, made fit to be looked at: what cannot be seen, or would turn the text around, is named;
and what a spreadsheet would take for a formula.
"""

from __future__ import annotations

# What spreadsheets take for the beginning of a formula, in full width too; an apostrophe before it makes it text. The
# expression is read by Python and by RE2.
FORMULA = "^([=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"


def visible(text: str) -> str:
    """`text` with every character that a reader could not see as its code point, such as `⟨U+202E⟩`.

    Those are controls, formats (the direction of writing among them), surrogates, private and unassigned characters,
    line and paragraph separators, and blanks of another width, which is how two equal-looking names differ.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"⟨U+{ord(char):04X}⟩" for char in text)
