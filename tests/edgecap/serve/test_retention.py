"""What is kept, by whole days of this machine's calendar: what goes, goes everywhere."""

import contextlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.serve import rows
from edgecap.serve.kept import read_ms
from edgecap.serve.retention import sweep
from edgecap.serve.store import HOUR, Store, connect
from edgecap.serve.times import midnight
from tests.said import NOON, said


@settings(max_examples=15)
@given(
    hours=st.lists(st.integers(0, 24 * 6), min_size=1, max_size=40),
    keep_days=st.integers(0, 7),
    zone=st.sampled_from(["CET-1CEST,M3.5.0,M10.5.0/3", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "UTC0"]),
)
def test_days_that_are_too_old_go(
    hours: list[int], keep_days: int, zone: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Over the night in which summer begins."""
    now = datetime(2026, 3, 31, 9, tzinfo=UTC)
    messages = [
        said(f"Sentence {n % 5}.", n + 1, caption=n, start=now - timedelta(hours=back))
        for n, back in enumerate(sorted(hours, reverse=True))
    ]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", zone)
        time.tzset()
        with contextlib.closing(connect(tmp_path_factory.mktemp("kept"))) as connection:
            store = Store(connection)
            store.insert(messages)
            sweep(store, keep_days, 1000, now)
            begins = midnight(now.astimezone().date() - timedelta(days=keep_days))
            kept = [m for m in messages if read_ms(m.start) >= begins.timestamp() * 1000]
            assert [k.text for k in rows.in_order(connection, rows.Filter(), 1000)] == [m.text for m in kept]
            assert [m for _, m in rows.messages(connection, rows.Filter(), 1000, (0, 0))] == kept
            # A sentence goes with its last caption, to the hour.
            late = [m for m in messages if read_ms(m.start) + HOUR >= begins.timestamp() * 1000]
            texts = {text for (text,) in connection.execute("SELECT text FROM text")}
            assert {m.text for m in kept} <= texts <= {m.text for m in late}
            connection.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
            # It is still known where catching up begins, and what comes again is not stored twice.
            assert rows.newest(connection) == {"kitchen": (1769853600000, len(messages))}
            assert store.insert(kept) == 0
    time.tzset()


def test_the_oldest_days_go_where_there_is_too_much(tmp_path: Path) -> None:
    now = NOON + timedelta(days=10)
    with contextlib.closing(connect(tmp_path)) as connection:
        store = Store(connection)
        many = [
            said(f"Sentence {n} of many, each another.", n, caption=n, start=NOON + timedelta(minutes=2 * n))
            for n in range(1, 6000)
        ]
        store.insert(many)
        sweep(store, 90, 1, now)
        kept = rows.in_order(connection, rows.Filter(), 10_000)
        assert 500 < len(kept) < len(many)
        assert [k.seq for k in kept] == list(range(kept[0].seq, 6000))  # the newest
        first = datetime.fromisoformat(kept[0].start).astimezone()
        assert first - midnight(first.date()) < timedelta(minutes=2)  # a whole day
        assert sum(file.stat().st_size for file in tmp_path.glob("history.db")) < 1_100_000


def test_of_a_day_that_is_too_much_alone_its_beginning_goes(tmp_path: Path) -> None:
    with contextlib.closing(connect(tmp_path)) as connection:
        store = Store(connection)
        begin = midnight(NOON.astimezone().date())
        for hour in range(20):
            start = begin + timedelta(hours=hour)
            store.insert(
                said(
                    f"Sentence {n} of {hour}, each another.",
                    1000 * hour + n,
                    caption=1000 * hour + n,
                    start=start,
                )
                for n in range(1, 500)
            )
        sweep(store, 90, 1, begin + timedelta(hours=20, minutes=30))
        hours = {k.start for k in rows.in_order(connection, rows.Filter(), 100_000)}
        assert 1 < len(hours) < 20
        assert max(hours) == said(start=begin + timedelta(hours=19)).start


def test_for_ever_is_an_amount(tmp_path: Path) -> None:
    with contextlib.closing(connect(tmp_path)) as connection:
        store = Store(connection)
        store.insert([said()])
        sweep(store, 1 << 60, 1 << 60)
        assert len(rows.listed(connection, rows.Filter(), 9)) == 1
