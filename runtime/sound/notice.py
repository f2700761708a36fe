"""Notice: what was missing in a recording or wrong with it, in one line, once its end has been reached."""

import logging

from ..audio import RATE
from .decoder import Ending

log = logging.getLogger(__name__)


class Notice:
    """Gathers what is to be told of a stream, one recording after another; `tell` logs it, if anything."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._recordings = self._damages = 0
        self._missing_s = self._promised_s = 0.0
        self._is_cut = self._is_unfinished = False
        self._stopped = ""

    def ended(self, ending: Ending, frames: int, rate: int) -> None:
        """A recording of so many frames is over."""
        if not frames:
            return
        self._recordings += ending.pieces
        self._damages += ending.damages
        promised = ending.promised
        self._promised_s += max(frames, promised or 0) / rate
        if promised is not None and frames < promised:
            self._missing_s += (promised - frames) / rate
        elif promised is not None and frames > promised:
            self._is_unfinished = True
        self._is_cut |= ending.is_cut

    def stopped(self, why: str) -> None:
        """Something ended it before its end."""
        self._stopped = why

    def tell(self, samples: int) -> None:
        """samples: those that were captioned, at 32 kHz."""
        said = []
        missing = "its last samples are missing"
        if self._missing_s >= 0.05:
            missing = f"{self._missing_s:.1f} s of {self._promised_s:.1f} s are missing"
        if self._damages:
            said.append("is damaged in places" + (f": {missing}" if self._missing_s else ""))
        elif self._missing_s:
            said.append(f"ends early: {missing}")
        elif self._is_cut:
            said.append("ends early: it was cut, or never finished")
        elif self._is_unfinished:
            said.append("was never finished: it holds more than it says of itself")
        if self._stopped:
            said.append(f"can't be read to its end ({self._stopped})")
        if self._recordings > 1:
            said.append(f"holds {self._recordings} recordings, one after the other")
        if said:
            log.warning(
                "%s %s; captioned the %.1f s that are there", self._name, ", ".join(said), samples / RATE
            )
