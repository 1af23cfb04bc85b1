"""What a spreadsheet does with a text that it is given."""

from __future__ import annotations

# What spreadsheets take for the beginning of a formula, in full width too; an apostrophe before it makes it text. The
# expression is read by Python and by RE2.
FORMULA = "^([=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
