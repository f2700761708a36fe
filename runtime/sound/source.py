"""Where sound comes from: a section of the configuration."""

from typing import Annotated, Literal

import msgspec

from ..options import key, number


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where sound comes from."""

    kind: Annotated[
        Literal["microphone", "file", "stdin"],
        key(
            "Kind of source; stdin takes raw 16-bit little-endian samples, or a WAV.",
            "microphone, file or stdin",
        ),
    ] = "microphone"
    name: Annotated[
        str,
        key("A microphone's index, part of its name, or default (`edgecap devices`); a file's path.", "text"),
    ] = "default"
    rate: Annotated[int, number(1_000, 384_000, "Samples a second on stdin.")] = 32_000
    channels: Annotated[int, number(1, 64, "Channels on stdin, interleaved.")] = 1
