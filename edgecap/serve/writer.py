"""Writer: the one thread that stores. Whoever hands it a message never waits, whatever the disk does.

What can't be stored is tried again until it can, in a bounded queue; what the queue can't hold is counted,
and becomes a gap in the history as soon as that can be written.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from edgecap.runtime.errors import EdgecapError
from edgecap.runtime.telling import wire

from . import retention, rows, store
from .folder import make_private
from .kept import Trouble, milliseconds

MOST_WAITING = 5000
"""Messages that wait for the disk: some megabytes, and hours of a home."""
BATCH = 500
RETRY_S = 0.5
MANY_TEXTS = 500
"""They are read within a tenth of a second: so long the first question may wait for it."""
SWEEP_S = 600.0
"""Between two looks at what is too old; a look costs nothing where nothing is."""
SWEEP_AFTER = 20_000
"""Messages after which the size is looked at besides: some 3 MB."""

Task = Callable[[store.Store], None]
log = logging.getLogger(__name__)


class Writer:
    """Stores messages in a folder's history.db. keep_days, most_mb: what `retention.sweep` leaves.

    on_replaced: called when the file was damaged and another one begun. on_new_texts: when there are many
    sentences that nobody has read for their meaning.
    """

    def __init__(
        self,
        folder: Path,
        keep_days: int,
        most_mb: int,
        on_replaced: Callable[[], None],
        on_new_texts: Callable[[], None],
    ) -> None:
        self._folder, self._keep_days, self._most_mb = folder, keep_days, most_mb
        self._on_replaced, self._on_new_texts = on_replaced, on_new_texts
        self._waiting: deque[wire.CaptionMessage] = deque()
        self._tasks: deque[Task] = deque()
        self._changed = threading.Condition()
        self._is_closing = self._is_suspect = False
        self._trouble: Trouble | None = None
        self._newest: dict[str, tuple[int, int]] | None = None
        self._gap_since: datetime | None = None
        self._gap_why = ""
        self._lost = 0
        self._store: store.Store | None = None
        self._since_sweep = SWEEP_AFTER
        self._swept_at = -SWEEP_S
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def put(self, message: wire.CaptionMessage) -> None:
        """Take a message; what finds no room, or no file can hold, is counted as lost."""
        with self._changed:
            if not store.is_storable(message):
                self._lose(1, "it held what can't be written")
            elif self._is_closing or len(self._waiting) >= MOST_WAITING:
                self._lose(1, self._trouble.why if self._trouble else "more came than could be stored")
            else:
                self._waiting.append(message)
                self._changed.notify_all()

    def later(self, task: Task) -> None:
        """Something else to be written, when there is time and the file is well; forgotten where it fails."""
        with self._changed:
            if len(self._tasks) < BATCH:
                self._tasks.append(task)
                self._changed.notify_all()

    def suspect(self) -> None:
        """A reader found the file damaged: look at it."""
        with self._changed:
            self._is_suspect = True
            self._changed.notify_all()

    def trouble(self) -> Trouble | None:
        """Why nothing is stored just now."""
        with self._changed:
            return self._trouble

    def newest(self) -> dict[str, tuple[int, int]] | None:
        """Room -> (run, seq) of the newest message that is committed; None before the file was opened."""
        with self._changed:
            return None if self._newest is None else dict(self._newest)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that came is stored, gaps too; whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._newest is not None and not (self._waiting or self._tasks or self._gap_since),
                timeout_s,
            )

    def close(self) -> None:
        """Store what waits, where that can be done at once, and end. A second call does nothing."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()

    def _lose(self, count: int, why: str) -> None:
        self._lost += count
        self._gap_since = self._gap_since or datetime.now(UTC)
        self._gap_why = why
        if self._trouble:
            self._trouble = Trouble(self._trouble.since, self._trouble.why, self._lost)

    def _run(self) -> None:
        try:
            while not (self._step() and self._is_closing):
                pass
        except Exception:  # a defect: the face goes on without a history, and says so
            log.exception("The history stores nothing any more: this is a defect of ours.")
            with self._changed:
                self._trouble = Trouble(wire.timestamp(datetime.now(UTC)), "a defect of ours", self._lost)
        if self._store:
            with contextlib.suppress(sqlite3.Error):
                self._store.connection.close()

    def _step(self) -> bool:
        """Wait for something to do, and do it. True where nothing is left that can be done now."""
        with self._changed:
            if not (self._waiting or self._tasks or self._is_closing or self._is_suspect) and self._store:
                self._changed.wait(SWEEP_S)
            batch = list(islice(self._waiting, BATCH))
            tasks = list(self._tasks)
        try:
            self._write(batch, tasks)
        except (sqlite3.Error, OSError, EdgecapError) as refused:
            if self._refused(refused):
                return False
            with self._changed:
                self._changed.wait_for(lambda: self._is_closing, RETRY_S)
            return True
        with self._changed:
            return not self._waiting

    def _write(self, batch: list[wire.CaptionMessage], tasks: list[Task]) -> None:
        opened = self._open()
        if self._is_suspect:
            self._is_suspect = False
            [found] = opened.connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise Damaged(found)
        opened.insert(batch)
        self._stored(batch)
        self._record_gap(opened)
        for task in tasks:
            with self._changed:
                self._tasks.popleft()
            task(opened)
        if opened.new_texts >= MANY_TEXTS:
            opened.new_texts = 0
            self._on_new_texts()
        self._since_sweep += len(batch)
        if self._since_sweep >= SWEEP_AFTER or time.monotonic() - self._swept_at >= SWEEP_S:
            self._since_sweep, self._swept_at = 0, time.monotonic()
            retention.sweep(opened, self._keep_days, self._most_mb)
        with self._changed:
            self._changed.notify_all()

    def _open(self) -> store.Store:
        if self._store is None:
            make_private(self._folder)
            self._store = store.Store(store.connect(self._folder))
        if self._newest is None:
            found = rows.newest(self._store.connection)
            with self._changed:
                self._newest = found
        return self._store

    def _stored(self, batch: list[wire.CaptionMessage]) -> None:
        """They are committed: take them off the queue, and say so."""
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
            if self._trouble:
                log.warning("The history stores again.")
            self._trouble = None
            assert self._newest is not None
            for message in batch:
                run, seq = self._newest.get(message.room, (message.run, 0))
                if run != message.run or seq < message.seq:
                    self._newest[message.room] = (message.run, message.seq)
            self._changed.notify_all()

    def _record_gap(self, opened: store.Store) -> None:
        with self._changed:
            since, why, lost = self._gap_since, self._gap_why, self._lost
        if since is None:
            return
        with opened.writing():
            opened.connection.execute(
                "INSERT OR REPLACE INTO gap VALUES (?, ?, ?, ?)",
                (milliseconds(since), milliseconds(datetime.now(UTC)), why, lost),
            )
        with self._changed:
            self._lost -= lost
            self._gap_since = None if self._lost == 0 else datetime.now(UTC)

    def _refused(self, refused: Exception) -> bool:
        """Say why, once. True where the file was damaged and is put aside: another one can be begun."""
        words, is_aside = reason(refused), False
        if self._store:
            with contextlib.suppress(sqlite3.Error):
                self._store.connection.close()
            self._store = None
        if is_damaged(refused):
            try:
                words = f"{words}; it is kept as {put_aside(self._folder)}, and another one begun"
                is_aside = True
            except OSError as stuck:
                words = f"{words}, and can't be put aside: {stuck.strerror}"
        with self._changed:
            known = self._trouble
            if known is None or known.why != words:
                log.warning("The history stores nothing: %s. Captions go on.", words)
                since = known.since if known else wire.timestamp(datetime.now(UTC))
                self._trouble = Trouble(since, words, self._lost)
            if is_aside:
                self._newest = None
                self._lose(0, words)  # nothing new: but what was there is not here any more
        if is_aside:
            self._on_replaced()
        return is_aside


class Damaged(sqlite3.DatabaseError):
    """What `quick_check` found."""


_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the disk or the file is read-only",
    sqlite3.SQLITE_BUSY: "another program is writing to it",
    sqlite3.SQLITE_LOCKED: "another program is writing to it",
    sqlite3.SQLITE_CANTOPEN: "the file can't be opened",
    sqlite3.SQLITE_IOERR: "the disk does not answer as it should",
    sqlite3.SQLITE_CORRUPT: "the file was damaged",
    sqlite3.SQLITE_NOTADB: "the file was damaged",
}


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_damaged(error: Exception) -> bool:
    """Whether the file itself is at fault."""
    return isinstance(error, Damaged) or _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def reason(error: Exception) -> str:
    """Why nothing can be stored, or read, for a person."""
    if isinstance(error, Damaged):
        return _WORDS[sqlite3.SQLITE_CORRUPT]
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return _WORDS.get(_code(error), str(error))


def put_aside(folder: Path) -> Path:
    """Rename a damaged history, and what belongs to it; where it is now. Raises OSError."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = folder / f"history.damaged-{stamp}.db"
    (folder / store.FILE).rename(aside)
    for suffix in ("-wal", "-shm"):
        beside = folder / f"{store.FILE}{suffix}"
        if beside.exists():
            beside.rename(f"{aside}{suffix}")
    return aside
