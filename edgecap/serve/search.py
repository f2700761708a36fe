"""Search: what was heard, by the words of a question and by what it means.

Either way gives an order of the sentences in the history; the two are fused by reciprocal rank (Cormack,
Clarke and Buettcher, SIGIR 2009, with their 60), which needs no scale that both share.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from . import rows, words
from .kept import BEGINNING, END, Kept, read_ms
from .question import Question

RANKED = 300
"""Sentences of each order; those behind say nothing."""
SMOOTHING = 60
LIKE = 0.3
"""Sentences less like the question than this are not meant by it."""

By = Literal["words", "meaning"]


class Hit(msgspec.Struct, frozen=True):
    """A caption that was found, and by what. Neither where only filters were given."""

    caption: Kept
    by: tuple[By, ...]
    score: float


class Found(msgspec.Struct, frozen=True):
    """What was understood, and what was found. by_meaning: whether it was looked for by meaning too."""

    query: Question
    results: list[Hit]
    by_meaning: bool


class _Sentence(msgspec.Struct):
    row: int
    score: float = 0.0
    by: tuple[By, ...] = ()


def search(
    reader: sqlite3.Connection, question: Question, near: Sequence[tuple[int, float]], limit: int
) -> list[Hit]:
    """The captions that answer a question, best first. near: sentences by meaning. Raises sqlite3.Error."""
    wanted = rows.Filter(
        rooms=question.rooms,
        since=BEGINNING if question.since is None else read_ms(question.since),
        until=END if question.until is None else read_ms(question.until),
        urgent=question.urgent,
    )
    if not question.text:
        return [Hit(caption, (), 0.0) for caption in rows.listed(reader, wanted, limit)]
    by_words = words.matching(reader, question.text, RANKED)
    by_meaning = [row for row, likeness in near if likeness >= LIKE]
    sentences = fuse({"words": by_words, "meaning": by_meaning})
    return list(_hits(reader, wanted, sentences, limit))


def fuse(orders: dict[By, list[int]]) -> list[_Sentence]:
    """Rows in one order: a row's score is the sum of 1 / (60 + its rank) over the orders that have it."""
    found: dict[int, _Sentence] = {}
    for by, order in orders.items():
        for rank, row in enumerate(order, 1):
            sentence = found.setdefault(row, _Sentence(row))
            sentence.score += 1 / (SMOOTHING + rank)
            sentence.by += (by,)
    return sorted(found.values(), key=lambda sentence: (-sentence.score, sentence.row))


def _hits(
    reader: sqlite3.Connection, wanted: rows.Filter, sentences: Sequence[_Sentence], limit: int
) -> Iterator[Hit]:
    """The newest captions of each sentence. The second of the same sentence counts as one rank further down,
    and so on: a dog that barked all day leaves room for the others."""
    where, parameters = wanted.condition()
    best: list[tuple[float, rows.Place, _Sentence]] = []
    for sentence in sentences:
        if len(best) >= limit and sentence.score <= best[limit - 1][0]:
            break  # neither this nor any behind it gets in
        newest = reader.execute(
            f"SELECT {rows.PLACE} FROM caption INDEXED BY by_text WHERE caption.text = ? AND {where} "
            "ORDER BY caption.start DESC LIMIT ?",
            (sentence.row, *parameters, limit),
        )
        for repeat, place in enumerate(newest):
            score = sentence.score * SMOOTHING / (SMOOTHING + repeat)
            if len(best) >= limit and score <= best[limit - 1][0]:
                break
            best.append((score, place, sentence))
        best.sort(key=lambda each: (-each[0], -each[1][0]))
        del best[limit:]
    for score, (_, stream, caption), sentence in best:
        kept = rows.caption_at(reader, stream, caption)
        if kept is not None:
            yield Hit(kept, sentence.by, round(score, 6))
