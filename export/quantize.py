"""An ONNX graph in float32 -> the same with its matrix products in int8.

Dynamic: weights are stored as int8 and activations are quantised as they come. No calibration, and no sound
that calibration forgot. Static: activations have ranges too, measured beforehand (calibrate.py), and the
graph holds pairs of QuantizeLinear and DequantizeLinear that each library fuses in its own way, so there
are two flavours. Only products with constant weights are touched. For CPUs convolutions stay: their
integer form is slower than float32 there (`benchmarks/quantisation.py` compares all of it).
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from ..runtime.errors import EdgecapError
from ..runtime.model.engine import Array
from .lean import make_lean
from .to_onnx import serialise, strip

PRODUCTS = ["MatMul", "Gemm"]
"""Both: a tool may write one for the other, and what is not named stays float32 without a word."""


Flavour = Literal["cpu", "tensorrt"]
_STATIC: dict[Flavour, dict[str, Any]] = {
    # Unsigned activations, and weights in 7 bits for the same reason as below.
    "cpu": {
        "op_types_to_quantize": PRODUCTS,
        "activation_type": QuantType.QUInt8,
        "reduce_range": True,
        "extra_options": {"MatMulConstBOnly": True},
    },
    # TensorRT wants all of it symmetric, weights as a pair too, and biases as they are.
    "tensorrt": {
        "op_types_to_quantize": [*PRODUCTS, "Conv"],
        "activation_type": QuantType.QInt8,
        "reduce_range": False,
        "extra_options": {
            "MatMulConstBOnly": True,
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "AddQDQPairToWeight": True,
        },
    },
}


def quantize(name: str, model: bytes) -> bytes:
    """int8 weights for every matrix product with a constant, activations as they come. Deterministic.

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
        return _finish(name, onnx.load(target))


def quantize_calibrated(
    name: str, model: bytes, feeds: Sequence[Mapping[str, Array]], flavour: Flavour
) -> bytes:
    """int8 weights and activations, these within the ranges that they had when the graph was given `feeds`.

    Raises EdgecapError if a product's weight is float32 still.
    """
    with tempfile.TemporaryDirectory() as folder, _unadvised():
        target = Path(folder) / "int8.onnx"
        quantize_static(
            onnx.load_model_from_string(model),
            target,
            _Feeds(feeds),
            quant_format=QuantFormat.QDQ,
            weight_type=QuantType.QInt8,
            per_channel=True,
            **_STATIC[flavour],
        )
        return _finish(name, onnx.load(target), flavour)


class _Feeds(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime ships no types
    def __init__(self, feeds: Sequence[Mapping[str, Array]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        """ONNX Runtime's name for the next inputs."""
        feed = next(self._feeds, None)
        return None if feed is None else dict(feed)


def _finish(name: str, quantised: onnx.ModelProto, flavour: Flavour = "cpu") -> bytes:
    strip(quantised)
    if flavour == "cpu":
        make_lean(quantised)
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
