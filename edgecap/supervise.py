"""Supervise: processes that are kept running, each for itself; what dies is told, and started again."""

import ctypes
import math
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

FIRST_WAIT_S, MOST_WAIT_S = 1.0, 30.0
WELL_S = 60.0
"""Whoever ran for so long begins with the first wait again."""
STARTED_S = 10.0
"""Who ends within so long of the very first start, with an error, could not be started at all."""
ENDING_S = 10.0

SIGNALLED_PARENT_DEATH = 1  # PR_SET_PDEATHSIG
_libc = ctypes.CDLL(None)


class Kept:
    """A process that is kept running in a thread of its own.

    what: in sentences, "the ear". commands: each is run once the one before has ended well; the last is kept.
    again: run instead once it has died. say: told what happens. failed: called with the exit code where it
    can't be started at all.
    """

    def __init__(
        self,
        what: str,
        commands: Sequence[Sequence[str]],
        say: Callable[[str], None],
        failed: Callable[[int], None],
        again: Sequence[str] | None = None,
    ) -> None:
        self.what = what
        self._commands, self._again, self._say, self._failed = list(commands), again, say, failed
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=what)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Ask it to end. `join` waits for that."""
        with self._lock:
            self._over.set()
            if self._process:
                self._process.terminate()

    def join(self) -> None:
        """Wait until it has ended; it is killed where it does not."""
        self._thread.join(ENDING_S)
        if self._thread.is_alive() and self._process:
            self._process.kill()
            self._thread.join()

    def _run(self) -> None:
        wait_s, is_first, has_run = FIRST_WAIT_S, True, False
        while not self._over.is_set():
            began = time.monotonic()
            code = self._once(self._commands[0])
            ran_s = time.monotonic() - began
            if self._over.is_set():
                return
            if code == 0 and len(self._commands) > 1:
                del self._commands[0]
                has_run = True
                continue
            if code == 0:
                self._say(f"{self.what} has ended.")
                return
            if is_first and code > 0 and ran_s < STARTED_S:
                if has_run:
                    self._say(f"{self.what} can't go on: exit code {code}.")
                else:
                    self._failed(code)
                return
            is_first = False
            if self._again:
                self._commands = [self._again]
            wait_s = FIRST_WAIT_S if ran_s > WELL_S else wait_s
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            self._say(f"{self.what} ended {how}; it is started again in {math.ceil(wait_s)} s.")
            self._over.wait(wait_s)
            wait_s = min(2 * wait_s, MOST_WAIT_S)

    def _once(self, command: Sequence[str]) -> int:
        """Run it to its end; its exit code, or less than 0 for a signal."""
        with self._lock:
            if self._over.is_set():
                return 0
            # In a session of its own, so that Ctrl-C reaches it through us alone, once.
            self._process = subprocess.Popen(command, start_new_session=True, preexec_fn=_end_with_parent)
        return self._process.wait()


def _end_with_parent() -> None:
    """In the child: when the thread that started it is gone, whatever ended that, it ends too."""
    _libc.prctl(SIGNALLED_PARENT_DEATH, signal.SIGTERM)
