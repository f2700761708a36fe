"""Face: what the handlers of requests work on."""

from dataclasses import dataclass
from pathlib import Path

from .hub import Hub
from .recent import Recent

STATIC = Path(__file__).parent / "static"


@dataclass
class Face:
    hub: Hub
    history: Recent
