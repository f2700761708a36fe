"""PortAudio: one library for all microphones of a process, and it neither locks nor looks twice.

It counts its users, but not safely for threads; it lists the devices for its first user, and never again
while anybody uses it; it prints, and so do the libraries below it.
"""

import ctypes
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from ..errors import MicrophoneError, UnavailableError

CARDS = Path("/proc/asound/cards")
"""What the kernel knows of sound cards. It changes when one comes or goes."""
RENEWAL_S = 5.0
"""In which all microphones have closed, so that the devices are listed anew; who hangs is not waited for."""


class PortAudio:
    """The library, in turns. Whatever opens or closes does so within `turn`."""

    def __init__(self, cards: Path = CARDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._cards, self._clock = cards, clock
        self._turn = Lock()
        self._users = 0
        self._listed: set[bytes] = set()
        self._renew_until = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the others, then have the library to oneself."""
        with self._turn:
            yield

    def start(self) -> Any:
        """A PyAudio, to be given to `stop`. Within a turn.

        Raises UnavailableError where it is missing, MicrophoneError while the devices are listed anew.
        """
        try:
            import pyaudio
        except ImportError as missing:
            raise UnavailableError(
                "Microphones need PyAudio",
                why=str(missing),
                fix="run `pip install 'edgecap[mic]'`; it compiles, "
                "so first `apt install gcc portaudio19-dev`",
            ) from missing
        if self._users and self.is_outdated:
            raise MicrophoneError("The microphones are listed anew", fix="try again in a moment")
        _silence_libraries()
        if not self._users:
            self._listed, self._renew_until = self._known_cards(), 0.0
        audio = pyaudio.PyAudio()
        self._users += 1
        return audio

    def stop(self, audio: Any) -> None:
        """The last one out ends the library, and with it the list. Within a turn."""
        audio.terminate()
        self._users -= 1

    def look_again(self) -> None:
        """Some microphone is not to be had. If a card came since the devices were listed, list them anew.

        That costs all other microphones half a second of sound. A card that only went is still listed, and
        found there when it comes back as what it was. Within a turn.
        """
        cards = self._known_cards()
        if self._users and not self.is_outdated and cards - self._listed:
            self._renew_until = self._clock() + RENEWAL_S
            self._listed = cards  # once, even where somebody hangs and it can't be done

    @property
    def is_outdated(self) -> bool:
        """Whether who holds a microphone should close it, and open it again a moment later."""
        return self._clock() < self._renew_until

    def _known_cards(self) -> set[bytes]:
        with suppress(OSError):  # no sound cards in this kernel
            return set(self._cards.read_bytes().splitlines())
        return set()


PORTAUDIO = PortAudio()
"""As many as there are libraries in a process."""


@cache
def _silence_libraries() -> None:
    """ALSA and JACK print some 80 lines to standard error at each start, past Python; each is asked not to.

    Standard error itself stays as it is: it belongs to the whole process, and may be closed.
    """
    # A function that takes anything and does nothing, in C: PortAudio's threads must not wait for Python.
    deaf = ctypes.CDLL(None).abs
    for library, setters in (
        ("libasound.so.2", ("snd_lib_error_set_handler",)),
        ("libjack.so.0", ("jack_set_error_function", "jack_set_info_function")),
    ):
        try:
            loaded = ctypes.CDLL(library, mode=os.RTLD_NOW | os.RTLD_NOLOAD)
        except OSError:  # this PortAudio was built without it
            continue
        for setter in setters:
            getattr(loaded, setter)(deaf)


@contextmanager
def quiet_refusal() -> Iterator[None]:
    """PortAudio prints where in its sources an opening failed, and can't be asked not to.

    For so long C's `stderr` is another stream; file descriptor 2, which Python and all other threads
    write to, is left alone. Within a turn.
    """
    nowhere = _nowhere()
    if nowhere is None:
        yield
        return
    stream = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
    before, stream.value = stream.value, nowhere
    try:
        yield
    finally:
        stream.value = before


@cache
def _nowhere() -> int | None:
    """A C stream that discards what is written; None where `stderr` is no variable (musl)."""
    if platform.libc_ver()[0] != "glibc":
        return None
    fopen = ctypes.CDLL(None).fopen
    fopen.restype = ctypes.c_void_p
    opened: int | None = fopen(os.devnull.encode(), b"we")
    return opened
