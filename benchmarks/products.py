"""What a matrix product of the shipped graphs costs in each form that ONNX Runtime's CPU has for it.

    python benchmarks/products.py

Microseconds of CPU a product, one thread, medians over rounds in which the forms take turns; eight products
with weights of their own in a row, so that caches are about as cold as in a net. Rows, width in and width
out are a word's (1 and 3 beams), a short segment's in the adapter, and a hop's in the encoder's four stages.
"""

import time
from collections.abc import Mapping
from statistics import median

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecap.export.quantize import quantize

SHAPES = [
    (1, 256, 768), (3, 256, 768), (3, 256, 1024), (3, 1024, 256), (3, 256, 256), (12, 256, 1024),
    (128, 40, 160), (32, 80, 320), (8, 160, 640), (8, 640, 160), (2, 320, 1280), (2, 1280, 320),
]  # fmt: skip
"""(rows, width in, width out)."""
PRODUCTS, ROUNDS, CALLS = 8, 9, 20
BLOCK = 32
"""Weights that share a scale, of MatMulNBits; its activations are int8 too (accuracy level 4)."""


def main() -> None:
    forms = ("float32", "dynamic int8", "8 bits in blocks", "4 bits in blocks")
    print(f"| rows, in, out | {' | '.join(forms)} |\n|---|{'---:|' * len(forms)}")
    for rows, width, out in SHAPES:
        exact = products(rows, width, out)
        models = [exact, quantize("products", exact), *(blocks(rows, width, out, bits) for bits in (8, 4))]
        cells = timed(models, np.random.default_rng(1).standard_normal((rows, width), np.float32))
        print(f"| {rows}, {width}, {out} | {' | '.join(f'{cell:.0f}' for cell in cells)} |")


def products(rows: int, width: int, out: int) -> bytes:
    rng = np.random.default_rng(0)
    weights = {f"w{i}": rng.standard_normal((width, out), np.float32) for i in range(PRODUCTS)}
    nodes = [helper.make_node("MatMul", ["x", f"w{i}"], [f"y{i}"]) for i in range(PRODUCTS)]
    return model(nodes, weights, rows, width, out)


def blocks(rows: int, width: int, out: int, bits: int) -> bytes:
    rng, count = np.random.default_rng(0), -(-width // BLOCK)
    constants: dict[str, NDArray[np.generic]] = {}
    nodes = []
    for i in range(PRODUCTS):
        constants[f"w{i}"] = rng.integers(0, 256, (out, count, BLOCK * bits // 8)).astype(np.uint8)
        constants[f"s{i}"] = np.full(out * count, 0.01, np.float32)
        nodes.append(
            helper.make_node(
                "MatMulNBits",
                ["x", f"w{i}", f"s{i}"],
                [f"y{i}"],
                domain="com.microsoft",
                K=width,
                N=out,
                bits=bits,
                block_size=BLOCK,
                accuracy_level=4,
            )
        )
    return model(nodes, constants, rows, width, out)


def model(
    nodes: list[onnx.NodeProto], constants: Mapping[str, NDArray[np.generic]], rows: int, width: int, out: int
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, width])],
        [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, [rows, out]) for i in range(PRODUCTS)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    domains = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, opset_imports=domains)
    made.ir_version = 10
    return bytes(made.SerializeToString())


def timed(models: list[bytes], x: NDArray[np.float32]) -> list[float]:
    import onnxruntime as ort  # behind edgecap, which keeps it from reporting

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    sessions = [ort.InferenceSession(each, settings, providers=["CPUExecutionProvider"]) for each in models]
    spent: list[list[float]] = [[] for _ in sessions]
    for _ in range(ROUNDS):
        for times, session in zip(spent, sessions, strict=True):
            begun = time.thread_time()
            for _ in range(CALLS):
                session.run(None, {"x": x})
            times.append((time.thread_time() - begun) / CALLS / PRODUCTS * 1e6)
    return [median(times) for times in spent]


if __name__ == "__main__":
    main()
