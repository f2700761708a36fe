"""Where sound comes from: a section of the configuration."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ..options import Key, number


@dataclass(frozen=True)
class Mixing:
    """How the channels of a source become one, and how loud it is."""

    channel: int | None = None
    """This one alone, from 1; None is a mix of all."""
    gain_db: float | None = None
    """None raises a source that is far too quiet, and no other."""


MIX = Mixing()
"""What nobody wished otherwise."""


@dataclass(frozen=True)
class Source:
    """Where sound comes from."""

    kind: Annotated[
        Literal["microphone", "file", "stdin"],
        Key(
            "Kind of source; stdin takes raw 16-bit little-endian samples, or a WAV.", "KIND", flag="--source"
        ),
    ] = "microphone"
    name: Annotated[
        str,
        Key(
            "A microphone's index, part of its name, or default (`edgecap devices`); a file's path.",
            "NAME",
            number_is_text=True,
        ),
    ] = "default"
    rate: Annotated[int, number(1_000, 384_000, "Samples a second on stdin.", "HZ")] = 32_000
    channels: Annotated[int, number(1, 64, "Channels on stdin, interleaved.", "N")] = 1
    channel: Annotated[
        int | None,
        number(1, 64, "Hear this channel alone, counted from 1.", "N", null="a mix of all"),
    ] = None
    gain: Annotated[
        float | None,
        number(
            -40,
            60,
            "Raise what is heard by this.",
            "DB",
            null="what a far too quiet source lacks",
        ),
    ] = None

    @property
    def mixing(self) -> Mixing:
        return Mixing(self.channel, self.gain)
