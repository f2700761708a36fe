"""The questions that `edgecap evaluate` can ask of a bundle; each a function of the context."""

from collections.abc import Callable
from typing import Any

from .context import Context
from .peers import lines
from .peers import mn04 as peers
from .questions import (
    calibration,
    comparison,
    day,
    naming,
    probe,
    retrieval,
    rooms,
    safety,
    silence,
    stability,
)


def name(context: Context) -> dict[str, Any]:
    """Naming, and the peers' beside it where mn04's weights are given: by its classes, by lines."""
    figures = naming.examine(context)
    if context.peer:
        figures["mn04"] = peers.examine(context, context.peer)
        figures["lines"] = lines.examine(context)
    return figures


def hear_in_rooms(context: Context) -> dict[str, Any]:
    """Rooms, and in each place the fair peers where mn04's weights are given."""
    figures = rooms.examine(context)
    if context.peer:
        for place, rows in lines.in_rooms(context).items():
            figures[place] |= rows
    return figures


QUESTIONS: dict[str, Callable[[Context], dict[str, Any]]] = {
    "naming": name,
    "rooms": hear_in_rooms,
    "day": day.examine,
    "silence": silence.examine,
    "stability": stability.examine,
    "safety": safety.examine,
    "calibration": calibration.examine,
    "probe": probe.examine,
    "scenes": comparison.examine,
    "retrieval": retrieval.examine,
}
"""Name -> what gives its figures, ready for JSON."""

PLAIN = ("naming", "silence", "stability", "safety")
"""What is asked where nothing is chosen."""
