"""A teacher of random weights with mn04's own inputs, outputs and names: what it says means nothing, but the
way there is the real one."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MELS, WIDTH, HIDDEN, CLASSES = 128, 384, 16, 527


def write(folder: Path) -> Path:
    """mn04.onnx and frontend.onnx; returns the folder. A step's vector is a random map of 32 frames' mean."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, node = np.random.default_rng(0), helper.make_node

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        values = rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    mel = np.abs(rng.normal(0, 0.1, (MELS, 513))).astype(np.float32)
    constants = [
        weight("w0", MELS, WIDTH), weight("w1", HIDDEN, WIDTH), weight("b1", HIDDEN),
        weight("w2", CLASSES, HIDDEN), weight("b2", CLASSES),
    ]  # fmt: skip
    nodes = [
        node("AveragePool", ["logmel"], ["pooled"], kernel_shape=[1, 32], strides=[1, 32], ceil_mode=1),
        node("ReduceMean", ["pooled"], ["means"], axes=[1], keepdims=0),
        node("Transpose", ["means"], ["by_step"], perm=[0, 2, 1]),
        node("MatMul", ["by_step", "w0"], ["sequence"]),
        node("ReduceMean", ["sequence"], ["embedding"], axes=[1], keepdims=0),
        node("Gemm", ["embedding", "w1", "b1"], ["hidden"], transB=1),
        node("HardSwish", ["hidden"], ["moved"]),
        node("Gemm", ["moved", "w2", "b2"], ["logits"], transB=1),
        node("Sigmoid", ["logits"], ["scores"]),
    ]
    _save(
        folder / "mn04.onnx", nodes, constants, ("logmel", ["batch", 1, MELS, "frames"]),
        {"logits": ["batch", CLASSES], "scores": ["batch", CLASSES], "embedding": ["batch", WIDTH],
         "sequence": ["batch", "steps", WIDTH]},
    )  # fmt: skip
    _save(
        folder / "frontend.onnx", [node("MatMul", ["mel", "power"], ["bands"])],
        [numpy_helper.from_array(mel, "mel")], ("power", [513, "frames"]), {"bands": [MELS, "frames"]},
    )  # fmt: skip
    return folder


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
