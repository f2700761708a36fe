"""The weights of a bundle's encoder, read back out of its graph: what a training goes on from.

Checkpoints are too large to pass on; the bundle is what everybody has. Its matrices may be int8 and are
taken as they were rounded: the first steps of a training move them farther than that. A block's scale is
folded into its second matrix (export/fold.py), so here it is one.
"""

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from ...runtime.errors import BundleError
from ...runtime.model.bundle import Bundle
from ..data.corpus import Label
from ..models.convnext import Block, CausalConvNeXt
from .encoder import RARE

PREFIX = "module.encoder."


def begin_from(encoder: CausalConvNeXt, bundle: Bundle, labels: list[Label]) -> None:
    """Give the encoder the weights of the bundle's, in place.

    A sound that the bundle does not know begins as a rare one that nothing speaks for; one that is not among
    labels is left behind. Raises BundleError where the bundle's encoder has other sizes than this one.
    """
    tensors = {name: torch.from_numpy(values) for name, values in _tensors(bundle, encoder).items()}
    own = encoder.state_dict()
    heads = {name: tensors.pop(name) for name in ("head.weight", "head.bias")}
    wrong = [name for name, value in tensors.items() if own[name].shape != value.shape]
    left = own.keys() - tensors.keys() - heads.keys() - {"bn0.num_batches_tracked"}
    if wrong or left:
        raise BundleError(
            f"{bundle.title}: its encoder is another than this recipe's",
            why=f"{[*wrong, *sorted(left)][0]} does not fit",
            fix="name a bundle of the same size",
        )
    theirs = {label.label: row for row, label in enumerate(bundle.labels)}
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
