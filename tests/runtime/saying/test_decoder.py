"""Beam, cache and vocabulary, on the handmade decoder whose every log-probability is known."""

import itertools
import json

import numpy as np
import pytest

from edgecap.runtime.errors import BundleError
from edgecap.runtime.saying.decoder import BOS, EOS, UNK, Decoder, Vocabulary
from edgecap.runtime.saying.wording import FUNCTION_WORDS
from tests import handmade
from tests.handmade import WORDS

BELL = np.array([0.9, 0.05, 0.0, 0.3], np.float32)
RAIN = np.array([0.05, 0.0, 0.9, 0.3], np.float32)


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    made = handmade.model().decoder
    assert made is not None
    return made


def heard(*rows: np.ndarray) -> np.ndarray:
    return np.stack(rows)


def test_sentences_follow_what_is_heard(decoder: Decoder) -> None:
    assert decoder.describe(heard(BELL, BELL, BELL))[0].words == ("a", "bell", "rings")
    assert decoder.describe(heard(RAIN))[0].words == ("the", "rain", "falls")


def test_the_best_comes_first_and_semantic_is_normalised(decoder: Decoder) -> None:
    found = decoder.describe(heard(BELL, RAIN, RAIN))
    assert 1 <= len(found) <= 3
    assert [h.log_prob for h in found] == sorted((h.log_prob for h in found), reverse=True)
    assert all(h.log_prob <= 0 for h in found)
    assert np.linalg.norm(found[0].semantic) == pytest.approx(1.0, abs=1e-5)


def every_sentence(decoder: Decoder, memory: np.ndarray, longest: int) -> dict[tuple[int, ...], float]:
    """Mean log-probability of every allowed sequence, by stepping each one alone: no beam, no cache moves."""
    crossed = decoder.prefill.run({"memory": memory})
    tokens = [t for t in range(len(WORDS)) if t > UNK]
    scores = {}
    for length in range(2, longest):
        for words in itertools.permutations(tokens, length):
            state, total, last = decoder.step.initial_state(beam=1), 0.0, BOS
            for position, token in enumerate([*words, EOS]):
                inputs = {"token": np.array([last]), "position": np.array([position]), **crossed}
                outputs, state = decoder.step.step(inputs, state)
                total += float(outputs["log_probs"][0, token])
                last = token
            scores[words] = total / (length + 1)
    return scores


def test_the_beam_finds_the_best_of_all_sentences(decoder: Decoder) -> None:
    """Against exhaustive search over every sentence of two or three words."""
    memory = decoder.adapter.run({"embeddings": heard(BELL, RAIN)[None]})["memory"]
    everything = every_sentence(decoder, memory, 4)
    best = max(everything, key=everything.__getitem__)
    tokens, log_prob = decoder.beam_search(memory, 3)[0]
    assert tokens == best
    assert log_prob == pytest.approx(everything[best], abs=1e-5)


def test_greedy_is_a_beam_of_one(decoder: Decoder) -> None:
    memory = decoder.adapter.run({"embeddings": heard(BELL)[None]})["memory"]
    assert [WORDS[t] for t in decoder.greedy(memory)[0]] == ["a", "bell", "rings"]


def test_caches_follow_their_parents(decoder: Decoder) -> None:
    """Every step adds one to the whole cache, so after a sentence all its rows hold its length."""
    seen = []
    step = decoder.step.step

    class Watched:
        graph = decoder.step.graph
        initial_state = staticmethod(decoder.step.initial_state)

        @staticmethod
        def step(inputs, state):  # passes through, and looks on
            outputs, after = step(inputs, state)
            seen.append((len(inputs["token"]), {float(v) for v in after["keys"].ravel()}))
            return outputs, after

    watched = Decoder(decoder.adapter, decoder.prefill, Watched, decoder.vocabulary)
    watched.describe(heard(BELL, RAIN))
    assert [values for _, values in seen] == [{float(i + 1)} for i in range(len(seen))]
    assert [beams for beams, _ in seen][:2] == [1, 3]


@pytest.mark.parametrize("seed", range(5))
def test_rules_hold_whatever_is_heard(decoder: Decoder, seed: int) -> None:
    """At least 2 words, no special, no content word twice, none twice in a row."""
    rng = np.random.default_rng(seed)
    for hypothesis in decoder.describe(rng.standard_normal((5, 4)).astype(np.float32)):
        words = hypothesis.words
        assert 2 <= len(words) <= handmade.CACHE
        assert not any(word.startswith("<") for word in words)
        content = [word for word in words if word not in FUNCTION_WORDS]
        assert len(set(content)) == len(content)
        assert all(one != other for one, other in itertools.pairwise(words))


def test_it_remembers_nothing(decoder: Decoder) -> None:
    first = decoder.describe(heard(BELL, BELL))
    decoder.describe(heard(RAIN))
    again = decoder.describe(heard(BELL, BELL))
    assert [(h.words, h.log_prob) for h in first] == [(h.words, h.log_prob) for h in again]


def tokenizer_json(vocabulary: object) -> str:
    return json.dumps({"model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}})


def test_the_vocabulary_is_read_by_id() -> None:
    table = {word: i for i, word in reversed(list(enumerate(WORDS)))}
    vocabulary = Vocabulary.parse(tokenizer_json(table))
    assert vocabulary.words == WORDS
    assert len(vocabulary) == len(WORDS)
    assert [WORDS[i] for i in np.flatnonzero(vocabulary.content)] == list(WORDS[6:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "not json",
        tokenizer_json({"<pad>": 0, "a": 2}),
        tokenizer_json(["a", "b"]),
        tokenizer_json({"a": "b"}),
        tokenizer_json({}),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match=r"tokenizer.json is not a word-level vocabulary"):
        Vocabulary.parse(text)
