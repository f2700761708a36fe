"""CLIP's byte pairs, from its own vocabulary file: without it AudioCLIP's text head can't read.

`bpe_simple_vocab_16e6.txt.gz` (openai/CLIP, MIT) is a head line and the pairs that merge, most usual first.
Numbers: 256 bytes, 256 that end a word, the merges, begin, end: 49,408 in all.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..runtime.errors import BundleError, InputMissingError

VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
SOURCE = "github.com/openai/CLIP, clip/, MIT"
MERGES = 49_152 - 256 - 2
"""The file holds more pairs than CLIP uses."""
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class ClipTokenizer:
    """Captions -> CLIP's token numbers, begin and end around them."""

    def __init__(self, path: Path, context: int = 77) -> None:
        """path: of the vocabulary. context: a longer caption is cut, and ends all the same.

        Raises InputMissingError where it is not there, BundleError where it is no such vocabulary.
        """
        self.context = context
        merges = _read(path)
        alphabet = _letters()
        pieces = [*alphabet, *(letter + WORD_END for letter in alphabet), *map("".join, merges), BEGIN, END]
        numbers = {piece: number for number, piece in enumerate(pieces)}
        if missing := [half for pair in merges for half in pair if half not in numbers]:
            raise BundleError(f"{path} merges {missing[0]!r}, which nothing makes", why="it is not CLIP's")
        self._begin, self._end = numbers[BEGIN], numbers[END]
        self._size = len(pieces)
        self._tokenizer = Tokenizer(BPE(numbers, merges, end_of_word_suffix=WORD_END))
        self._tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PIECES), "removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    def __len__(self) -> int:
        """How many tokens there are."""
        return self._size

    def encode(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, S) int64, S at most the context, zeros after the end, and (B,) lengths with begin and end."""
        found = self._tokenizer.encode_batch(list(captions))
        rows = [[self._begin, *one.ids[: self.context - 2], self._end] for one in found]
        lengths = torch.tensor([len(row) for row in rows])
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True), lengths


def _read(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        raise InputMissingError(
            f"{path.parent} has no {path.name}",
            why=f"AudioCLIP's text head reads CLIP's byte pairs, and its weights don't hold them ({SOURCE})",
            fix="put it beside the weights",
        )
    try:
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} can't be read", why=str(error), fix="copy it again") from error
    pairs = [tuple(line.split()) for line in lines[1 : MERGES + 1] if line]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise BundleError(f"{path} is not CLIP's vocabulary", why="its lines are no pairs")
    return [(pair[0], pair[1]) for pair in pairs]


def _letters() -> list[str]:
    """A printable character for every byte, in CLIP's order: those that print as they are, then the rest."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + number) for number in range(len(others))]
