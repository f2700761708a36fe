"""FENSE's error detector: a BERT that tells broken captions, from its authors' released file.

Source: Zhou et al. 2022, "Can audio captions be evaluated with image caption metrics?"; a caption is
broken where the probability of its last class, "error", is above 0.9, and then keeps a tenth of its score.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ....runtime.errors import DataError, UnavailableError

CHECKER = "echecker_clotho_audiocaps_base.ckpt"
SIMILARITY = "paraphrase-TinyBERT-L6-v2"
"""The sentence model of FENSE, a folder beside the checker."""
BROKEN = 0.9
PENALTY = 0.9
LONGEST = 64
"""Tokens of a caption that it reads."""


@torch.no_grad()
def broken(captions: Sequence[str], folder: Path, batch: int = 32) -> NDArray[np.bool_]:
    """Which captions the detector takes for broken. captions: raw text, as fense itself takes it.

    folder: holds echecker_clotho_audiocaps_base.ckpt and, under the name written in it
    (bert-base-uncased), that model's config.json and tokeniser.
    Raises UnavailableError where one is missing, DataError where they don't belong together.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    path = folder / CHECKER
    if not path.is_file():
        raise UnavailableError(f"{folder} has no {CHECKER}", why="fluency is judged by that model")
    try:
        stored = torch.load(path, weights_only=True, map_location="cpu")
        base = folder / Path(stored["model_type"]).name
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
        shape = AutoConfig.from_pretrained(base, local_files_only=True)
        encoder = AutoModel.from_config(shape).eval()  # type: ignore[no-untyped-call]  # it has no types
        weights = stored["state_dict"]
        # Older versions of transformers kept a table of positions among the weights.
        encoder.load_state_dict(
            {
                name.removeprefix("encoder."): value
                for name, value in weights.items()
                if name.startswith("encoder.") and not name.endswith("position_ids")
            }
        )
    except Exception as error:  # torch and transformers raise many kinds for what they can't read
        raise DataError(
            f"{path} can't be opened as a detector of broken captions", why=str(error).split("\n")[0]
        ) from error
    found = []
    for start in range(0, len(captions), batch):
        words = tokenizer(
            list(captions[start : start + batch]), padding=True, truncation=True, max_length=LONGEST,
            return_tensors="pt",
        )  # fmt: skip
        first = encoder(**words).last_hidden_state[:, 0]
        logit = first @ weights["clf.weight"][-1] + weights["clf.bias"][-1]
        found.append(logit.sigmoid() > BROKEN)
    return np.asarray(torch.cat(found).numpy(), bool)
