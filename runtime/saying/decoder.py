"""The decoder: a segment's embeddings -> sentences, most likely first.

The adapter turns embeddings into memory, prefill computes what every step reads of it once, and each
step takes one token a beam. Keys and values are a fixed-size cache passed in and out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError
from ..model.engine import Array, Engine, State
from .labels import Meaning
from .wording import FUNCTION_WORDS

PAD, BOS, EOS, UNK = range(4)
FREE = "<free>"
"""In the place of bos: the words that people used in the captions that a model learnt from, not ours."""
BEAM = 3
MAX_TOKENS = 20
"""Words of a caption."""


class Search(NamedTuple):
    """How the beam looks for sentences. The defaults are the edge's; the papers' is (3, False)."""

    least: int = 2
    """Words of a caption at the least. The papers ask for three (SEE-7), but "Birds chirp." is one too."""
    stops_early: bool = True
    """Two sentences that already beat what is under way are choice enough: steps cost."""


ON_THE_EDGE = Search()


class Hypothesis(NamedTuple):
    """A sentence that the decoder offers."""

    words: tuple[str, ...]  # lower case, without specials
    log_prob: float  # mean over its tokens, the end included
    semantic: NDArray[np.float32]  # (d_text,) the segment's place in the sentence space; the same for all
    meaning: Meaning | None = None  # where it is known; else its words tell


def packed(semantic: NDArray[np.float32]) -> bytes:
    """A place in the sentence space as events carry it: the unit vector times 127, rounded to int8.

    semantic: (d_text,), of any length but zero, which stays zero.
    """
    norm = float(np.sqrt(np.dot(semantic, semantic)))
    packed: NDArray[np.int8] = np.rint(semantic * (127.0 / max(norm, 1e-12))).astype(np.int8)
    return packed.tobytes()


class Vocabulary:
    """Token ids to words, from a Hugging Face WordLevel tokenizer.json."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self.content = np.array(
            [i > UNK and word not in FUNCTION_WORDS for i, word in enumerate(self.words)], bool
        )
        self.free = self.words.index(FREE) if FREE in self.words else BOS

    @classmethod
    def parse(cls, text: str | bytes) -> "Vocabulary":
        """text: tokenizer.json. Raises BundleError if it is not a WordLevel table with ids from 0."""
        try:
            table: dict[str, int] = json.loads(text)["model"]["vocab"]
            words = sorted(table, key=table.__getitem__)
            if [table[word] for word in words] != list(range(len(words))) or len(words) <= UNK + 1:
                raise ValueError("its ids are not 0, 1, 2, … after the four specials")
        except (KeyError, TypeError, AttributeError, ValueError) as broken:
            raise BundleError(
                "tokenizer.json is not a word-level vocabulary",
                why=str(broken),
                fix="run edgecap export again",
            ) from broken
        return cls(words)

    def __len__(self) -> int:
        return len(self.words)


@dataclass
class _Beams:
    """Sentences being written, one a row; all of one length."""

    tokens: list[tuple[int, ...]]
    log_probs: NDArray[np.float64]  # (beams,) summed
    state: State


class Decoder:
    """Sentences for segments. Remembers nothing between calls."""

    def __init__(
        self,
        adapter: Engine,
        prefill: Engine,
        step: Engine,
        vocabulary: Vocabulary,
        search: Search = ON_THE_EDGE,
    ) -> None:
        self.adapter, self.prefill, self.step = adapter, prefill, step
        self.vocabulary, self.search = vocabulary, search
        cache = int(step.graph.state[0].shape[3])  # (layers, beam, heads, max_tokens, d_head)
        self._longest = min(MAX_TOKENS, cache)

    def describe(self, embeddings: NDArray[np.float32], is_free: bool = False) -> list[Hypothesis]:
        """What a segment's embeddings, (n, width) with 1 <= n <= L, are said to be; best first.

        is_free: in the words of the people whose captions the model learnt from, where it knows them.
        """
        adapted = self.adapter.run({"embeddings": embeddings[None]})
        semantic = adapted["semantic"][0]
        begin = self.vocabulary.free if is_free else BOS
        return [
            Hypothesis(tuple(self.vocabulary.words[token] for token in tokens), log_prob, semantic)
            for tokens, log_prob in self.beam_search(adapted["memory"], BEAM, begin)
        ]

    def place(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(d_text,) the segment's place in the sentence space alone: a tenth of a sentence's price."""
        semantic: NDArray[np.float32] = self.adapter.run({"embeddings": embeddings[None]})["semantic"][0]
        return semantic

    def greedy(self, memory: Array) -> tuple[tuple[int, ...], float]:
        """The likeliest next token each time. Returns tokens and their mean log-probability."""
        return self.beam_search(memory, 1)[0]

    def beam_search(self, memory: Array, width: int, begin: int = BOS) -> list[tuple[tuple[int, ...], float]]:
        """Up to `width` token sequences with their mean log-probability, best first.

        memory: (1, n, d). begin: the token before the first. At least `search.least` and at most MAX_TOKENS
        tokens; a content word never comes twice.
        Source: docs/readings.md SEE-7, after the DCASE 2024 baseline's beam.
        """
        crossed = self.prefill.run({"memory": memory})
        beams = _Beams([()], np.zeros(1), self.step.initial_state(beam=1))
        done: list[tuple[tuple[int, ...], float]] = []
        for position in range(self._longest):
            log_probs = self._next(beams, position, crossed, begin)
            totals = beams.log_probs[:, None] + log_probs  # (beams, vocabulary)
            # `width` rows may end here, and as many must be left to go on.
            parents, tokens = np.divmod(_greatest(totals.ravel(), 2 * width), totals.shape[1])
            going: list[tuple[int, int]] = []
            for parent, token in zip(parents.tolist(), tokens.tolist(), strict=True):
                total = float(totals[parent, token])
                if total == -np.inf:
                    break
                if token == EOS:
                    done.append((beams.tokens[parent], total / (position + 1)))
                elif len(going) < width:
                    going.append((parent, token))
            ahead = max((totals[row] / (position + 1) for row in going), default=-np.inf)
            beaten = self.search.stops_early and len(done) > 1 and max(score for _, score in done) >= ahead
            if len(done) >= width or beaten or not going:
                break
            beams = _advance(beams, going, totals)
        if not done:  # nothing ended in time: what stands is cut there
            length = len(beams.tokens[0])
            done = [(t, float(p) / length) for t, p in zip(beams.tokens, beams.log_probs, strict=True)]
        return sorted(done, key=lambda found: -found[1])[:width]

    def _next(
        self, beams: _Beams, position: int, crossed: dict[str, Array], begin: int
    ) -> NDArray[np.float64]:
        """(beams, vocabulary) log-probabilities of what may come next; -inf for what may not."""
        last = np.array([tokens[-1] if tokens else begin for tokens in beams.tokens], np.int64)
        inputs = {"token": last, "position": np.array([position], np.int64), **crossed}
        outputs, beams.state = self.step.step(inputs, beams.state)
        log_probs: NDArray[np.float64] = outputs["log_probs"].astype(np.float64)
        log_probs[:, [PAD, BOS, UNK, self.vocabulary.free]] = -np.inf
        if position < self.search.least:
            log_probs[:, EOS] = -np.inf
        for row, tokens in enumerate(beams.tokens):
            said = [token for token in tokens if self.vocabulary.content[token]]
            log_probs[row, said] = -np.inf
            if tokens and tokens[-1] > UNK:
                log_probs[row, tokens[-1]] = -np.inf  # "the the" helps nobody
        return log_probs


def _advance(beams: _Beams, going: list[tuple[int, int]], totals: NDArray[np.float64]) -> _Beams:
    """The beams after each took its token; caches follow their parents."""
    parents = [parent for parent, _ in going]
    state = beams.state
    if parents != list(range(len(beams.tokens))):
        state = {name: cache.take(parents, axis=1) for name, cache in state.items()}
    return _Beams(
        [(*beams.tokens[parent], token) for parent, token in going],
        np.array([totals[parent, token] for parent, token in going]),
        state,
    )


def _greatest(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Where the `count` greatest of (n,) values are, greatest first; of equal ones the first first."""
    least = np.partition(values, -count)[-count] if count < len(values) else -np.inf
    chosen = np.flatnonzero(values >= least)  # more than `count` where some are equal
    return chosen[np.argsort(-values[chosen], kind="stable")][:count]
