"""Meaning: asks the process that knows what sentences mean, and starts it where there is none."""

import base64
import contextlib
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

import edgecap

from .asked import Answer, Ask
from .store import Store

BUNDLE = "room-small"
PATIENCE_S = 5.0
"""Longer than it takes to start on a small computer. Who does not answer by then is ended."""
AGAIN_S = 60.0
"""After it could not be started."""
PACKAGES = str(Path(edgecap.__file__).parents[1])
CODE = "edgecap.serve.sentence_space"

log = logging.getLogger(__name__)


class Meaning:
    """For a folder's history. keep: has what was made stored, so that a
    sentence is read once."""

    def __init__(
        self,
        folder: Path,
        keep: Callable[[Callable[[Store], None]], None] | None = None,
    ) -> None:
        self._folder, self._keep = folder, keep
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._is_closed = False

    def nearest(self, text: str, most: int) -> list[tuple[int, float]] | None:
        """(row of `text`, likeness -1 to 1), nearest first; None where it can't be told by meaning."""
        answer = self._ask(text, most)
        return None if answer is None else answer.near

    def learn(self) -> None:
        """Have the vectors of new sentences made and stored."""
        while (answer := self._ask("", 0)) and answer.is_behind:
            pass

    def forget(self) -> None:
        """The history is another one: what was learnt of it is void."""
        with self._asking:
            self._end()

    def close(self) -> None:
        """End the process. A second call does nothing."""
        with self._asking:
            self._is_closed = True
            self._end()

    def _ask(self, text: str, most: int) -> Answer | None:
        question = msgspec.json.encode(Ask(text, most)) + b"\n"
        with self._asking:
            line = self._exchange(question)
            if line is None:  # it had just left, not having been asked for long
                line = self._exchange(question)
        if not line:
            return None
        answer = msgspec.json.decode(line, type=Answer)
        if answer.made and self._keep:
            self._keep(lambda store: _store_vectors(store, answer))
        return answer

    def _exchange(self, question: bytes) -> bytes | None:
        """Its answer, a whole line; empty where it can't answer, None where it left."""
        process = self._running()
        if process is None or process.stdin is None or process.stdout is None:
            return b""
        try:
            process.stdin.write(question)
            process.stdin.flush()
            if not select.select([process.stdout], [], [], PATIENCE_S)[0]:
                log.warning("Searching by meaning took too long; by words alone.")
                self._end()
                return b""
            line = process.stdout.readline()
        except OSError:
            line = b""
        if line.endswith(b"\n"):
            return line
        self._bury(process)
        return None

    def _bury(self, process: "subprocess.Popen[bytes]") -> None:
        """It left: for it was not asked for long, or since it can't answer here, which it has said."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if process.wait(PATIENCE_S) > 0:
                self._not_before = time.monotonic() + AGAIN_S
        self._end()

    def _running(self) -> "subprocess.Popen[bytes] | None":
        if self._process is not None and self._process.poll() is not None:
            self._bury(self._process)
        if self._process is None and not self._is_closed and time.monotonic() >= self._not_before:
            paths = [PACKAGES, *filter(None, [os.environ.get("PYTHONPATH")])]
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", CODE, str(self._folder), BUNDLE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                )
            except OSError as refused:
                log.warning("Searching by meaning: %s; by words alone.", refused.strerror)
                self._not_before = time.monotonic() + AGAIN_S
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        process.wait()


def _store_vectors(store: Store, answer: Answer) -> None:
    """Vectors into `text`; where those there are of another space, they go."""
    with store.writing():
        execute = store.connection.execute
        found = execute("SELECT value FROM fact WHERE name = 'space'").fetchone()
        if found is None or found[0] != answer.space:
            execute("UPDATE text SET embedding = NULL")
            execute("INSERT OR REPLACE INTO fact VALUES ('space', ?)", (answer.space,))
        for row, vector in answer.made.items():
            execute("UPDATE text SET embedding = ? WHERE id = ?", (base64.b64decode(vector), int(row)))
