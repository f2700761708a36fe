"""How near sentences are to references: BLEU, ROUGE-L, CIDEr-D and the vocabulary, as COCO computes them.

All scores are of words as `tokenise` cuts them, and of the whole set in one call: CIDEr-D weighs words
by how rare they are in the references scored together, so a split set has other scores.
Source: the caption evaluation of COCO (pycocoevalcap), to whose values tests hold every metric.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....runtime.errors import DataError

Words = tuple[str, ...]
"""A tokenised sentence."""
Ngrams = Counter[Words]

LONGEST = 4
"""The n of the longest n-grams."""
BETA = 1.2
"""ROUGE-L's weight of recall against precision."""
SIGMA = 6.0
"""CIDEr-D's tolerance of a difference in length."""

_QUOTES = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u0060": "'",
        "\u00b4": "'",
        "\u2026": "...",
    }
)
_BRACKETS = {"(": " -lrb- ", ")": " -rrb- ", "[": " -lsb- ", "]": " -rsb- ", "{": " -lcb- ", "}": " -rcb- "}
_RULES = (
    (re.compile(r"(?<=\w)(n't)\b"), r" \1"),
    (re.compile(r"(?<=\w)('(?:s|m|d|re|ve|ll))\b"), r" \1"),
    (re.compile(r"(?<!\S)-+|-+(?!\S)"), " "),  # hyphens that hang on no word, or on one side only
    (re.compile(r"([*|%])"), r" \1 "),
    (re.compile(r"[(){}\[\]]"), lambda found: _BRACKETS[found[0]]),
    (re.compile(r"[,;:?!\"]"), " "),
    (re.compile(r"(?<!\S)\.+|\.{2,}|(?<!\.\w)\.(?!\S)"), " "),  # full stops, but not that of "p.a."
    (re.compile(r"\bcannot\b"), "can not"),
)
_SUFFIXES = frozenset(["'s", "'m", "'d", "'re", "'ve", "'ll"])
_DROPPED = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])


def tokenise(caption: str) -> Words:
    """The words of a caption as Stanford's PTBTokenizer cuts them, without case and punctuation.

    Brackets survive as -lrb- and so on, as they do in pycocoevalcap, whose list of what to drop is
    written in capitals.
    """
    text = caption.lower().translate(_QUOTES)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    words = (word if word in _SUFFIXES else word.strip("'") for word in text.split())
    return tuple(word for word in words if word and word not in _DROPPED)


def bleu(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> tuple[float, ...]:
    """BLEU-1 to BLEU-4 of the set: n-grams are counted over all clips, then compared once.

    Of several references the one nearest in length counts for brevity, of equally near ones the shorter.
    """
    _check(candidates, references)
    correct, guessed = np.zeros(LONGEST), np.zeros(LONGEST)
    said = wanted = 0
    for candidate, some in zip(candidates, references, strict=True):
        said += len(candidate)
        wanted += min((abs(len(one) - len(candidate)), len(one)) for one in some)[1]
        most: Ngrams = Counter()
        for one in some:
            most |= _ngrams(one)
        for ngram, count in _ngrams(candidate).items():
            guessed[len(ngram) - 1] += count
            correct[len(ngram) - 1] += min(count, most[ngram])
    precision = (correct + 1e-15) / (guessed + 1e-9)
    ratio = (said + 1e-15) / (wanted + 1e-9)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    return tuple(float(np.prod(precision[:n]) ** (1 / n)) * brevity for n in range(1, LONGEST + 1))


def rouge_l(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> NDArray[np.float64]:
    """ROUGE-L of each clip: of the longest common subsequence, best precision and best recall apart."""
    _check(candidates, references)
    scores = np.zeros(len(candidates))
    for i, (candidate, some) in enumerate(zip(candidates, references, strict=True)):
        shared = [_common_subsequence(candidate, one) for one in some]
        precision = max(shared) / max(len(candidate), 1)
        recall = max(n / max(len(one), 1) for n, one in zip(shared, some, strict=True))
        if precision and recall:
            scores[i] = (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)
    return scores


def cider_d(
    candidates: Sequence[Words],
    references: Sequence[Sequence[Words]],
    among: Sequence[Sequence[Words]] | None = None,
) -> NDArray[np.float64]:
    """CIDEr-D of each clip, 0 to 10; two clips at least, since one alone has no rare words.

    What it calls a sentence's length is its number of bigrams. among: references that tell how rare words
    are, two at least; None: these.
    """
    _check(candidates, references)
    frequency: Ngrams = Counter()
    for some in among or references:
        frequency.update({ngram for one in some for ngram in _ngrams(one)})
    log_clips = math.log(len(among or references))

    def weigh(words: Words) -> tuple[list[dict[Words, float]], list[float]]:
        weights: list[dict[Words, float]] = [{} for _ in range(LONGEST)]
        for ngram, count in _ngrams(words).items():
            rarity = log_clips - math.log(max(1, frequency[ngram]))
            weights[len(ngram) - 1][ngram] = count * rarity
        return weights, [math.sqrt(sum(w * w for w in some.values())) for some in weights]

    scores = np.zeros(len(candidates))
    for i, (candidate, some) in enumerate(zip(candidates, references, strict=True)):
        said, said_norm = weigh(candidate)
        for one in some:
            wanted, wanted_norm = weigh(one)
            similarity = 0.0
            for n in range(LONGEST):
                norm = said_norm[n] * wanted_norm[n]
                shared = sum(
                    min(w, wanted[n].get(g, 0.0)) * wanted[n].get(g, 0.0) for g, w in said[n].items()
                )
                similarity += shared / norm if norm else shared
            bigrams = max(len(candidate) - 1, 0) - max(len(one) - 1, 0)
            scores[i] += similarity / LONGEST * math.exp(-(bigrams**2) / (2 * SIGMA**2))
        scores[i] *= 10.0 / len(some)
    return scores


def vocabulary(candidates: Sequence[Words]) -> int:
    """How many different words all candidates use together."""
    return len({word for candidate in candidates for word in candidate})


def _ngrams(words: Words) -> Ngrams:
    return Counter(words[i : i + n] for n in range(1, LONGEST + 1) for i in range(len(words) - n + 1))


def _common_subsequence(one: Words, other: Words) -> int:
    """Length of the longest sequence of words that both hold in this order."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = row
        row = [0]
        for i, theirs in enumerate(other):
            row.append(before[i] + 1 if word == theirs else max(before[i + 1], row[i]))
    return row[-1]


def _check(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> None:
    if len(candidates) != len(references):
        raise DataError(f"{len(candidates)} candidates can't be scored against {len(references)} references")
    if len(candidates) < 2:
        raise DataError("a caption alone can't be scored", why="words are weighed over the whole set")
    if not all(references):
        raise DataError("a clip without a reference can't be scored")
