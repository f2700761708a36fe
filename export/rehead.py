"""A new head for a bundle's encoder: its trunk, and so every embedding, sentence and search, stays as it is.

    python -m edgecap.export.rehead room-small --corpus CLIPS --version 1.7 --new jackhammer -o OUT

The head is fitted to what the trunk hears of the corpus's clips that may ship (training/room/head.py), and
the mean of it and the old one is what is left: two that err differently. A sound of which nothing is left to
be taught keeps its old row; a new one gets the fitted row, and is said by its own phrase, since the decoder
has no words for it. `edgecap evaluate OUT --split val --only calibration` has to follow: --calibration takes
its figures.
"""

import argparse
import csv
import hashlib
import io
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from ..runtime.errors import BundleError, EdgecapError
from ..runtime.model.bundle import Bundle
from ..runtime.model.manifest import LABELS_FILE, MANIFEST_FILE, Calibration
from ..runtime.model.manifest import Label as BundleLabel
from ..training.data.corpus import Clip, Corpus, Label, open_corpus
from ..training.data.licences import may_ship
from ..training.loop import Progress
from ..training.models.convnext import CausalConvNeXt
from ..training.room.head import HeadSettings, train_head
from ..training.room.warm_start import begin_from, of_bundle
from ..training.run_folder import Run
from ..training.sound.bank import sound_labels
from ..training.sound.compose import Composer
from ..training.sound.signals import MAKERS
from ..training.sound.taxonomy import QUIET, cadence, priority
from ..training.sound.templates import clause
from .pack import check_target, pack
from .to_onnx import serialise

HEAD = HeadSettings(homes=0.4, at_home=True, hours=4, takes=3)
GREATEST = 64
"""Of an int8 weight: seven bits, as quantize.py has them."""
KEPT = 0.5
"""Share of the old head: LOG, "The head alone, again"."""


def refit(
    bundle: Bundle, corpus: Corpus, new: Sequence[str], run: Run, progress: Progress
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[Label]]:
    """(sounds, width) and (sounds,) of the head that is left, and its sounds: the bundle's, then the new."""
    clips = corpus.split("train", may_ship)
    known = [Label(label.label, label.phrase, label.category) for label in bundle.labels]
    labels = [*known, *(label for label in sound_labels(corpus, clips) if label.name in new)]
    names = {label.name for label in labels}
    taught = [clip for clip in clips if clip.label in names | {QUIET}]
    encoder = CausalConvNeXt("atto", bundle.manifest.audio.mels, len(labels))
    begin_from(encoder, of_bundle(bundle, encoder), labels)
    encoder.eval()
    own = {name: tensor.clone() for name, tensor in encoder.head.state_dict().items()}
    train_head(encoder, Composer(corpus, taught, labels), taught, run, HEAD, progress)
    kept = torch.tensor([_kept(label, len(known) > row, taught) for row, label in enumerate(labels)])
    weight, bias = (
        torch.lerp(encoder.head.state_dict()[name], own[name], share).numpy()
        for name, share in (("weight", kept[:, None]), ("bias", kept))
    )
    return weight, bias, labels


def _kept(label: Label, is_known: bool, taught: Sequence[Clip]) -> float:
    """How much of a sound's old row stays."""
    if not is_known:
        return 0.0
    return KEPT if label.name in MAKERS or any(clip.label == label.name for clip in taught) else 1.0


def with_head(
    bundle: Bundle, weight: NDArray[np.float32], bias: NDArray[np.float32], labels: Sequence[Label],
    version: str, calibration: Calibration, card: bytes,
) -> dict[str, bytes]:  # fmt: skip
    """The files of the same bundle with this head, rounded to int8 as the old one was, and these labels."""
    model = onnx.load_model_from_string(bundle.read(bundle.manifest.graphs["encoder"].file))
    _put_head(model.graph, weight, bias)
    encoder = serialise(model)
    known = {label.label: label for label in bundle.labels}
    rows = [
        known.get(each.name)
        or BundleLabel(each.name, clause(each), each.category, priority(each), cadence(each))
        for each in labels
    ]
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([BundleLabel._fields, *rows])
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    files |= {LABELS_FILE: table.getvalue().encode(), "MODEL_CARD.md": card}
    graph = bundle.manifest.graphs["encoder"]
    outputs = tuple(
        msgspec.structs.replace(each, shape=(1, len(labels))) if each.name == "scores" else each
        for each in graph.outputs
    )
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    described = msgspec.structs.replace(graph, sha256=hashlib.sha256(encoder).hexdigest(), outputs=outputs)
    manifest = msgspec.structs.replace(
        bundle.manifest, version=version, created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        labels=len(labels), files=sums, graphs={**bundle.manifest.graphs, "encoder": described},
        thresholds=msgspec.structs.replace(bundle.manifest.thresholds, calibration=calibration),
        # What was proven of the old head's scores says nothing of these.
        parity={name: figures for name, figures in bundle.manifest.parity.items() if "scores" not in name},
    )  # fmt: skip
    said = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    others = {each.file: bundle.read(each.file) for each in bundle.graphs_and_engines()}
    return {MANIFEST_FILE: said, **others, graph.file: encoder, **files}


def _put_head(graph: onnx.GraphProto, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Replace the last integer product's weights, their scales and what is added to it. In place."""
    product = [node for node in graph.node if node.op_type == "MatMulInteger"][-1]
    stored = {tensor.name: tensor for tensor in graph.initializer}
    by_output = {name: node for node in graph.node for name in node.output}
    scores = next(node for node in graph.node if node.op_type == "Sigmoid")
    biased = by_output[scores.input[0]]
    (bias_name,) = [name for name in biased.input if name in stored]
    scaled = by_output[next(name for name in biased.input if name not in stored)]
    both = next(by_output[name] for name in scaled.input if by_output[name].op_type == "Mul")
    (scale_name,) = [name for name in both.input if name in stored]
    old = numpy_helper.to_array(stored[product.input[1]])
    if old.dtype != np.int8 or old.shape[0] != weight.shape[1]:
        raise BundleError(
            "the encoder's head is not one that can be replaced", why=f"{old.dtype}, {old.shape}"
        )
    scale = np.abs(weight).max(axis=1) / GREATEST
    rounded = np.round(weight / scale[:, None]).astype(np.int8)
    for name, values in (
        (product.input[1], rounded.T.copy()), (scale_name, scale.astype(np.float32)), (bias_name, bias),
    ):  # fmt: skip
        stored[name].CopyFrom(numpy_helper.from_array(values, name))
    for output in graph.output:
        if output.name == "scores":
            output.type.tensor_type.shape.dim[-1].dim_value = len(bias)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("--run", type=Path, default=Path("runs/rehead"), help="where the fitted head is kept")
    parser.add_argument(
        "--new", default="", help="sounds of the corpus that the bundle doesn't know, by name"
    )
    parser.add_argument("--version", required=True)
    parser.add_argument("--calibration", type=float, nargs=2, help="bias and slope; else the bundle's")
    parser.add_argument("--card", type=Path, help="MODEL_CARD.md; else the bundle's")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args(arguments)

    def progress(done: float, what: str) -> None:
        print(f"\r{done:.0%} {what}".ljust(90), end="", file=sys.stderr, flush=True)

    try:
        check_target(given.output)
        bundle = Bundle.open(given.bundle)
        corpus = open_corpus(given.corpus, given.cache, progress)
        head = refit(bundle, corpus, given.new.split(","), Run(given.run, "head"), progress)
        calibration = (
            Calibration(*given.calibration) if given.calibration else bundle.manifest.thresholds.calibration
        )
        card = given.card.read_bytes() if given.card else bundle.read("MODEL_CARD.md")
        pack(with_head(bundle, *head, given.version, calibration, card), given.output)
    except EdgecapError as error:
        sys.exit(f"{error}")
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
