"""History: what was heard, kept and found again. The front of the store, for as many threads as like."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from edgecap.runtime.errors import UnavailableError
from edgecap.runtime.telling import wire

from . import as_file, rows, store
from .as_file import Format
from .away import Away, away
from .kept import BEGINNING, END, Gap, Kept, Trouble, milliseconds
from .meaning import Meaning
from .question import parse
from .search import RANKED, Found, Hit, search
from .writer import Writer, is_damaged, reason

KEEP_DAYS, MOST_MB = 90, 250


class History:
    """`open` stores and reads, `read` only reads. Messages may come twice, and in any order.

    Acknowledged is what is committed: `newest` tells it. Reading raises UnavailableError where the file can't
    be read; where there is none yet, it finds nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Writer | None = None
        self._meaning = Meaning(folder)
        self._reading = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def open(cls, folder: Path, keep_days: int = KEEP_DAYS, most_mb: int = MOST_MB) -> Self:
        """The history of a folder, which is made where it is missing. Raises nothing: see `trouble`."""
        history = cls(folder)
        history._writer = Writer(folder, keep_days, most_mb, history._forget, history._learn)
        history._meaning = Meaning(folder, history._writer.later)
        return history

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The same, for reading alone: nothing is made, stored or deleted."""
        return cls(folder)

    def exists(self) -> bool:
        """Whether anything was stored yet."""
        with self._reader() as reader:
            return reader is not None

    def put(self, message: wire.CaptionMessage) -> None:
        """Store a message. Never waits and never raises: what is not stored is told by `trouble`."""
        if self._writer:
            self._writer.put(message)

    def trouble(self) -> Trouble | None:
        """Why nothing is stored, since when; None where all is well."""
        return self._writer.trouble() if self._writer else None

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that was put is committed; whether it is."""
        return self._writer is None or self._writer.flush(timeout_s)

    def newest(self) -> dict[str, tuple[int, int]]:
        """Room -> (run, seq) of its newest message that is committed: where catching up begins.

        While a history that stores can't be read, nothing is acknowledged: it is empty.
        """
        known = self._writer.newest() if self._writer else None
        if known is not None:
            return known
        try:
            with self._reader() as reader:
                return rows.newest(reader) if reader else {}
        except UnavailableError:
            if self._writer is None:
                raise
            return {}

    def captions(
        self,
        *,
        rooms: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        before: str | None = None,
        limit: int = 200,
    ) -> list[Kept]:
        """Captions that begin in [since, until), newest first. rooms: these alone, all where there are none.

        before: ROOM/RUN/SEQ of any message of a caption, to go on behind it.
        """
        with self._reader() as reader:
            if reader is None:
                return []
            behind = None
            if before is not None and (behind := _place(reader, before)) is None:
                return []
            return rows.listed(reader, _filter(rooms, since, until), limit, behind)

    def in_order(
        self, *, rooms: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Kept]:
        """The same captions, oldest first, however many; on a connection of its own, which takes its time."""
        with self._refusing(), self._own_reader() as reader:
            if reader:
                yield from as_file.captions(reader, _filter(rooms, since, until))

    def after(self, room: str, run: int, seq: int, limit: int) -> list[wire.CaptionMessage]:
        """A room's messages behind (run, seq), as they were published but for `semantic`, in their order.

        Of a run that is not known, all of what came in later ones.
        """
        with self._reader() as reader:
            return rows.after(reader, room, run, seq, limit) if reader else []

    def search(
        self,
        q: str,
        *,
        rooms: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> Found:
        """What answers a question, best first; `question.parse` tells what may be typed into it.

        rooms, since, until: filters besides those that are typed. Raises UsageError for a time that is none.
        """
        question = parse(q, datetime.now(UTC)).within(rooms, since, until)
        near = self._meaning.nearest(question.text, RANKED) if question.text else []
        with self._reader() as reader:
            results: list[Hit] = []
            if reader is not None:
                results = search(reader, question, near or (), limit)
        return Found(question, results, near is not None)

    def away(self, since: datetime, until: datetime | None = None) -> Away:
        """What was heard from a moment to another, or to now, in at most twelve lines."""
        until = until or datetime.now(UTC)
        with self._reader() as reader:
            if reader is None:
                begun, ended = wire.timestamp(since), wire.timestamp(until)
                return Away(since=begun, until=ended, lines=[], total=0, left=0, gaps=[])
            return away(reader, since, until)

    def export(
        self,
        style: Format,
        *,
        rooms: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[str]:
        """A span as a file's text, piece by piece; on a connection of its own too."""
        with self._refusing(), self._own_reader() as reader:
            if reader:
                yield from as_file.parts(reader, style, _filter(rooms, since, until))

    def gaps(self, since: datetime | None = None, until: datetime | None = None) -> list[Gap]:
        """Times of which captions were lost, oldest first."""
        with self._reader() as reader:
            return rows.gaps(reader, _filter((), since, until)) if reader else []

    def close(self) -> None:
        """Store what waits, and let go of the file. A second call does nothing."""
        if self._writer:
            self._writer.close()
        self._meaning.close()
        with self._reading:
            self._close_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection | None]:
        """The connection that reads, for one thread at a time; None where there is no file yet."""
        with self._reading, self._refusing():
            try:
                if self._connection is None:
                    self._connection = store.connect_to_read(self.folder)
                yield self._connection
            except sqlite3.Error:
                self._close_connection()
                raise

    @contextmanager
    def _own_reader(self) -> Iterator[sqlite3.Connection | None]:
        reader = store.connect_to_read(self.folder)
        try:
            yield reader
        finally:
            if reader:
                reader.close()

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as refused:
            if self._writer and is_damaged(refused):
                self._writer.suspect()
            raise UnavailableError(
                f"the history in {self.folder} can't be read",
                why=reason(refused),
                fix="ask again; if it stays so, name another folder with --data",
            ) from refused

    def _learn(self) -> None:
        threading.Thread(target=self._meaning.learn, name="meaning", daemon=True).start()

    def _forget(self) -> None:
        """The file is another one now."""
        self._meaning.forget()
        with self._reading:
            self._close_connection()

    def _close_connection(self) -> None:
        if self._connection:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None


def _filter(rooms: Sequence[str], since: datetime | None, until: datetime | None) -> rows.Filter:
    return rows.Filter(
        rooms=tuple(rooms),
        since=BEGINNING if since is None else milliseconds(since),
        until=END if until is None else milliseconds(until),
    )


def _place(reader: sqlite3.Connection, key: str) -> rows.Place | None:
    """Of the caption of the message ROOM/RUN/SEQ."""
    rest, _, seq = key.rpartition("/")
    room, _, run = rest.rpartition("/")
    if not (run.isdecimal() and seq.isdecimal()):
        return None
    return rows.place(reader, room, int(run), int(seq))
