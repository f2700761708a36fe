"""Where sound comes from: a section of the configuration."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ..options import Key, number

Sample = Literal["s16le", "s24le", "s32le", "f32le", "u8"]
"""The raw samples that have a name: signed, float or unsigned, bits, and the low byte first."""


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
            "Kind of source; stdin takes recordings of any kind, as they come, and raw samples.",
            "KIND",
            flag="--source",
        ),
    ] = "microphone"
    name: Annotated[
        str,
        Key(
            "A microphone's index, part of its name or default (`edgecap devices`); a file's or pipe's path.",
            "NAME",
            number_is_text=True,
        ),
    ] = "default"
    rate: Annotated[int, number(1_000, 384_000, "Samples a second, of raw samples on a pipe.", "HZ")] = 32_000
    channels: Annotated[int, number(1, 64, "Channels of raw samples, interleaved.", "N")] = 1
    sample: Annotated[Sample, Key("How raw samples are written.", "FORMAT")] = "s16le"
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
