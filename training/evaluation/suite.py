"""The questions that `edgecap evaluate` can ask of a bundle; each a function of the setting."""

from collections.abc import Callable
from typing import Any

from .context import Setting
from .peers import mn04 as peers
from .questions import calibration, comparison, naming, probe, retrieval, safety, silence, stability


def name(setting: Setting) -> dict[str, Any]:
    """Naming, and mn04's beside it where its weights are given."""
    figures = naming.examine(setting)
    if setting.peer:
        figures["mn04"] = peers.examine(setting, setting.peer)
    return figures


PARTS: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "naming": name,
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
