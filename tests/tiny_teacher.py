"""A teacher of random weights in mn04's own form, names and all: what it says means nothing, but the way
there is the real one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecap.training.models.mobilenet import BLOCKS, STEM, WIDTH, MobileNet

MELS, HIDDEN, CLASSES = 128, 16, 527


class _Graph:
    """Nodes one after the other, and their weights w0, w1 …, as the public file has them."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(0)

    def add(
        self,
        kind: str,
        *inputs: str,
        out: str = "",
        shapes: tuple[tuple[int, ...], ...] = (),
        **attributes: object,
    ) -> str:
        names = []
        for shape in shapes:
            deviation = (2 / max(1, int(np.prod(shape[1:])))) ** 0.5 if len(shape) > 1 else 0.1
            values: NDArray[np.float32] = self._rng.normal(0, deviation, shape).astype(np.float32)
            names.append(f"w{len(self.weights)}")
            self.weights.append(numpy_helper.from_array(values, names[-1]))
        out = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [*inputs, *names], [out], **attributes))
        return out

    def conv(self, x: str, into: int, kernel: int, inputs: int, stride: int = 1, group: int = 1) -> str:
        return self.add(
            "Conv", x, shapes=((into, inputs // group, kernel, kernel), (into,)),
            group=group, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4,
        )  # fmt: skip

    def gemm(self, x: str, into: int, inputs: int, out: str = "") -> str:
        return self.add("Gemm", x, out=out, shapes=((into, inputs), (into,)), transB=1)


def write(folder: Path) -> Path:
    """mn04.onnx and frontend.onnx; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = _Graph()
    x = graph.add("HardSwish", graph.conv("logmel", STEM, 3, 1, 2))
    inputs = STEM
    for kind, squeezed in zip(BLOCKS, _squeezed(), strict=True):
        y, act = x, "HardSwish" if kind.swish else "Relu"
        if kind.expanded != inputs:
            y = graph.add(act, graph.conv(y, kind.expanded, 1, inputs))
        y = graph.add(
            act, graph.conv(y, kind.expanded, kind.kernel, kind.expanded, kind.stride, kind.expanded)
        )
        if squeezed:
            means = graph.add("ReduceMean", y, axes=[2, 3], keepdims=0)
            few = graph.add("Relu", graph.gemm(means, squeezed, kind.expanded))
            shares = graph.add("Sigmoid", graph.gemm(few, kind.expanded, squeezed))
            axes = graph.add("Constant", value_ints=[2, 3])
            y = graph.add("Mul", y, graph.add("Unsqueeze", shares, axes))
        y = graph.conv(y, kind.out, 1, kind.expanded)
        x = graph.add("Add", x, y) if kind.stride == 1 and inputs == kind.out else y
        inputs = kind.out
    x = graph.add("HardSwish", graph.conv(x, WIDTH, 1, inputs))
    by_step = graph.add("ReduceMean", x, axes=[2], keepdims=0)
    graph.add("Transpose", by_step, out="sequence", perm=[0, 2, 1])
    graph.add("ReduceMean", x, out="embedding", axes=[2, 3], keepdims=0)
    hidden = graph.add("HardSwish", graph.gemm("embedding", HIDDEN, WIDTH))
    graph.add("Sigmoid", graph.gemm(hidden, CLASSES, HIDDEN, out="logits"), out="scores")
    _save(
        folder / "mn04.onnx", graph.nodes, graph.weights, ("logmel", ["batch", 1, MELS, "frames"]),
        {"logits": ["batch", CLASSES], "scores": ["batch", CLASSES], "embedding": ["batch", WIDTH],
         "sequence": ["batch", "steps", WIDTH]},
    )  # fmt: skip
    mel = np.abs(np.random.default_rng(1).normal(0, 0.1, (MELS, 513))).astype(np.float32)
    _save(
        folder / "frontend.onnx", [helper.make_node("MatMul", ["mel", "power"], ["bands"])],
        [numpy_helper.from_array(mel, "mel")], ("power", [513, "frames"]), {"bands": [MELS, "frames"]},
    )  # fmt: skip
    return folder


def _squeezed() -> Iterator[int]:
    """Each block's squeezed channels; 0: it has none."""
    for block in MobileNet().blocks:
        yield block.squeeze.fc1.out_features if block.squeeze else 0


def _save(
    path: Path, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto],
    source: tuple[str, list[int | str]], targets: dict[str, list[int | str]],
) -> None:  # fmt: skip
    def port(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes, path.stem, [port(*source)], [port(*target) for target in targets.items()], constants
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
