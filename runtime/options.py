"""Options: how a key of the configuration is declared, and what the user of a session may ask for.

A section of the configuration is a frozen dataclass; each field is a key: its type, `Annotated` with a Key,
and its default. Reading, refusing, printing (config/) and the flags of `edgecap run` all follow from that.
Only the standard library is imported here and where sections stand, so that help is instant.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints


class Key(NamedTuple):
    """What a key's type does not say."""

    doc: str
    """One sentence: the comment in a printed configuration, and the help of its flag."""
    metavar: str = ""
    """What stands for the value in help, with its unit: SECONDS."""
    allowed: str = ""
    """In words, where type and range don't say it."""
    least: float | None = None
    most: float | None = None
    pattern: str = ""
    """What a text must match as a whole; all of it must be visible then."""
    flag: str = ""
    """Where it is not -- and the key's own name."""
    number_is_text: bool = False
    """YAML reads `name: 2` as a number; here it stands for the text "2"."""


class Declared(NamedTuple):
    """One key of a section, as its dataclass declares it."""

    name: str
    kind: Any
    """str, int, float, bool, a Literal, a section, or tuple[section, ...]."""
    may_be_null: bool
    key: Key
    default: Any
    """dataclasses.MISSING where it must be given."""

    @property
    def section(self) -> type | None:
        """The section that this key opens; of a list, that of its items."""
        kind = get_args(self.kind)[0] if self.is_list else self.kind
        return kind if dataclasses.is_dataclass(kind) and isinstance(kind, type) else None

    @property
    def is_list(self) -> bool:
        return get_origin(self.kind) is tuple

    @property
    def allowed(self) -> str:
        """What it may hold, in words: "a number from 0 to 1"."""
        if self.section:
            keys = "keys: " + ", ".join(item.name for item in declared(self.section))
            return f"a list, each item with {keys}" if self.is_list else keys
        words = self.key.allowed or "text"
        if self.kind is bool:
            words = "true or false"
        elif self.key.least is not None and self.key.most is not None:
            words = f"a number from {self.key.least:g} to {self.key.most:g}"
        elif get_origin(self.kind) is Literal:
            *others, last = get_args(self.kind)
            words = f"{', '.join(others)} or {last}"
        return words


@functools.cache
def declared(section: type) -> tuple[Declared, ...]:
    """The keys of a section, in their order."""
    hints = get_type_hints(section, include_extras=True)
    return tuple(_declared(field, hints[field.name]) for field in dataclasses.fields(section))


def _declared(field: "dataclasses.Field[Any]", annotation: Any) -> Declared:
    kind, key = get_args(annotation)
    inner = [part for part in get_args(kind) if part is not type(None)]
    may_be_null = type(None) in get_args(kind)
    return Declared(field.name, inner[0] if may_be_null else kind, may_be_null, key, field.default)


def number(least: float, most: float, doc: str, metavar: str) -> Key:
    return Key(doc, metavar, least=least, most=most)


@dataclass(frozen=True)
class Captions:
    """When something is said. None takes the bundle's own, calibrated value."""

    confidence: Annotated[
        float | None, number(0, 1, "Nothing is said plainly below this probability of being right.", "0–1")
    ] = None
    hedge: Annotated[
        float | None, number(0, 1, 'From here up to confidence it says "Possibly …"; below, nothing.', "0–1")
    ] = None
    interval: Annotated[
        float, number(0, 60, "Seconds between two revisions of one caption, at the least.", "SECONDS")
    ] = 1.0
    level: Annotated[
        float | None, number(-100, 0, "Sound quieter than this (dB of full scale) counts as silence.", "DB")
    ] = None
