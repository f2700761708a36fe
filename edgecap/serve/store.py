"""Store: messages in history.db and out again, exactly once each. One connection's worth of SQL; no thread.

A `message` is a message of the wire as it was published, but for `semantic`, which would be three quarters
of the file. A `caption` points to its newest message: that is its last wording. What comes again and again
stands once: sentences in `text`, with the place of each in the sentence space, and labels, models and
languages in `name`. Times are milliseconds since 1970, UTC; in a message, end and at count from start.
"""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edgecap.runtime.telling import wire

from .kept import read_ms

FILE = "history.db"
VERSION = 1
SCHEMA = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE stream (
    id INTEGER PRIMARY KEY AUTOINCREMENT, room TEXT NOT NULL, run INTEGER NOT NULL, last INTEGER NOT NULL,
    UNIQUE (room, run)
);
CREATE TABLE name (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE text (
    id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL UNIQUE,
    first INTEGER NOT NULL, last INTEGER NOT NULL, embedding BLOB
);
CREATE VIRTUAL TABLE words USING fts5(text, content='text', content_rowid='id', tokenize='porter unicode61');
CREATE TRIGGER text_comes AFTER INSERT ON text BEGIN
    INSERT INTO words (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER text_goes AFTER DELETE ON text BEGIN
    INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TABLE message (
    stream INTEGER, seq INTEGER, caption, event INTEGER, text INTEGER, evidence TEXT,
    start INTEGER, "end" INTEGER, at INTEGER, priority INTEGER, model INTEGER, language INTEGER,
    PRIMARY KEY (stream, seq)
) WITHOUT ROWID;
CREATE TABLE caption (
    stream INTEGER, caption, seq INTEGER, start INTEGER, text INTEGER, priority INTEGER,
    PRIMARY KEY (stream, caption)
) WITHOUT ROWID;
CREATE INDEX by_time ON caption (start, text, priority);
CREATE INDEX by_text ON caption (text, start, priority);
CREATE TABLE gap (
    since INTEGER PRIMARY KEY, until INTEGER NOT NULL, why TEXT NOT NULL, lost INTEGER NOT NULL
);
CREATE TABLE fact (name TEXT PRIMARY KEY, value);
PRAGMA user_version = 1;
COMMIT;
"""
EVENTS: tuple[wire.Event, ...] = ("new", "end", "update")
PRIORITIES: tuple[wire.Priority, ...] = ("normal", "ambient", "call", "urgent")
"""By number in the file, the most frequent first: 0 and 1 take no room."""
URGENT = PRIORITIES.index("urgent")
HOUR = 3_600_000
REMEMBERED = 1 << 14
"""Sentences whose row is known without asking."""


class NewerFormat(sqlite3.Error):
    """history.db was made by a newer edgecap."""


def connect(folder: Path, *, wait_s: float = 1.0) -> sqlite3.Connection:
    """A connection that writes; the file is made where there is none, for its user alone.

    wait_s: how long it waits for another program that writes. Raises sqlite3.Error and OSError.
    """
    path = folder / FILE
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {4 << 20}")
        if _version(connection) == 0:
            try:
                connection.executescript(SCHEMA)
            except sqlite3.OperationalError:
                if connection.in_transaction:
                    connection.rollback()
                if _version(connection) == 0:  # else another program made it meanwhile
                    raise
        if _version(connection) > VERSION:
            raise NewerFormat("it was made by a newer edgecap")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(folder: Path) -> sqlite3.Connection | None:
    """A connection that only reads; None where there is no history yet. Raises sqlite3.Error."""
    path = folder / FILE
    if not path.is_file():
        return None
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=5.0,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        version = _version(connection)
        if version > VERSION:
            raise NewerFormat("it was made by a newer edgecap")
    except BaseException:
        connection.close()
        raise
    if version == 0:  # it is just being made
        connection.close()
        return None
    return connection


def _version(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def is_storable(message: wire.CaptionMessage) -> bool:
    """Whether SQLite can hold it: numbers of 63 bits, texts that are UTF-8. Whatever comes off a wire is."""
    try:
        wire.encode(message).decode()
    except UnicodeError:
        return False
    return max(message.run, message.seq) < 1 << 63


class Store:
    """What one connection writes and has written. Not for several threads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.new_texts = 0
        """Sentences that came for the first time, since somebody set this to 0."""
        self._streams: dict[tuple[str, int], int] = {}
        self._names: dict[str, int] = {}
        self._texts: dict[str, tuple[int, int, int]] = {}  # text -> row, first, last

    def insert(self, messages: Iterable[wire.CaptionMessage]) -> int:
        """Store those that are not there yet, all or none; how many those were. Raises sqlite3.Error."""
        with self.writing():
            return sum(self._insert(message) for message in messages)

    def writing(self) -> "_Writing":
        """A transaction: committed at its end, undone by an exception."""
        return _Writing(self)

    def forget_rows(self) -> None:
        """Rows may have gone: ask for each again."""
        self._streams.clear()
        self._names.clear()
        self._texts.clear()

    def _insert(self, message: wire.CaptionMessage) -> bool:
        execute = self.connection.execute
        stream = self._stream(message)
        start = read_ms(message.start)
        text = self._text(message.text, start)
        caption = _short_id(message)
        priority = PRIORITIES.index(message.priority)
        evidence: list[float] = [message.confidence]
        for sound in message.sounds:
            evidence += [self._name(sound.label), sound.score]
        inserted = execute(
            "INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                stream,
                message.seq,
                caption,
                EVENTS.index(message.event),
                text,
                msgspec.json.encode(evidence).decode(),
                start,
                None if message.end is None else read_ms(message.end) - start,
                None if message.at is None else read_ms(message.at) - start,
                priority,
                self._name(message.model),
                self._name(message.language),
            ),
        )
        if not inserted.rowcount:
            return False
        execute(
            "INSERT INTO caption VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (stream, caption) DO UPDATE SET "
            "seq = excluded.seq, start = excluded.start, text = excluded.text, priority = excluded.priority "
            "WHERE excluded.seq > caption.seq",
            (stream, caption, message.seq, start, text, priority),
        )
        execute("UPDATE stream SET last = max(last, ?) WHERE id = ?", (message.seq, stream))
        return True

    def _stream(self, message: wire.CaptionMessage) -> int:
        key = (message.room, message.run)
        if key not in self._streams:
            self.connection.execute("INSERT OR IGNORE INTO stream (room, run, last) VALUES (?, ?, 0)", key)
            [self._streams[key]] = self.connection.execute(
                "SELECT id FROM stream WHERE room = ? AND run = ?", key
            ).fetchone()
        return self._streams[key]

    def _name(self, name: str) -> int:
        if name not in self._names:
            self.connection.execute("INSERT OR IGNORE INTO name (name) VALUES (?)", (name,))
            [self._names[name]] = self.connection.execute(
                "SELECT id FROM name WHERE name = ?", (name,)
            ).fetchone()
        return self._names[name]

    def _text(self, text: str, start: int) -> int:
        """Its row, which tells when it was said first, and to the hour when last."""
        if text not in self._texts:
            if len(self._texts) >= REMEMBERED:
                self._texts.clear()
            inserted = self.connection.execute(
                "INSERT OR IGNORE INTO text (text, first, last) VALUES (?, ?, ?)", (text, start, start)
            )
            self.new_texts += inserted.rowcount
            self._texts[text] = self.connection.execute(
                "SELECT id, first, last FROM text WHERE text = ?", (text,)
            ).fetchone()
        row, first, last = self._texts[text]
        if start < first or start > last:
            first, last = min(first, start), max(last, start + HOUR)
            self.connection.execute("UPDATE text SET first = ?, last = ? WHERE id = ?", (first, last, row))
            self._texts[text] = row, first, last
        return row


class _Writing:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        connection = self._store.connection
        try:
            if kind is None:
                connection.execute("COMMIT")
        finally:
            if connection.in_transaction:  # undone, and so are rows that were made in it
                self._store.forget_rows()
                connection.execute("ROLLBACK")


def _short_id(message: wire.CaptionMessage) -> str | int:
    """A caption's id, as a number where it is the run's and a number, as edgecap's are."""
    head, _, number = message.id.rpartition("-")
    if head == str(message.run) and number.isdecimal() and len(number) < 19 and str(int(number)) == number:
        return int(number)
    return message.id
