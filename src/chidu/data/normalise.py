"""One form of a text, so that equal texts are equal bytes. Idempotent; what a reader sees does not change.

Unicode is composed (NFC), not folded (NFKC would turn Chinese full-width punctuation into ASCII). Line ends become LF.
Byte-order marks, control characters but line end and tab, spaces and tabs at line ends, blank lines at both ends of a
document and more than two in a row go away. Indentation, quotes, case and every other character stay.
"""

import re
import unicodedata

SWITCHES = {
    "unicode": "NFC",
    "line_ends": "LF",
    "byte_order_marks": "removed",
    "control_characters": "removed, but line end and tab",
    "unpaired_surrogates": "replaced by U+FFFD",
    "spaces_at_line_ends": "removed",
    "blank_lines": "at most two in a row, none at the ends",
}
"""What is done, for the datasheet. A change here changes the identity of every data set."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK_LINES = re.compile("\n{4,}")


def normalise(text: str) -> str:
    """Normalise one document; the empty string is left of a text without visible content."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", _SURROGATE.sub("\ufffd", text))
    if " \n" in text or "\t\n" in text or text.endswith((" ", "\t")):
        text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    text = _BLANK_LINES.sub("\n\n\n", text).strip("\n")
    return text if text.strip() else ""
