"""What is kept: so many days, so many megabytes, by whole days."""

from datetime import UTC, datetime, timedelta

from .kept import milliseconds
from .store import Store
from .times import midnight

HOUR = timedelta(hours=1)
FOR_EVER = 36_500
"""Days; a calendar has no end of them, but a beginning."""


def sweep(store: Store, keep_days: int, most_mb: int, now: datetime | None = None) -> None:
    """Delete what is older than keep_days days and today, then the oldest days until it fits in most_mb.

    A day is one of this machine's calendar. Of a day that is too large alone, the oldest hours go. Raises
    sqlite3.Error.
    """
    now = now or datetime.now(UTC)
    today = now.astimezone().date()
    _delete_before(store, midnight(today - timedelta(days=min(keep_days, FOR_EVER))))
    while _megabytes(store) > most_mb:
        oldest = store.connection.execute("SELECT min(start) FROM caption").fetchone()[0]
        if oldest is None:
            break
        begun = datetime.fromtimestamp(oldest / 1000, UTC).astimezone()
        next_day = midnight(begun.date() + timedelta(days=1))
        _delete_before(store, next_day if next_day <= midnight(today) else begun.astimezone(UTC) + HOUR)
    store.connection.execute("PRAGMA incremental_vacuum")


def _megabytes(store: Store) -> float:
    """Of the file, without the room that is free in it."""
    pages, free, size = (
        store.connection.execute(f"PRAGMA {fact}").fetchone()[0]
        for fact in ("page_count", "freelist_count", "page_size")
    )
    return float((pages - free) * size / 1e6)


def _delete_before(store: Store, moment: datetime) -> None:
    before = milliseconds(moment)
    oldest = store.connection.execute("SELECT min(start) FROM caption").fetchone()[0]
    if oldest is None or oldest >= before:
        return
    execute = store.connection.execute
    with store.writing():
        # A stream's messages come in the order of time, so those of captions that go end where these do.
        reached = execute("SELECT stream, max(seq) FROM caption WHERE start < ? GROUP BY stream", (before,))
        for stream, last in reached.fetchall():
            execute("DELETE FROM message WHERE stream = ? AND seq <= ? AND start < ?", (stream, last, before))
        execute("DELETE FROM caption WHERE start < ?", (before,))
        execute("DELETE FROM text WHERE last < ?", (before,))
        execute("DELETE FROM gap WHERE until < ?", (before,))
        execute(
            "DELETE FROM stream WHERE id NOT IN (SELECT max(id) FROM stream GROUP BY room) "
            "AND NOT EXISTS (SELECT 1 FROM message WHERE stream = stream.id)"
        )
        store.forget_rows()
