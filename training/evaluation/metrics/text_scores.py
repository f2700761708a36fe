"""Every measure of text that can be had here, in one call; what can't be had is absent, with the reason."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ....runtime.errors import EdgecapError, UnavailableError
from ...sentence import Embed, sentence_model
from . import text
from .fluency import PENALTY, SIMILARITY, broken
from .java_metrics import meteor, spice

PACKAGED_MODEL = "all-MiniLM-L6-v2"
"""The sentence model that needs no folder."""


class TextScores(msgspec.Struct, frozen=True):
    """What a set of captions scores against its references."""

    scores: dict[str, float]
    """Metric -> value over the set."""
    absent: dict[str, str]
    """Metric -> why it could not be computed."""
    each: dict[str, list[float]]
    """Metric -> value of every clip, in order, for those that have one."""


def score_text(
    captions: Sequence[str], references: Sequence[Sequence[str]], embed: Embed | None = None,
    embed_name: str = PACKAGED_MODEL, assets: Path | None = None,
) -> TextScores:  # fmt: skip
    """Score captions, "" where nothing was said, against their references, the whole set at once.

    embed: the sentence model for the similarity, named `embed_name`; None: the packaged one.
    assets: a folder for what can't be shipped: spice/ (pycocoevalcap's, with the parser's models) for SPICE,
    echecker_clotho_audiocaps_base.ckpt, bert-base-uncased/ and paraphrase-TinyBERT-L6-v2/ for FENSE.
    """
    said = [text.tokenise(caption) for caption in captions]
    wanted = [[text.tokenise(one) for one in some] for some in references]
    scores: dict[str, float] = {}
    absent: dict[str, str] = {}
    each: dict[str, NDArray[np.float64]] = {}

    def attempt(names: Sequence[str], compute: Callable[[], None]) -> None:
        try:
            compute()
        except (EdgecapError, ModuleNotFoundError) as missing:
            absent.update(dict.fromkeys(names, str(missing)))

    def similarity() -> None:
        each[f"similarity ({embed_name})"] = _similarity(captions, references, embed or sentence_model())

    def meteor_1_5() -> None:
        scores["METEOR"], each["METEOR"] = meteor(said, wanted)

    def spice_f() -> None:
        each["SPICE"] = spice(said, wanted, _given(assets) / "spice")

    def error_rate() -> None:
        each["FER"] = broken(captions, _given(assets)).astype(np.float64)

    def fense() -> None:
        near = _similarity(captions, references, sentence_model(_given(assets) / SIMILARITY))
        each["FENSE"] = near * (1 - PENALTY * each["FER"])

    for n, value in enumerate(text.bleu(said, wanted), 1):
        scores[f"BLEU-{n}"] = value
    each["ROUGE-L"], each["CIDEr-D"] = text.rouge_l(said, wanted), text.cider_d(said, wanted)
    attempt([f"similarity ({embed_name})"], similarity)
    attempt(["METEOR"], meteor_1_5)
    attempt(["SPICE", "SPIDEr", "SPIDEr-FL"], spice_f)
    attempt(["FER", "SPIDEr-FL", "FENSE"], error_rate)
    if "FER" in each:
        attempt(["FENSE"], fense)
    if "SPICE" in each:
        each["SPIDEr"] = (each["CIDEr-D"] + np.nan_to_num(each["SPICE"])) / 2
        if "FER" in each:
            each["SPIDEr-FL"] = each["SPIDEr"] * (1 - PENALTY * each["FER"])
    scores |= {name: float(np.nanmean(values)) for name, values in each.items() if name not in scores}
    scores["vocabulary"] = float(text.vocabulary(said))
    return TextScores(scores, absent, {name: values.tolist() for name, values in each.items()})


def _similarity(
    captions: Sequence[str], references: Sequence[Sequence[str]], embed: Embed
) -> NDArray[np.float64]:
    """Mean cosine of each caption, raw text, to its references; 0 where nothing was said."""
    distinct = sorted({*captions, *(one for some in references for one in some)} - {""})
    place = {sentence: row for row, sentence in enumerate(distinct)}
    vectors = embed(distinct).double().numpy()
    return np.array(
        [
            np.mean([vectors[place[one]] @ vectors[place[caption]] for one in some]) if caption else 0.0
            for caption, some in zip(captions, references, strict=True)
        ]
    )


def _given(assets: Path | None) -> Path:
    if assets is None:
        raise UnavailableError("no folder of assets was given", fix="name one with --assets")
    return assets
