"""Options: what the user of a session may ask for, declared with its words for the configuration."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta


def key(doc: str, allowed: str, **limits: Any) -> Meta:
    """The explanation of a key and the words for what it may hold; limits as msgspec.Meta takes them."""
    return Meta(description=doc, extra={"allowed": allowed}, **limits)


def number(low: int, high: int, doc: str) -> Meta:
    return key(doc, f"a number from {low} to {high}", ge=low, le=high)


class Captions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When something is said. None takes the bundle's own, calibrated value."""

    confidence: (
        Annotated[float, number(0, 1, "Nothing is said plainly below this probability of being right.")]
        | None
    ) = None
    hedge: (
        Annotated[float, number(0, 1, 'From here up to confidence it says "Possibly …"; below, nothing.')]
        | None
    ) = None
    interval: Annotated[
        float, number(0, 60, "Seconds between two revisions of one caption, at the least.")
    ] = 1.0
    level: (
        Annotated[float, number(-100, 0, "Sound quieter than this (dB of full scale) counts as silence.")]
        | None
    ) = None
