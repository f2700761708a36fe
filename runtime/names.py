"""Names as they are shown: of files, rooms, microphones, and of whatever else others may have written."""

import os
import unicodedata

_JOINERS = "\u200c\u200d"
"""Persian words and families of emoji are written with them."""


def visible(name: "str | bytes | os.PathLike[str]") -> str:
    """The name, with what would steer a terminal or can't be seen as the escape that Python writes for it.

    That is: control characters and line breaks, marks that turn the direction of writing or have no width,
    and bytes that are no UTF-8 (`\\xe9`). All else is kept, backslashes too. It can be encoded as UTF-8.
    """
    text = os.fsdecode(name)
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte, as os.fsdecode brings it
        return f"\\x{ord(character) - 0xDC00:02x}"
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS
    return character.encode("unicode_escape").decode() if hidden else character
