"""Words to numbers: a word-level tokeniser, saved as Hugging Face tokenizer.json.

Lower case, accents and punctuation away but the comma, specials pad bos eos unk = 0 … 3 (SEE-7).
On Clotho's 19,195 development captions it finds the published 4,371 tokens. How text is cut stands
in the file itself; the edge reads only the list of words from it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, normalizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordLevelTrainer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..runtime.errors import BundleError, InputMissingError

SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
PAD, BOS, EOS, UNK = range(len(SPECIALS))
TOKENIZER_FILE = "tokenizer.json"
FREE = "<free>"
"""In the place of bos: a caption in a person's own words follows, not one worded for people in a hurry."""
PUNCTUATION = r"[^\w\s,]|_"
"""All that is neither a word, nor space, nor a comma. It becomes a space: "high-pitched" is two words."""


class CaptionTokenizer:
    """Captions as token numbers, bos and eos around them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        """V, the number of tokens."""
        return self._tokenizer.get_vocab_size()

    @property
    def words(self) -> list[str]:
        """Every token, by its number."""
        vocabulary = self._tokenizer.get_vocab()
        return sorted(vocabulary, key=vocabulary.__getitem__)

    def encode(self, captions: Sequence[str], longest: int, free: Sequence[bool] = ()) -> Tensor:
        """(B, S) int64, S at most `longest`: bos, words, eos, then padding.

        free: of each caption, whether it begins with "<free>" in the place of bos.
        A caption that is too long is cut and has no eos: that it stops there is not to be learnt.
        """
        rows = [encoding.ids[:longest] for encoding in self._tokenizer.encode_batch(list(captions))]
        if any(free):
            first = self._tokenizer.get_vocab()[FREE]
            rows = [[first, *row[1:]] if is_free else row for row, is_free in zip(rows, free, strict=True)]
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD)

    def decode(self, tokens: Sequence[int]) -> str:
        """The words up to eos, specials left out, commas after their word."""
        upto = list(tokens).index(EOS) if EOS in tokens else len(tokens)
        words: str = self._tokenizer.decode(list(tokens[:upto]), skip_special_tokens=True)
        return words.replace(" ,", ",")

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        folder.mkdir(parents=True, exist_ok=True)
        self._tokenizer.save(str(folder / TOKENIZER_FILE))


def build_tokenizer(
    captions: Iterable[str], min_count: int = 1, styles: Sequence[str] = ()
) -> CaptionTokenizer:
    """A tokeniser of every word that occurs `min_count` times or more; the same for any order of captions.

    styles: tokens, such as FREE, that no caption holds.
    """
    tokenizer = Tokenizer(WordLevel(unk_token=SPECIALS[UNK]))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.NFD(),
            normalizers.StripAccents(),
            normalizers.Replace(Regex(PUNCTUATION), " "),
        ]
    )
    tokenizer.pre_tokenizer = Whitespace()
    trainer = WordLevelTrainer(
        vocab_size=1_000_000,
        min_frequency=min_count,
        special_tokens=[*SPECIALS, *styles],
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{SPECIALS[BOS]} $0 {SPECIALS[EOS]}",
        special_tokens=[(SPECIALS[BOS], BOS), (SPECIALS[EOS], EOS)],
    )
    return CaptionTokenizer(tokenizer)


def open_tokenizer(folder: Path) -> CaptionTokenizer:
    """The tokeniser of a checkpoint.

    Raises InputMissingError if it has none, BundleError if the file is not one of ours.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise InputMissingError(f"{folder} has no {TOKENIZER_FILE}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for whatever it can't read
        raise BundleError(f"{path} is not a tokeniser", why=str(error)) from error
    found = [tokenizer.id_to_token(number) for number in range(len(SPECIALS))]
    if found != list(SPECIALS):
        raise BundleError(f"{path} is not a caption tokeniser", why=f"its first tokens are {found}")
    return CaptionTokenizer(tokenizer)
