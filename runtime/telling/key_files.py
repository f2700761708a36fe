"""Whose keys guard the captions: a section of the configuration. What they do is in keys.py."""

from dataclasses import dataclass
from typing import Annotated

from ..options import Key


@dataclass(frozen=True)
class Keys:
    """CurveZMQ key files (docs/wire.md): with them, only known readers connect, and nobody listens in."""

    secret: Annotated[
        str, Key("File of this room's own secret key, *.key_secret; empty for none.", "FILE")
    ] = ""
    readers: Annotated[
        str, Key("Folder with the public *.key of each reader that may connect.", "FOLDER")
    ] = ""
