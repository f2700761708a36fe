"""Frame count: how many frames a sound card lost, which PortAudio does not say."""

import math

GAP_S = 0.1
"""Sound that begins later than it should by more than this is missing; what is measured wavers by 50 ms."""
SETTLING_S = 10.0
"""Smaller differences are that waver and the drift of the card's clock, followed with this time constant."""
DRIFT = 1e-3
"""More than any card's clock is off."""


class FrameCount:
    """Frames that were lost before each callback, from when the sound system says that it recorded.

    PortAudio tells when a buffer's first frame was recorded (`input_buffer_adc_time`) and, sometimes,
    that there was an overflow. A buffer begins where the last one ended; one that begins later tells of
    a hole in between, be it PortAudio's, the driver's or the sound server's.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._frames = 0  # delivered or lost
        self._began = math.inf  # when frame 0 was recorded, by the sound system's clock
        self._here = math.inf  # the soonest that frame 0 can have been delivered, by ours

    def missing_before(self, frames: int, recorded_at: float, arrived_at: float, overflowed: bool) -> int:
        """Frames that were lost just before these, 0 or more.

        recorded_at: of their first, in seconds of any clock; 0 where the sound system does not know, and
        then only an overflow counts. arrived_at: when they were delivered. No more is missing than this
        explains: frames are not delivered before they sound, and sound systems err in what they say.
        """
        length_s, counted_s = frames / self._rate, self._frames / self._rate
        here = arrived_at - length_s - counted_s
        self._here = min(here, self._here + DRIFT * length_s)
        lost_s = here - self._here if overflowed else 0.0
        if recorded_at > 0:
            began = recorded_at - counted_s
            if began < self._began - GAP_S:  # the first, or a clock that was wrong before
                self._began = began
            late = min(began - self._began, here - self._here)
            lost_s = late if overflowed or late > GAP_S else 0.0
            if not lost_s:
                self._began += (began - self._began) * length_s / SETTLING_S
        missing = max(0, round(lost_s * self._rate))
        self._frames += missing + frames
        return missing
