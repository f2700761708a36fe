"""A bundle that is a Triton model repository too, by Triton's own schema."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from edgecap.export.checkpoint import Checkpoint
from edgecap.export.export import export_bundle
from edgecap.export.options import Options
from edgecap.export.to_triton import triton_config
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import SPEAKING

GRAPHS = ("encoder", *SPEAKING)


@pytest.fixture(scope="module")
def model_config() -> Any:
    """Triton's own schema. Its package wants gRPC at import, so the one file is loaded by itself."""
    package = importlib.util.find_spec("tritonclient")
    if package is None or package.submodule_search_locations is None:
        pytest.skip("tritonclient is not installed")
    file = Path(package.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the schema was compiled by another protobuf; it says so
        spec.loader.exec_module(module)
    return module


def test_triton_keeps_the_encoders_state_by_sequence(tiny_source: Checkpoint, model_config: Any) -> None:
    graph = tiny_source.graphs[0].graph
    config = text_format.Parse(triton_config(graph, 4096), model_config.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("encoder", "onnxruntime", 4096)
    assert [(port.name, list(port.dims)) for port in config.input] == [("log_mel", [32, 32])]
    assert [(port.name, list(port.dims)) for port in config.output] == [("embedding", [32]), ("scores", [4])]
    batching = config.sequence_batching
    assert {state.input_name: state.output_name for state in batching.state} == graph.state_pairs()
    for state, port in zip(batching.state, graph.state, strict=True):
        assert tuple(state.dims) == port.shape[1:]
        assert state.data_type == model_config.TYPE_FP32
        assert [list(start.dims) for start in state.initial_state] == [list(state.dims)]
        assert state.initial_state[0].zero_data
    assert batching.oldest.max_candidate_sequences == 4096


def test_triton_serves_the_other_graphs_as_they_are(tiny_source: Checkpoint, model_config: Any) -> None:
    configs = {
        export.graph.name: text_format.Parse(triton_config(export.graph, 8), model_config.ModelConfig())
        for export in tiny_source.graphs[1:]
    }
    assert configs["adapter"].max_batch_size == 8
    assert configs["adapter"].HasField("dynamic_batching")
    assert list(configs["adapter"].input[0].dims) == [-1, 32]
    step = configs["decoder_step"]
    assert step.max_batch_size == 0
    assert [port.name for port in step.input] == [
        "token", "position", "cross_keys", "cross_values", "keys", "values",
    ]  # fmt: skip
    assert [port.name for port in step.output] == ["log_probs", "new_keys", "new_values"]
    assert step.input[0].data_type == model_config.TYPE_INT64


@pytest.mark.slow
def test_a_triton_repository_is_a_bundle_too(tiny_checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "rooms"
    export_bundle(tiny_checkpoint, target, Options(target="triton", batch=16, minutes=0.1))
    assert {path.name for path in target.iterdir() if path.is_dir()} == set(GRAPHS)
    for name in GRAPHS:
        assert (target / name / "config.pbtxt").is_file()
        assert (target / name / "1" / "model.onnx").is_file()
    assert Bundle.open(target).graph("encoder") == target / "encoder" / "1" / "model.onnx"
