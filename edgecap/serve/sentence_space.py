"""The process that knows what sentences mean: `python -m edgecap.serve.sentence_space FOLDER BUNDLE`.

Each line that comes in is a question, {"text": …, "most": …}; each that goes out is its answer. It is a
process of its own for its memory: it comes when somebody asks and goes when nobody does.
"""

import base64
import contextlib
import select
import sqlite3
import sys
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgecap.runtime.errors import EdgecapError, UsageError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.text import GRAPH, TextEncoder

from ..console import note
from . import store
from .asked import Answer, Ask

IDLE_S = 300.0
BLOCK = 4096
"""Sentences multiplied at once: they stay in the cache while they are widened to float32."""
MOST_MADE = 512
"""Sentences read for one answer; more would keep who asks waiting."""


class SentenceSpace:
    """A history's sentences as int8 vectors, the unit vector times 127, and what is near to a question."""

    def __init__(self, folder: Path, bundle: str | Path) -> None:
        """Raises BundleError for a bundle that can't read words, InputMissingError for none."""
        opened = Bundle.open(bundle)
        self._encoder = TextEncoder(opened)
        self.space = opened.manifest.graphs[GRAPH].sha256
        """Names the space: vectors of another one mean nothing here."""
        self._folder = folder
        self._rows: list[int] = []
        self._blocks: list[NDArray[np.int8]] = []
        self._made: dict[int, bytes] = {}
        self._is_behind = False

    def answer(self, ask: Ask) -> Answer:
        """Learn what sentences came, and find what is near. Raises sqlite3.Error."""
        self.learn()
        near = self.nearest(ask.text, ask.most) if ask.text else []
        made = {str(row): base64.b64encode(vector).decode() for row, vector in self._made.items()}
        self._made.clear()
        return Answer(near, made, self.space, self._is_behind)

    def nearest(self, text: str, most: int) -> list[tuple[int, float]]:
        """(row, likeness -1 to 1) of the sentences nearest to the text, nearest first."""
        try:
            vector = self._encoder.embed([text])[0] / np.float32(127)
        except UsageError:  # no word in it
            return []
        likeness = np.concatenate(
            [block.astype(np.float32) @ vector for block in self._blocks] or [np.zeros(0, np.float32)]
        )
        best = np.argsort(-likeness, kind="stable")[:most]
        return [(self._rows[at], round(float(likeness[at]), 4)) for at in best]

    def learn(self) -> None:
        """Take in sentences that came since, as many as may be read at once. Raises sqlite3.Error."""
        known = self._rows[-1] if self._rows else 0
        connection = store.connect_to_read(self._folder)
        if connection is None:
            return
        try:
            found = connection.execute("SELECT value FROM fact WHERE name = 'space'").fetchone()
            is_ours = found is not None and found[0] == self.space
            rows = connection.execute(
                "SELECT id, text, embedding FROM text WHERE id > ? ORDER BY id", (known,)
            ).fetchall()
        finally:
            connection.close()
        vectors: list[bytes] = []
        for row, text, embedding in rows:
            if not (is_ours and embedding):
                if len(self._made) >= MOST_MADE:
                    break
                embedding = self._make(row, text)
            vectors.append(embedding)
            self._rows.append(row)
        self._is_behind = len(vectors) < len(rows)
        if not vectors:
            return
        width = len(vectors[0])
        if self._blocks and len(self._blocks[-1]) < BLOCK:
            vectors.insert(0, self._blocks.pop().tobytes())
        new = np.frombuffer(b"".join(vectors), np.int8).reshape(-1, width)
        self._blocks += [new[start : start + BLOCK] for start in range(0, len(new), BLOCK)]

    def _make(self, row: int, text: str) -> bytes:
        try:
            vector = self._encoder.embed([text])[0]
        except UsageError:  # no word in it: near to nothing
            vector = np.zeros_like(self._encoder.embed(["nothing"])[0])
        made: bytes = np.rint(vector * 127).astype(np.int8).tobytes()
        self._made[row] = made
        return made


def main(folder: str, bundle: str) -> int:
    """Answer until nobody asks any more, or the asker is gone; the exit code."""
    try:
        space = SentenceSpace(Path(folder), bundle)
    except EdgecapError as refused:
        note(str(refused))
        return refused.code
    with contextlib.suppress(sqlite3.Error):  # it is tried again when somebody asks
        space.learn()
    while select.select([sys.stdin], [], [], IDLE_S)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            break
        try:
            answer = space.answer(msgspec.json.decode(line, type=Ask))
        except sqlite3.Error as refused:
            note(f"searching by meaning: {refused}")
            return 69
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
