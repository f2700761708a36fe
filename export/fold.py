"""Constants that meet constants: a graph with fewer steps and the same meaning.

ConvNeXt scales each block's output by a learnt vector (gamma): (x W + b) g is x (W g) + b g, so the scale
goes into the weights and its pass over the data away. The batch norm before the stem stays: it scales mel
bins, whose weights the stem's convolution shares, so there is nothing that it could be folded into.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ..training.onnx_graph import drop_unused


def fold_scales(model: onnx.ModelProto) -> int:
    """Fold every constant scale that follows a product and its bias into both; returns how many."""
    graph = model.graph
    constants = {weight.name: weight for weight in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    folded = 0
    for scale in [node for node in graph.node if node.op_type == "Mul"]:
        added = _made(makers, scale.input[0], "Add")
        product = _made(makers, added.input[0], "MatMul") if added else None
        if added is None or product is None:
            continue
        names = (product.input[1], added.input[1], scale.input[1])
        if not all(name in constants for name in names):
            continue
        if uses[product.output[0]] > 1 or uses[added.output[0]] > 1:
            continue
        weight, bias, factor = (numpy_helper.to_array(constants[name]) for name in names)
        if weight.ndim != 2 or factor.shape != weight.shape[1:] or bias.shape != factor.shape:
            continue
        # New constants, not the old ones changed: equal ones are stored once and shared.
        product.input[1] = _store(graph, f"{names[2]}.weight", weight * factor)
        added.input[1] = _store(graph, f"{names[2]}.bias", bias * factor)
        added.output[0] = scale.output[0]
        graph.node.remove(scale)
        folded += 1
    drop_unused(graph)
    return folded


def _made(makers: Mapping[str, onnx.NodeProto], value: str, kind: str) -> onnx.NodeProto | None:
    """The node of this kind that makes a value, its data first and its constant second."""
    node = makers.get(value)
    return node if node is not None and node.op_type == kind else None


def _store(graph: onnx.GraphProto, name: str, values: NDArray[np.generic]) -> str:
    """Add a constant; returns the name that it got."""
    taken = {weight.name for weight in graph.initializer}
    while name in taken:
        name += "_"
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name
