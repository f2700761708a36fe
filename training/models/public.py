"""Public weights by the names of their files: what a paper begins with, found in one folder and checked.

A network is built on the meta device, which costs no memory, and takes over the file's tensors where each
name and shape is its own; one that differs is refused by name. The text models are folders in Hugging Face's
layout.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from ...runtime.errors import BundleError, InputMissingError, UnavailableError
from .blat import public_blat
from .checkpoint import fill, read_tensors
from .clip_aac import AudioClip
from .cnn14 import Cnn14
from .convnext import WindowedConvNeXt
from .htsat import Htsat

M = TypeVar("M", bound=nn.Module)


class Public(NamedTuple):
    """A public checkpoint: its file, what it fills, where its tensors lie, and where it is to be had."""

    file: str
    build: Callable[[], nn.Module]
    source: str
    wrapper: str = "model"
    prefix: str = ""
    """Of its tensors' names; what has another prefix is no part of the network."""
    leaves: tuple[str, ...] = ()
    """Beginnings of names that are left in the file: of another network there."""


CNN14 = Public("Cnn14_mAP=0.431.pth", Cnn14, "zenodo.org/record/3987831, MIT")
HTSAT = Public(
    "HTSAT_AudioSet_Saved_1.ckpt", Htsat, "RetroCirce/HTS-Audio-Transformer, MIT", "state_dict", "sed_model."
)
CONVNEXT = Public("convnext_tiny_465mAP_BL_AC_70kit.pth", WindowedConvNeXt, "zenodo.org/record/8020843, MIT")
BLAT = Public(
    "blat_cnn14_bertm.pth", public_blat, "zenodo.org/record/8192397, no licence stated", "state_dict"
)
AUDIOCLIP = Public(
    "AudioCLIP-Full-Training.pt", AudioClip, "AndreyGuzhov/AudioCLIP, release v0.1, MIT", "",
    leaves=("visual.", "logit_scale_ai"),
)  # fmt: skip
EXTRACTORS = {"cnn14": CNN14, "htsat": HTSAT, "convnext": CONVNEXT}
"""What hears, by name: each has `features(samples)`, in two halves `log_mel` and `columns`."""

TEXTS = {
    "bart-base": "facebook/bart-base, Apache-2.0",
    "instructor-base": "hkunlp/instructor-base, Apache-2.0",
    "bert-base-uncased": "google-bert/bert-base-uncased, Apache-2.0",
    "bert-medium": "prajjwal1/bert-medium, MIT",
}
"""Folders of text models, and where they are to be had."""


def find(folder: Path | None, files: Iterable[Public], texts: Iterable[str], paper: str) -> None:
    """Check that all of it is in the folder, before anything is opened.

    Raises InputMissingError that names everything that is missing, with where to have it from.
    """
    wanted = {public.file: public.source for public in files}
    wanted |= {f"{name}/": TEXTS[name] for name in texts}
    missing = [name for name in wanted if folder is None or not (folder / name).exists()]
    if missing:
        lacks = f"{folder} has no {' and no '.join(missing)}"
        raise InputMissingError(
            f"{paper} needs public weights" if folder is None else lacks,
            why=f"{paper} begins with " + "; ".join(f"{name} ({wanted[name]})" for name in missing),
            fix="put them into one folder and name it with --weights",
        )  # fmt: skip


def open_file(public: Public, folder: Path) -> nn.Module:
    """The network of a public checkpoint, in eval mode.

    Raises InputMissingError if it is not there, BundleError that names each tensor that does not fit.
    """
    path = folder / public.file
    return fit_layout(public.build, path, public.wrapper, public.prefix, public.leaves).eval()


def fit_layout(
    build: Callable[[], M], path: Path, wrapper: str = "model", prefix: str = "", leaves: tuple[str, ...] = ()
) -> M:
    """A network on the meta device, filled with the tensors of a file whose names begin with the prefix.

    leaves: beginnings of names that are of another network in the same file.
    """
    tensors = read_tensors(path, wrapper)
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return fill_empty(build, {n: t for n, t in own.items() if not (leaves and n.startswith(leaves))}, path)


def fill_empty(build: Callable[[], M], tensors: dict[str, torch.Tensor], source: Path) -> M:
    """The network that `build` makes, without memory of its own, filled with these."""
    with torch.device("meta"):
        module = build()
    fill(module, tensors, source)
    return module


def open_text(folder: Path, kind: str) -> Any:
    """A text model of transformers' class `kind`, from a folder in its layout, in eval mode.

    Raises UnavailableError without transformers, InputMissingError where the folder holds no model,
    BundleError where its tensors don't fit what its configuration says.
    """
    try:
        import transformers
    except ImportError as error:
        raise UnavailableError(
            "the paper's text models need transformers", fix="pip install 'edgecap[train]'"
        ) from error
    if not (folder / "config.json").is_file():
        raise InputMissingError(f"{folder} holds no text model", why="it has no config.json")
    opener = getattr(transformers, kind)
    try:
        model, found = opener.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        why = next((line.strip() for line in str(error).splitlines() if "size mismatch" in line), str(error))
        raise BundleError(f"{folder} can't be opened as {kind}", why=why) from error
    if missing := sorted(found["missing_keys"]):
        raise BundleError(f"{folder} is no whole {kind}", why=f"{', '.join(missing[:5])} missing")
    return model.eval()


def text_tokenizer(folder: Path) -> Any:
    """The tokeniser beside a text model. Raises BundleError where it can't be opened."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{folder} has no tokeniser that can be opened", why=str(error)) from error
