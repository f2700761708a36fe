"""An ONNX graph in float32 -> the same with its matrix products in int8, for CPUs.

Weights are stored as int8 and activations are quantised as they come (dynamic): no calibration, and no
sound that calibration forgot. Only products with constant weights are touched. Convolutions stay: their
integer form is slower than float32 here (`edgecap bench` shows both).
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from ..runtime.errors import EdgecapError
from .to_onnx import serialise, strip

PRODUCTS = ["MatMul", "Gemm"]
"""Both: a tool may write one for the other, and what is not named stays float32 without a word."""


def quantize(name: str, model: bytes) -> bytes:
    """int8 weights for every matrix product with a constant. Deterministic.

    Raises EdgecapError if any such weight is float32 still. name: the graph's, for that message.
    """
    with tempfile.TemporaryDirectory() as folder, _unadvised():
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(
            onnx.load_model_from_string(model),
            target,
            op_types_to_quantize=PRODUCTS,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # 7 bits: u8 x s8 products are summed in pairs in 16 bits on x86 without VNNI and saturate
            # with 8. So a bundle gives the same numbers on an old laptop as here.
            reduce_range=True,
        )
        quantised = onnx.load(target)
    strip(quantised)
    left = _float_products(quantised)
    if left:
        raise EdgecapError(f"{name} was not quantised", why=f"still in float32: {', '.join(left[:3])}")
    onnx.checker.check_model(quantised)
    return serialise(quantised)


def _float_products(model: onnx.ModelProto) -> list[str]:
    """Weights of matrix products that are still float32."""
    floats = {
        w.name for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT and len(w.dims) > 1
    }
    return [
        name
        for node in model.graph.node
        if node.op_type in PRODUCTS
        for name in node.input[1:2]
        if name in floats
    ]


@contextlib.contextmanager
def _unadvised() -> Iterator[None]:
    """The quantiser advises, through the root logger, to fuse first: that hides products from it."""

    def advice(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(advice)
    try:
        yield
    finally:
        root.removeFilter(advice)
