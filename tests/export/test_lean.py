"""Lean graphs: fewer steps, the same numbers bit for bit."""

import hashlib
import shutil
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecap.export.checkpoint import Checkpoint
from edgecap.export.export import describe
from edgecap.export.lean import make_lean, rewrite_bundle
from edgecap.export.to_onnx import to_onnx
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Array, Engine
from edgecap.runtime.session import SPEAKING


@pytest.mark.parametrize("name", ["encoder", *SPEAKING])
@pytest.mark.parametrize(("n", "beam"), [(1, 1), (7, 3)])
def test_a_lean_graph_gives_the_same_bits(tiny_source: Checkpoint, name: str, n: int, beam: int) -> None:
    """Over carried state, caches filled to their last slot."""
    export = next(export for export in tiny_source.graphs if export.graph.name == name)
    content = to_onnx(export, {"batch": 1})
    model = onnx.load_model_from_string(content)
    changed = make_lean(model)
    assert (changed > 0) == (name == "decoder_step")  # nothing else in a float32 graph is roundabout
    assert len(model.graph.node) < len(onnx.load_model_from_string(content).graph.node) or not changed
    onnx.checker.check_model(model, full_check=True)
    graph = describe(export, {"batch": 1}, "fp32", content)
    before, after = (Engine(name, each, graph) for each in (content, model.SerializeToString()))
    state, rng = before.initial_state(beam=beam), np.random.default_rng(n)
    slots = graph.state[0].shape[3] if name == "decoder_step" else 3
    assert isinstance(slots, int)
    for position in range(slots):
        inputs: dict[str, Array] = {
            port.name: rng.standard_normal(
                [size if isinstance(size, int) else {"n": n, "beam": beam}[size] for size in port.shape]
            ).astype(np.float32)
            for port in graph.inputs
            if port.dtype == "float32"
        }
        if name == "decoder_step":
            inputs |= {"token": rng.integers(0, 9, beam), "position": np.array([position])}
        expected, expected_state = before.step(inputs, state)
        found, state = after.step(inputs, state)
        for key, value in (expected | expected_state).items():
            np.testing.assert_array_equal((found | state)[key], value, err_msg=key)


@pytest.mark.parametrize("zero", [0, 3])
def test_a_zero_point_goes_where_it_is_zero(zero: int) -> None:
    weight = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
    constants = {"w": weight, "a0": np.array(5, np.uint8), "w0": np.array([zero, 0, 0], np.int8)}
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "w", "a0", "w0"], ["y"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [2, 4])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [2, 3])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    assert make_lean(model) == (zero == 0)
    assert len(model.graph.node[0].input) == (3 if zero == 0 else 4)
    assert ("w0" in {each.name for each in model.graph.initializer}) == (zero != 0)


def test_the_shipped_bundle_is_lean_and_stays_as_it_is(tmp_path: Path) -> None:
    shipped = Bundle.open("room-small")
    folder = tmp_path / "bundle"
    shutil.copytree(shipped.path, folder)
    assert set(rewrite_bundle(folder).values()) == {0}
    again = Bundle.open(str(folder))
    assert again.manifest == shipped.manifest


def test_a_bundle_is_rewritten_with_its_hashes(tmp_path: Path, tiny_int8_bundle: Path) -> None:
    """Of one that is lean already, given back its zero points."""
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_int8_bundle, folder)
    manifest = Bundle.open(str(folder)).manifest
    file = folder / manifest.graphs["adapter"].file
    model = onnx.load(file)
    for node in model.graph.node:
        if node.op_type == "MatMulInteger":
            node.input.append(f"{node.name}_zero")
            model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), f"{node.name}_zero"))
    file.write_bytes(model.SerializeToString())
    old = manifest.graphs["adapter"].sha256
    new = hashlib.sha256(file.read_bytes()).hexdigest()
    text = (folder / "manifest.json").read_text("utf-8")
    (folder / "manifest.json").write_text(text.replace(old, new), "utf-8")
    assert rewrite_bundle(folder)["adapter"] > 0
    rewritten = Bundle.open(str(folder)).manifest  # it checks the hashes
    assert msgspec.to_builtins(rewritten) == msgspec.to_builtins(manifest)
