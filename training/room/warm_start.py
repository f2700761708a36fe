"""What a training goes on from: an encoder that was kept at half precision, or a bundle's own.

A whole checkpoint is too large to pass on; `keep_encoder` leaves its encoder in a few MB. The bundle is
what everybody has: its matrices may be int8 and are taken as they were rounded, which the first steps of a
training have to make good. A block's scale is folded into its second matrix (export/fold.py), so here it is
one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...runtime.errors import BundleError, InputMissingError
from ...runtime.model.bundle import Bundle
from ..data.corpus import Label
from ..models.convnext import Block, CausalConvNeXt
from .encoder import RARE

PREFIX = "module.encoder."


SUFFIX = ".safetensors"


class Start(NamedTuple):
    """An encoder to go on from: tensors by their names in the module, and the sounds of its head's rows."""

    title: str
    tensors: dict[str, Tensor]
    sounds: list[str]


def open_start(name: str, encoder: CausalConvNeXt) -> Start:
    """A file that `keep_encoder` wrote, or a bundle by name or path. encoder: one of the same size.

    Raises InputMissingError, BundleError.
    """
    return read_encoder(Path(name)) if name.endswith(SUFFIX) else of_bundle(Bundle.open(name), encoder)


def of_bundle(bundle: Bundle, encoder: CausalConvNeXt) -> Start:
    """The bundle's encoder. Raises BundleError where it has another number of matrices than this one."""
    tensors = {name: torch.from_numpy(values) for name, values in _tensors(bundle, encoder).items()}
    return Start(bundle.title, tensors, [label.label for label in bundle.labels])


def keep_encoder(encoder: CausalConvNeXt, labels: Sequence[Label], path: Path) -> None:
    """Write an encoder in float16 (atto: 7 MB), for a later training to go on from."""
    halves = {name: tensor.half().contiguous() for name, tensor in encoder.state_dict().items()}
    beside = path.with_name(f"{path.name}.partial")
    save_file(halves, beside, {"sounds": " ".join(label.name for label in labels)})
    beside.replace(path)


def read_encoder(path: Path) -> Start:
    """What `keep_encoder` wrote, in float32."""
    if not path.is_file():
        raise InputMissingError(f"there is no {path}", fix="name a bundle, or a file of an encoder's weights")
    try:
        with safe_open(path, "pt") as stored:
            tensors = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118
            sounds = (stored.metadata() or {})["sounds"].split()
    except (SafetensorError, KeyError, OSError) as error:
        raise BundleError(f"{path} holds no encoder to go on from", why=str(error)) from error
    return Start(path.name, tensors, sounds)


def begin_from(encoder: CausalConvNeXt, start: Start, labels: list[Label]) -> None:
    """Give the encoder these weights, in place.

    A sound that was not known there begins as a rare one that nothing speaks for; one that is not among
    labels is left behind. Raises BundleError where that encoder has other sizes than this one.
    """
    tensors, own = dict(start.tensors), encoder.state_dict()
    heads = {name: tensors.pop(name) for name in ("head.weight", "head.bias")}
    wrong = [name for name, value in tensors.items() if name not in own or own[name].shape != value.shape]
    left = own.keys() - tensors.keys() - heads.keys() - {"bn0.num_batches_tracked"}
    if wrong or left:
        raise BundleError(
            f"{start.title}: its encoder is another than this recipe's",
            why=f"{[*wrong, *sorted(left)][0]} does not fit",
            fix="name one of the same size",
        )
    theirs = {sound: row for row, sound in enumerate(start.sounds)}
    known = [(row, theirs[label.name]) for row, label in enumerate(labels) if label.name in theirs]
    for name, begin in (("head.weight", 0.0), ("head.bias", RARE)):
        tensors[name] = torch.full_like(own[name], begin)
        for row, their in known:
            tensors[name][row] = heads[name][their]
    encoder.load_state_dict(own | tensors)


def _tensors(bundle: Bundle, encoder: CausalConvNeXt) -> dict[str, NDArray[np.float32]]:
    """Name in the encoder -> values. What has no name of its own in the graph is told by its order."""
    graph = onnx.load_model_from_string(bundle.read(bundle.manifest.graphs["encoder"].file)).graph
    stored = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    own = encoder.state_dict().keys()
    named = {
        name.removeprefix(PREFIX): values
        for name, values in stored.items()
        if name.removeprefix(PREFIX) in own
    }
    matrices = [matrix for node in graph.node if (matrix := _matrix(node, graph, stored)) is not None]
    linears = [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]
    if len(matrices) != len(linears):
        raise BundleError(
            f"{bundle.title}: its encoder is another than this recipe's",
            why=f"it has {len(matrices)} matrices, not {len(linears)}",
            fix="name a bundle of the same size",
        )
    for name, matrix in zip(linears, matrices, strict=True):
        named[f"{name}.weight"] = np.ascontiguousarray(matrix.T)
    for name, module in encoder.named_modules():
        if isinstance(module, Block):
            named[f"{name}.gamma"] = np.ones(module.gamma.shape, np.float32)
            named[f"{name}.pwconv2.bias"] = stored[f"{PREFIX}{name}.gamma.bias"]
    return {name: np.array(values) for name, values in named.items()}


def _matrix(
    node: onnx.NodeProto, graph: onnx.GraphProto, stored: dict[str, NDArray[np.generic]]
) -> NDArray[np.float32] | None:
    """(in, out) of a product with a constant, in float32; None of any other node."""
    if node.op_type not in ("MatMul", "MatMulInteger", "Gemm") or node.input[1] not in stored:
        return None
    values = stored[node.input[1]].astype(np.float32)
    if node.op_type == "MatMulInteger":
        if len(node.input) > 3:  # weights that are symmetric have no zero point
            values = values - stored[node.input[3]].astype(np.float32)
        values = values * _scale_behind(node, graph, stored)
    return values


def _scale_behind(
    node: onnx.NodeProto, graph: onnx.GraphProto, stored: dict[str, NDArray[np.generic]]
) -> NDArray[np.float32]:
    """The scale of an integer product's weights: its result is made float, then multiplied by the input's
    scale times theirs, which is the constant of the two. Its name tells nothing: equal constants are one."""
    (cast,) = [each for each in graph.node if node.output[0] in each.input]
    (scaled,) = [each for each in graph.node if cast.output[0] in each.input]
    (factor,) = [name for name in scaled.input if name != cast.output[0]]
    (both,) = [each for each in graph.node if factor in each.output]
    (scale,) = [stored[name] for name in both.input if name in stored]
    return scale.astype(np.float32)
