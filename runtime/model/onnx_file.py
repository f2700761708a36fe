"""What an ONNX file says of itself, read without the onnx package: its opset, and whether it is whole.

The edge has ONNX Runtime but no onnx. Two facts must be known before the runtime touches a file: that no
weight lies outside it (such a path could leave the bundle, and no hash would cover it), and which opset it
wants. Both are a short walk over protobuf's wire format: fields are (number, type) keys, and only the
messages that can hold a tensor are entered.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

Bytes = bytes | bytearray | memoryview
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

# onnx.proto: in which field of which message lies what.
_MODEL_OPSET = 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_CHILDREN: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "model": {7: "graph", 25: "function"},
        "graph": {1: "node", 5: "tensor", 15: "sparse"},
        "function": {7: "node", 11: "attribute"},
        "node": {5: "attribute"},
        "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
        "sparse": {1: "tensor", 2: "tensor"},
        "tensor": {},
    }
)
_DEEPEST = 32
"""Graphs within graphs; a file that nests deeper is made to harm."""


class OnnxFacts(NamedTuple):
    """What was found."""

    opset: int
    """Of the standard domain; 0 where the file names none."""
    has_external_data: bool


def read_onnx_facts(data: Bytes) -> OnnxFacts:
    """Walk a serialised ModelProto. Raises ValueError if it is not one, or is cut off."""
    view = memoryview(data)
    opset, has_graph = 0, False
    for number, kind, value in _fields(view):
        if number == _MODEL_OPSET and kind == LENGTH:
            domain, version = b"", 0
            for inner, _, content in _fields(_message(value)):
                if inner == _OPSET_DOMAIN:
                    domain = bytes(_message(content))
                elif inner == _OPSET_VERSION and isinstance(content, int):
                    version = content
            if domain in (b"", b"ai.onnx"):
                opset = max(opset, version)
        has_graph = has_graph or (number, kind) == (7, LENGTH)
    if not has_graph:
        raise ValueError("it holds no graph")
    return OnnxFacts(opset, _has_external(view, "model", 0))


def _has_external(view: memoryview, message: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("its graphs are nested too deep")
    children = _CHILDREN[message]
    for number, kind, value in _fields(view):
        if message == "tensor" and number == _TENSOR_EXTERNAL_DATA:
            return True
        if message == "tensor" and number == _TENSOR_DATA_LOCATION and value == 1:
            return True
        if (
            number in children
            and kind == LENGTH
            and _has_external(_message(value), children[number], depth + 1)
        ):
            return True
    return False


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("it is not an ONNX model")
    return value


def _fields(view: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """(field number, wire type, content) of one message; fixed-size numbers come as their bytes."""
    at, end = 0, len(view)
    while at < end:
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("it is not an ONNX model")
        if kind == VARINT:
            value, at = _varint(view, at)
            yield number, kind, value
            continue
        if kind == LENGTH:
            size, at = _varint(view, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError("it is not an ONNX model")
        if at + size > end:
            raise ValueError("it is cut off")
        yield number, kind, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise ValueError("it is cut off")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("it is not an ONNX model")
