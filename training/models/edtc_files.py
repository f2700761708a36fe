"""EDTC's checkpoint: a captioner and, where its words are our own, everything that an export needs of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ...runtime.errors import BundleError, InputMissingError
from ...runtime.model.bundle import Bundle
from ..tokenizer import CaptionTokenizer, open_tokenizer
from .checkpoint import fill, read_config, read_tensors, write_json, write_tensors
from .edtc import Edtc, EdtcConfig, new_bart

CONFIG_FILE, TENSORS_FILE, ABOUT_FILE = "edtc.json", "edtc.safetensors", "about.json"
FOR_TRAINING = ("twin.", "text_entry.")


class EdtcFile(msgspec.Struct, frozen=True, kw_only=True):
    """edtc.json."""

    model: EdtcConfig
    ears: tuple[str, ...]
    vocabulary: int
    bundle: str = ""
    """Digest of the encoder that "ours" was: another one's embeddings mean something else."""


def save(
    model: Edtc, folder: Path, tokenizer: CaptionTokenizer, ears: Sequence[str], bundle: Bundle,
    about: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write a captioner of our own words."""
    folder.mkdir(parents=True, exist_ok=True)
    ours = bundle.manifest.graphs["encoder"].sha256 if "ours" in ears else ""
    is_twin = model.config.translator == "twin"
    config = msgspec.structs.replace(model.config, translator="single") if is_twin else model.config
    head = EdtcFile(model=config, ears=tuple(ears), vocabulary=len(tokenizer), bundle=ours)
    write_json(head, folder / CONFIG_FILE)
    write_json(about, folder / ABOUT_FILE)
    tokenizer.save(folder)
    lean = Edtc(config, new_bart(config.bart, len(tokenizer)))
    lean.load_state_dict({n: t for n, t in model.state_dict().items() if not n.startswith(FOR_TRAINING)})
    write_tensors(lean, folder / TENSORS_FILE)


def licence(folder: Path) -> str:
    """Under what a captioner may be used, as its training wrote it; "not stated" where it did not."""
    path = folder / ABOUT_FILE
    about = msgspec.json.decode(path.read_bytes(), type=dict[str, Any]) if path.is_file() else {}
    return str(about.get("licence", "not stated"))


def read_ear(folder: Path, graph: str) -> bytes:
    """One of the public encoders' graphs beside a captioner. Raises InputMissingError."""
    path = folder / f"{graph}.onnx"
    if not path.is_file():
        raise InputMissingError(
            f"{folder} has no {path.name}", fix="name the folder that edgecap train wrote"
        )
    return path.read_bytes()


def load(folder: Path) -> tuple[Edtc, EdtcFile, CaptionTokenizer]:
    """A captioner of our own words, in eval mode.

    Raises InputMissingError where there is none, BundleError where its files do not fit together.
    """
    what = "a captioner of EDTC"
    head = read_config(folder / CONFIG_FILE, EdtcFile, what, f"{folder} holds no captioner of EDTC")
    tokenizer = open_tokenizer(folder)
    if len(tokenizer) != head.vocabulary:
        raise BundleError(
            f"{folder}: its tokeniser has {len(tokenizer)} words", why=f"{CONFIG_FILE} says {head.vocabulary}"
        )
    model = Edtc(head.model, new_bart(head.model.bart, head.vocabulary))
    fill(model, read_tensors(folder / TENSORS_FILE), folder / TENSORS_FILE)
    return model.eval(), head, tokenizer


def save_published(model: Edtc, folder: Path, about: Mapping[str, Any]) -> None:
    """Write a captioner over BART-base: weights, sizes, what it was made of. The edge can't run it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(model.config, folder / CONFIG_FILE)
    write_json(about, folder / ABOUT_FILE)
    write_tensors(model, folder / TENSORS_FILE)
