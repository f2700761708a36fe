"""Words -> a vector, so that search and alerts may be said in plain words.

The vector lies in the space of the adapter's `semantic`, that of a sentence model: what was heard and what
is asked for are alike where their vectors are. Training reads words with `WordPieces` too.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, UsageError
from .bundle import Bundle
from .engine import Engine

GRAPH, VOCABULARY_FILE = "text", "text_vocab.txt"
SPECIALS = ("[PAD]", "[UNK]")
PAD, UNK = range(len(SPECIALS))
LONGEST = 32
"""Pieces of a text that are read. What follows is left out, as a sentence model does."""
LONGEST_WORD = 100
"""Letters; a longer word is unknown, as in BERT."""
MOST_TEXT = 1 << 14
"""Characters of a text that are looked at: LONGEST words of LONGEST_WORD letters five times over."""
REMEMBERED = 1 << 15
"""Words whose pieces are kept, which is more than a vocabulary's worth; others are cut anew each time."""


class WordPieces:
    """Text -> numbers of word pieces: BERT's, of letters a-z and digits alone.

    Case, accents and punctuation go. A word that is no piece is cut from the left into the longest pieces
    that there are ("##ing" goes on inside a word); where none fits, it is unknown.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        """pieces: by their number, [PAD] and [UNK] first."""
        self.pieces = tuple(pieces)
        self._numbers = {piece: number for number, piece in enumerate(self.pieces)}
        self._known: dict[str, list[int]] = {}

    @classmethod
    def parse(cls, content: bytes) -> "WordPieces":
        """content: text_vocab.txt, one piece a line. Raises BundleError if it is not that."""
        try:
            pieces = content.decode("ascii").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise BundleError(f"{VOCABULARY_FILE} is not a list of word pieces", why=str(error)) from error
        if tuple(pieces[: len(SPECIALS)]) != SPECIALS or len(set(pieces)) != len(pieces):
            raise BundleError(
                f"{VOCABULARY_FILE} is not a list of word pieces",
                why=f"it does not begin with {' '.join(SPECIALS)}, or a piece comes twice",
                fix="run edgecap export again",
            )
        return cls(pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def content(self) -> bytes:
        """text_vocab.txt."""
        return "".join(f"{piece}\n" for piece in self.pieces).encode("ascii")

    def encode(self, text: str) -> list[int]:
        """At most LONGEST numbers; none where the text has neither a letter a-z nor a digit."""
        numbers: list[int] = []
        for word in words(text[:MOST_TEXT]):
            numbers += self._pieces_of(word)
            if len(numbers) >= LONGEST:
                break
        return numbers[:LONGEST]

    def _pieces_of(self, word: str) -> list[int]:
        found = self._known.get(word)
        if found is None:
            found = self._cut(word)
            if len(self._known) < REMEMBERED and len(word) <= LONGEST_WORD:
                self._known[word] = found
        return found

    def _cut(self, word: str) -> list[int]:
        if len(word) > LONGEST_WORD:
            return [UNK]
        found: list[int] = []
        start = 0
        while start < len(word):
            for stop in range(len(word), start, -1):
                number = self._numbers.get(word[start:stop] if start == 0 else f"##{word[start:stop]}")
                if number is not None:
                    break
            else:
                return [UNK]
            found.append(number)
            start = stop
        return found


def words(text: str) -> list[str]:
    """The words of a text, lower case, accents off: "Café's door!" is cafe, s, door."""
    plain = unicodedata.normalize("NFD", text.lower())
    return re.findall("[a-z0-9]+", "".join(c for c in plain if unicodedata.category(c) != "Mn"))


class TextEncoder:
    """The bundle's text side: texts -> vectors of length 1."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises BundleError if the bundle has no text side, or one of another space than its adapter."""
        graphs = bundle.manifest.graphs
        if not has_text(bundle):
            raise BundleError(
                f"{bundle.title} can't read words",
                why=f"it has no {GRAPH}.onnx",
                fix="train with a text_stage in the recipe, and export again",
            )
        width = graphs[GRAPH].outputs[0].shape[-1]
        heard = next((port.shape[-1] for port in graphs["adapter"].outputs if port.name == "semantic"), None)
        if width != heard:
            raise BundleError(
                f"{bundle.title}: words and sounds are not in one space",
                why=f"text vectors have {width} numbers, the adapter's have {heard}",
                fix="run edgecap export again",
            )
        self.words = WordPieces.parse(bundle.read(VOCABULARY_FILE))
        self._engine = Engine(GRAPH, bundle.graph(GRAPH), graphs[GRAPH])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d_text): a row of length 1 for each text. A dot product of two is their likeness, -1 to 1.

        Raises UsageError for a text without a single word in letters a-z or digits.
        """
        rows = [self._embed(text) for text in texts]
        width = self._engine.graph.outputs[0].shape[-1]
        return np.stack(rows) if rows else np.zeros((0, int(width)), np.float32)

    def _embed(self, text: str) -> NDArray[np.float32]:
        tokens = self.words.encode(text)
        if not tokens:
            raise UsageError(f"there is no word in {text!r}", why="only English is understood")
        vector: NDArray[np.float32] = self._engine.run({"tokens": np.array([tokens], np.int64)})["semantic"][
            0
        ]
        return vector


def has_text(bundle: Bundle) -> bool:
    """Whether a bundle has a text side: those from before it, or without a text stage, have none."""
    return GRAPH in bundle.manifest.graphs and VOCABULARY_FILE in bundle.manifest.files
