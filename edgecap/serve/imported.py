"""What was kept elsewhere comes into a history: the wire's lines, as `edgecap listen --json` prints them."""

import contextlib
import sqlite3
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from edgecap.runtime.errors import UnavailableError, WireError
from edgecap.runtime.telling import wire

from . import store
from .folder import make_private
from .writer import reason

BATCH = 2000
WAIT_S = 10.0


class Taken(NamedTuple):
    """How many messages were stored, were there already, tell of something else than captions, can't be read;
    and of these the first: its line, from 1, and why."""

    stored: int = 0
    known: int = 0
    others: int = 0
    refused: int = 0
    first_refused: tuple[int, str] | None = None


def take_in(folder: Path, lines: Iterable[bytes]) -> Taken:
    """Store the messages that are not there yet. Raises UnavailableError; what was stored before stays."""
    taken = Taken()
    try:
        make_private(folder)
        with contextlib.closing(store.connect(folder, wait_s=WAIT_S)) as connection:
            writing = store.Store(connection)
            numbered = enumerate(lines, 1)
            while batch := list(islice(numbered, BATCH)):
                messages, taken = _read(batch, taken)
                stored = writing.insert(messages)
                known = taken.known + len(messages) - stored
                taken = taken._replace(stored=taken.stored + stored, known=known)
    except (sqlite3.Error, OSError) as refused:
        raise UnavailableError(
            f"the history in {folder} can't be written",
            why=reason(refused),
            fix="mend that and import again: what is stored already is not stored twice",
        ) from refused
    return taken


def _read(batch: Iterable[tuple[int, bytes]], taken: Taken) -> tuple[list[wire.CaptionMessage], Taken]:
    messages: list[wire.CaptionMessage] = []
    for number, line in batch:
        if not line.strip():
            continue
        try:
            message = wire.decode(line)
            if not isinstance(message, wire.CaptionMessage):
                taken = taken._replace(others=taken.others + 1)
            elif not store.is_storable(message):
                raise WireError("message can't be stored", why="its numbers are too large")
            else:
                messages.append(message)
        except WireError as unreadable:
            first = taken.first_refused or (number, str(unreadable))
            taken = taken._replace(refused=taken.refused + 1, first_refused=first)
    return messages, taken
