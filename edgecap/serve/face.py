"""Face: what the handlers of requests work on."""

from dataclasses import dataclass
from pathlib import Path

from .history import History
from .hub import Hub

STATIC = Path(__file__).parent / "static"


@dataclass
class Face:
    hub: Hub
    history: History
