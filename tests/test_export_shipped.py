"""The bundle that ships: whole, proven when it was made, and the same bytes again from its checkpoint."""

import hashlib
import os
from pathlib import Path

import onnx
import pytest

from edgecap.export.export import export_bundle
from edgecap.export.options import Options
from edgecap.export.parity import TOLERANCES
from edgecap.runtime.bundle import Bundle
from edgecap.runtime.session import SPEAKING

ROOT = Path(__file__).parent.parent
CHECKPOINT = Path(os.environ.get("EDGECAP_CHECKPOINT", ROOT / "runs" / "room-small" / "model"))
"""65 MB, so not in the repository: `make model` leaves it there."""


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open("room-small")


@pytest.mark.parametrize("name", ["encoder", *SPEAKING])
def test_every_shipped_graph_was_proven(shipped: Bundle, name: str) -> None:
    """The manifest's own figures, against the tolerance of the graph's precision."""
    graph = shipped.manifest.graphs[name]
    onnx.checker.check_model(onnx.load_model_from_string(shipped.read(graph.file)))
    tolerance = TOLERANCES[graph.precision]
    figures = {key: values for key, values in shipped.manifest.parity.items() if key.startswith(f"{name}.")}
    outputs = {f"{name}.{port.name}" for port in (*graph.outputs, *graph.state)}
    assert outputs <= figures.keys()
    assert all(values["cosine"] >= tolerance.cosine for values in figures.values())
    assert shipped.manifest.parity["stream"]["seconds"] > 590


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", ["onnx-int8", "onnx", "tensorrt-rtx"])
def test_the_shipped_checkpoint_exports(shipped: Bundle, target: str, tmp_path: Path) -> None:
    """For the target that ships, to the very bytes that ship."""
    weights = CHECKPOINT / "model.safetensors"
    if not weights.is_file():
        pytest.skip(f"there is no {weights}: run make model, or name it in EDGECAP_CHECKPOINT")
    if hashlib.sha256(weights.read_bytes()).hexdigest() != shipped.manifest.training["checkpoint"]:
        pytest.skip(f"{weights} is another one than what ships was made from")
    if target == "tensorrt-rtx":
        pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    gpus = ("8.6", "12.0") if target == "tensorrt-rtx" else ()
    manifest = export_bundle(
        CHECKPOINT, tmp_path / "again", Options(target=target, capabilities=gpus, minutes=1)
    )
    if target == "onnx-int8":
        again = {name: graph.sha256 for name, graph in manifest.graphs.items()}
        assert again == {name: graph.sha256 for name, graph in shipped.manifest.graphs.items()}
    if target == "tensorrt-rtx":
        assert manifest.engines.keys() == {"encoder", *SPEAKING}
        assert {graph.build.capabilities for graph in manifest.engines.values() if graph.build} == {gpus}
