"""History: what was heard, kept and found again. The front of the store, for as many threads as like."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from edgecap.runtime.errors import UnavailableError
from edgecap.runtime.telling import wire

from . import store
from .kept import Gap, Kept, Trouble, milliseconds
from .writer import Writer, is_damaged, reason

KEEP_DAYS, MOST_MB = 90, 250
BEGINNING, END = -(1 << 62), 1 << 62


class History:
    """`open` stores and reads, `read` only reads. Messages may come twice, and in any order.

    Acknowledged is what is committed: `newest` tells it. Reading raises UnavailableError where the file can't
    be read; where there is none yet, it finds nothing.
    """

    def __init__(self, folder: Path, writer: Writer | None = None) -> None:
        self.folder = folder
        self._writer = writer
        self._reading = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._names: store.Names | None = None

    @classmethod
    def open(cls, folder: Path, keep_days: int = KEEP_DAYS, most_mb: int = MOST_MB) -> Self:
        """The history of a folder, which is made where it is missing. Raises nothing: see `trouble`."""
        history = cls(folder)
        history._writer = Writer(folder, keep_days, most_mb, history._forget_connection)
        return history

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The same, for reading alone: nothing is made, stored or deleted."""
        return cls(folder)

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
        """Room -> (run, seq) of its newest message that is committed: where catching up begins."""
        known = self._writer.newest() if self._writer else None
        if known is None:
            with self._reader() as reader:
                known = store.newest(reader) if reader else {}
        return known

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
        begins, ends = _span(since, until)
        with self._reader() as reader:
            if reader is None:
                return []
            parameters: list[int | str]
            where, parameters = store.in_rooms(rooms, "caption")
            if before is not None:
                found = _place(reader, before)
                if found is None:
                    return []
                where += " AND (caption.start, caption.stream, caption.caption) < (?, ?, ?)"
                parameters = [*parameters, *found]
                ends = min(ends, found[0] + 1)
            rows = reader.execute(
                f"SELECT {store.COLUMNS} FROM caption JOIN message USING (stream, seq) "
                "JOIN stream ON stream.id = message.stream JOIN text ON text.id = message.text "
                f"WHERE caption.start >= ? AND caption.start < ?{where} "
                "ORDER BY caption.start DESC, caption.stream DESC, caption.caption DESC LIMIT ?",
                (begins, ends, *parameters, limit),
            ).fetchall()
            return [store.kept_of(row, self._known(reader)) for row in rows]

    def after(self, room: str, run: int, seq: int, limit: int) -> list[wire.CaptionMessage]:
        """A room's messages behind (run, seq), as they were published but for `semantic`, in their order.

        Of a run that is not known, all of what came in later ones.
        """
        with self._reader() as reader:
            if reader is None:
                return []
            found = reader.execute("SELECT id FROM stream WHERE room = ? AND run = ?", (room, run)).fetchone()
            later = "stream.id > ?" if found else "stream.run > ?"
            mark = found[0] if found else run
            rows = reader.execute(
                f"SELECT {store.COLUMNS} FROM {store.JOINED} "
                f"WHERE stream.room = ? AND ((stream.run = ? AND message.seq > ?) OR {later}) "
                "ORDER BY stream.id, message.seq LIMIT ?",
                (room, run, seq, mark, limit),
            ).fetchall()
            return [store.message_of(row, self._known(reader)) for row in rows]

    def gaps(self, since: datetime | None = None, until: datetime | None = None) -> list[Gap]:
        """Times of which captions were lost, oldest first."""
        with self._reader() as reader:
            return store.gaps(reader, *_span(since, until)) if reader else []

    def close(self) -> None:
        """Store what waits, and let go of the file. A second call does nothing."""
        if self._writer:
            self._writer.close()
        self._forget_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection | None]:
        """The connection that reads, for one thread at a time; None where there is no file yet."""
        with self._reading:
            try:
                if self._connection is None:
                    self._connection = store.connect_to_read(self.folder)
                yield self._connection
            except (sqlite3.Error, OSError) as refused:
                self._close_connection()
                if self._writer and is_damaged(refused):
                    self._writer.suspect()
                raise UnavailableError(
                    f"the history in {self.folder} can't be read",
                    why=reason(refused),
                    fix="ask again; if it stays so, name another folder with --data",
                ) from refused

    def _known(self, reader: sqlite3.Connection) -> store.Names:
        if self._names is None:
            self._names = store.Names(reader)
        return self._names

    def _forget_connection(self) -> None:
        with self._reading:
            self._close_connection()

    def _close_connection(self) -> None:
        if self._connection:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None
        self._names = None


def _span(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """In milliseconds since 1970."""
    return (
        BEGINNING if since is None else milliseconds(since),
        END if until is None else milliseconds(until),
    )


def _place(reader: sqlite3.Connection, before: str) -> tuple[int, int, int | str] | None:
    """Where the caption of the message ROOM/RUN/SEQ stands: start, stream, caption."""
    room, _, rest = before.rpartition("/")
    room, _, run = room.rpartition("/")
    if not (run.isdecimal() and rest.isdecimal()):
        return None
    row: tuple[int, int, int | str] | None = reader.execute(
        "SELECT caption.start, caption.stream, caption.caption "
        "FROM caption JOIN message USING (stream, caption) JOIN stream ON stream.id = message.stream "
        "WHERE stream.room = ? AND stream.run = ? AND message.seq = ?",
        (room, int(run), int(rest)),
    ).fetchone()
    return row
