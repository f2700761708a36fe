"""Where sound comes from: a section of the configuration."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ..options import Key, number

Sample = Literal["s16le", "s24le", "s32le", "f32le", "u8"]
"""The raw samples that have a name: signed, float or unsigned, bits, and the low byte first."""


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
