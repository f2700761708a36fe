"""The same graph in fewer and cheaper steps: bit for bit the same numbers from ONNX Runtime on a CPU.

torch writes what is general where a caption's step is special: it takes one token, so that to part and to
join heads moves nothing; it writes one slot of a cache; and it adds nothing where a quantiser says "zero".
Graphs in int8 are written so, since those are for CPUs. A bundle of before is rewritten in place by

    python -m edgecap.export.lean BUNDLE

What that brings is in docs/figures.md, "What it costs".
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ..runtime.model.manifest import MANIFEST_FILE, Manifest
from ..training.onnx_graph import drop_unused

Shape = tuple[int | str | None, ...]
"""Of a value in a graph; None where it is not known, a name where it varies."""


def make_lean(model: onnx.ModelProto) -> int:
    """Rewrite all that is known here, in place; returns how many nodes were."""
    graph = _Graph(model)
    changed = (
        _drop_zero_points(graph) + _reshape_instead_of_moving(graph) + _write_slots(graph) + _add_masks(graph)
    )
    drop_unused(model.graph)
    return changed


def rewrite_bundle(folder: Path) -> dict[str, int]:
    """Make a bundle's int8 graphs lean, their hashes in its manifest too; returns
    graph -> nodes."""
    path = folder / MANIFEST_FILE
    text = path.read_bytes()
    changed: dict[str, int] = {}
    for name, graph in msgspec.json.decode(text, type=Manifest).graphs.items():
        if graph.precision != "int8" or graph.backend != "onnx":
            continue
        model = onnx.load(folder / graph.file)
        changed[name] = make_lean(model)
        onnx.checker.check_model(model)
        content = bytes(model.SerializeToString(deterministic=True))
        (folder / graph.file).write_bytes(content)
        text = text.replace(graph.sha256.encode(), hashlib.sha256(content).hexdigest().encode())
    path.write_bytes(text)
    return changed


class _Graph:
    """A graph with what its rewriting asks again and again: who makes a value, who uses it, its shape."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self.shapes: dict[str, Shape] = {
            value.name: tuple(
                d.dim_value if d.HasField("dim_value") else d.dim_param or None
                for d in value.type.tensor_type.shape.dim
            )
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
        }
        self.constants = {weight.name: weight for weight in self.graph.initializer}
        self.makers: Mapping[str, onnx.NodeProto] = {
            output: node for node in self.graph.node for output in node.output
        }

    def of(self, kind: str) -> list[onnx.NodeProto]:
        """Its nodes of a kind."""
        return [node for node in self.graph.node if node.op_type == kind]

    def made_by(self, value: str, kind: str) -> onnx.NodeProto | None:
        """The node that makes a value, if it is of this kind."""
        node = self.makers.get(value)
        return node if node is not None and node.op_type == kind else None

    def array(self, name: str) -> NDArray[np.generic] | None:
        """A constant's values; None for what is none."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def sizes(self, values: Sequence[int]) -> str:
        """The name of an int64 constant of these values."""
        return self._constant(f"lean_{'_'.join(map(str, values))}", np.array(values, np.int64))

    def number(self, value: float) -> str:
        """The name of a float32 constant without dimensions."""
        return self._constant(f"lean_{value}", np.array(value, np.float32))

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        """One for all who ask."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(values, name)
            self.graph.initializer.append(self.constants[name])
        return name

    def replace(self, old: onnx.NodeProto, new: Sequence[onnx.NodeProto]) -> None:
        """Put nodes into one's place."""
        at = list(self.graph.node).index(old)
        self.graph.node.remove(old)
        for node in reversed(new):
            self.graph.node.insert(at, node)
            self.makers = {**self.makers, **dict.fromkeys(node.output, node)}


def _drop_zero_points(graph: _Graph) -> int:
    """Weights that are symmetric need no zero point: without one, none is multiplied and taken off."""
    found = 0
    for node in graph.of("MatMulInteger"):
        zero = graph.array(node.input[3]) if len(node.input) == 4 else None
        if zero is not None and not zero.any():
            del node.input[3]
            found += 1
    return found


def _reshape_instead_of_moving(graph: _Graph) -> int:
    """Where a Transpose moves but dimensions of one, values stay where they are: a Reshape will do."""
    found = 0
    for node in graph.of("Transpose"):
        perm = list(node.attribute[0].ints)
        before = graph.made_by(node.input[0], "Reshape")
        target = graph.array(before.input[1]) if before is not None else None
        if before is not None and target is not None:
            if _is_still([int(size) for size in target], perm):
                shape = graph.sizes([int(target[axis]) for axis in perm])
                new = helper.make_node("Reshape", [before.input[0], shape], node.output)
                graph.replace(node, [new])
                found += 1
            continue
        after = [user for user in graph.graph.node if node.output[0] in user.input]
        shape_before = graph.shapes.get(node.input[0])
        if (
            shape_before
            and _is_still(shape_before, perm)
            and all(user.op_type == "Reshape" for user in after)
        ):
            for user in after:
                user.input[0] = node.input[0]
            found += 1
    return found


def _is_still(shape: Sequence[int | str | None], perm: Sequence[int]) -> bool:
    """Whether all dimensions but those of one keep their order."""
    order = [axis for axis in perm if shape[axis] != 1]
    return order == sorted(order)


def _write_slots(graph: _Graph) -> int:
    """A cache with one slot written, cache · others + new · this one, in place of a choice between two for
    each number (Where), which ONNX Runtime makes in three passes. Slots must be finite, as they are."""
    found = 0
    for node in graph.of("Where"):
        here, new, cache = node.input
        if not _is_one_slot(graph, here):
            continue
        this, others = f"{here}_this", f"{here}_others"
        made = []
        if this not in graph.makers:
            made = [
                helper.make_node("Cast", [here], [this], to=onnx.TensorProto.FLOAT),
                helper.make_node("Sub", [graph.number(1.0), this], [others]),
            ]
        kept, written = (f"{node.output[0]}_{part}" for part in ("kept", "written"))
        made += [
            helper.make_node("Mul", [cache, others], [kept]),
            helper.make_node("Mul", [new, this], [written]),
            helper.make_node("Add", [kept, written], node.output),
        ]
        graph.replace(node, made)
        found += 1
    return found


def _is_one_slot(graph: _Graph, here: str) -> bool:
    """Whether this is a mask of slots, (slots, 1), true at one position."""
    column = graph.made_by(here, "Unsqueeze")
    equal = graph.made_by(column.input[0], "Equal") if column is not None else None
    slots = graph.array(equal.input[0]) if equal is not None else None
    return slots is not None and np.array_equal(slots, np.arange(slots.size))


def _add_masks(graph: _Graph) -> int:
    """-inf where nothing may be looked at: added, from one mask for all layers, instead of chosen in each."""
    found = 0
    for node in graph.of("Where"):
        hidden, least, scores = node.input
        value = graph.array(least)
        if value is None or value.size != 1 or float(value.reshape(-1)[0]) != -np.inf:
            continue
        if scores in graph.constants:  # the mask itself
            continue
        mask, made = f"{hidden}_mask", []
        if mask not in graph.makers:
            made = [helper.make_node("Where", [hidden, least, graph.number(0.0)], [mask])]
        graph.replace(node, [*made, helper.make_node("Add", [scores, mask], node.output)])
        found += 1
    return found


if __name__ == "__main__":
    for graph_name, count in rewrite_bundle(Path(sys.argv[1])).items():
        print(f"{graph_name}: {count} nodes rewritten")
