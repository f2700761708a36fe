"""Does the search find what people ask for, how fast at a million captions, and how large is that?

    python benchmarks/search.py [--captions 1000000] [--folder KEEP]

Prints the mean reciprocal rank over benchmarks/questions.csv (how far down the first right caption stands:
1 where it is always the first), how long questions take, the first one too, and the digest of days; the size
of the file. A folder that is named is filled once and used again.
"""

import argparse
import csv
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
from simulated_home import ROOMS, captions

from edgecap.serve import store
from edgecap.serve.history import History
from edgecap.serve.search import Found, Hit

QUESTIONS = Path(__file__).parent / "questions.csv"
BATCH = 5000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / store.FILE).exists():
            fill(folder, options.captions)
        learn(folder)
        size = sum(file.stat().st_size for file in folder.glob(f"{store.FILE}*"))
        print(f"| file | {size / 1e6:.0f} MB |")
        print(f"| first question | {first_question(folder) * 1000:.0f} ms |")
        with History.read(folder) as history:
            history.search("warm up")
            ranks(history)
            times(history)
            beside = sum(child.memory_info().rss for child in psutil.Process().children())
            print(f"| memory of the process that knows meanings | {beside / 1e6:.0f} MB |")


def fill(folder: Path, count: int) -> None:
    """Store a simulated home's captions, and say what one message costs."""
    folder.mkdir(parents=True, exist_ok=True)
    writing = store.Store(store.connect(folder))
    spent, messages = 0.0, 0
    batch = []
    for each in captions(count, until=datetime.now(UTC)):
        batch += each
        messages += len(each)
        if len(batch) >= BATCH:
            spent += timed(lambda some=batch: writing.insert(some))
            batch = []
    spent += timed(lambda: writing.insert(batch))
    writing.connection.close()
    print(f"| captions, messages | {count}, {messages} |")
    print(f"| storing a message | {spent / messages * 1e6:.0f} µs |")


def learn(folder: Path) -> None:
    """Have every sentence read for its meaning, as a running history does by and by."""
    with History.open(folder, most_mb=10_000, keep_days=10_000) as history:
        history._meaning.learn()
        history.flush()


def first_question(folder: Path) -> float:
    """Seconds that the first question takes: it starts the process that knows meanings."""
    with History.open(folder, most_mb=10_000, keep_days=10_000) as history:
        return timed(lambda: history.search("did anyone come to the door?"))


def ranks(history: History) -> None:
    with QUESTIONS.open(encoding="utf-8") as file:
        questions = [(row["question"], frozenset(row["labels"].split())) for row in csv.DictReader(file)]
    answered = [(history.search(question), right) for question, right in questions]
    print(f"| questions | {len(questions)} |")
    print(f"| mean reciprocal rank, words and meaning | {mean(answered, lambda hit: True):.3f} |")
    # What was found by one way alone is not the order of that way, so words are asked by themselves.
    history._meaning.nearest = lambda text, most: None  # type: ignore[method-assign]  # for these questions
    alone = [(history.search(question), right) for question, right in questions]
    del history._meaning.nearest
    print(f"| mean reciprocal rank, words alone | {mean(alone, lambda hit: True):.3f} |")


def mean(answered: Sequence[tuple[Found, frozenset[str]]], counts: Callable[[Hit], bool]) -> float:
    return float(
        np.mean([reciprocal_rank([h for h in f.results if counts(h)], right) for f, right in answered])
    )


def reciprocal_rank(hits: Sequence[Hit], right: frozenset[str]) -> float:
    """1 / the place of the first caption that names a right sound; 0 where none does."""
    for place, hit in enumerate(hits, 1):
        if right & {sound.label for sound in hit.caption.sounds}:
            return 1 / place
    return 0.0


def times(history: History) -> None:
    chance = random.Random(0)
    with QUESTIONS.open(encoding="utf-8") as file:
        questions = [row["question"] for row in csv.DictReader(file)]
    now = datetime.now(UTC)

    def filtered(question: str) -> None:
        room = chance.choice(ROOMS)
        day = now - timedelta(days=chance.randrange(1, 80))
        history.search(f"room:{room} after:{day.date()} before:{(day + timedelta(days=3)).date()} {question}")

    near = history._meaning.nearest
    report("by words and meaning", [lambda q=q: history.search(q) for q in questions])
    report("by both, with room and days", [lambda q=q: filtered(q) for q in questions])
    report("by meaning, the sentences alone", [lambda q=q: near(q, 300) for q in questions])
    history._meaning.nearest = lambda text, most: []  # type: ignore[method-assign]  # for these questions
    report("by words alone", [lambda q=q: history.search(q) for q in questions])
    report("newest 200 captions", [lambda: history.captions() for _ in range(30)])
    for days in (1, 7, 30):
        ends = [now - timedelta(days=at) for at in range(20)]
        away = [lambda end=end, days=days: history.away(end - timedelta(days=days), end) for end in ends]
        report(f"away for {days} d", away)


def report(what: str, calls: Sequence[Callable[[], object]]) -> None:
    """By the clock; and by the processor, own and of the child: a busy machine does not blur that."""
    before = processor_s()
    spent = [timed(call) * 1000 for call in calls]
    own = (processor_s() - before) / len(calls) * 1000
    print(
        f"| {what} | median {np.median(spent):.0f} ms, p95 {np.quantile(spent, 0.95):.0f} ms | {own:.0f} ms |"
    )


def processor_s() -> float:
    this = psutil.Process()
    return sum(sum(each.cpu_times()[:2]) for each in (this, *this.children()))


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
