"""Exported files are the model they came from, and the same bytes every time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from safetensors.torch import load_file, save_file

from edgecap.export.checkpoint import Checkpoint, read_checkpoint
from edgecap.export.export import describe, describe_bundle, export_bundle
from edgecap.export.fold import fold_scales
from edgecap.export.options import Options
from edgecap.export.parity import Pair, check_parity
from edgecap.export.to_onnx import to_onnx
from edgecap.runtime.audio import RATE
from edgecap.runtime.errors import BundleError, UsageError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import SPEAKING, Model, Session
from edgecap.training.room.opinion import GRAPH_FILE, OpinionNet, graph_of
from edgecap.training.room.teacher import Teacher
from tests import tiny_teacher

ROOT = Path(__file__).parents[2]
GRAPHS = ("encoder", *SPEAKING)
SOME_HOPS = 0.16
"""Minutes: 30 hops, more than the window of 16."""


def contents(bundle: Bundle) -> dict[str, bytes]:
    return {graph.file: bundle.read(graph.file) for graph in bundle.manifest.graphs.values()}


# --- the files are the model ----------------------------------------------------------------------


def test_the_files_stream_as_torch_does(tiny_bundle: Path, tiny_source: Checkpoint) -> None:
    """Over carried state: what torch and ONNX Runtime sum differs in order alone."""
    bundle = Bundle.open(tiny_bundle)
    figures = check_parity(tiny_source, bundle.manifest.graphs, contents(bundle), minutes=SOME_HOPS)
    assert figures["stream"]["hops"] == 30
    assert figures["sentences"] == {"count": 2, "agreement": 1}
    tensors = {name: values for name, values in figures.items() if "cosine" in values}
    assert {name.split(".")[0] for name in tensors} == set(GRAPHS)
    assert {"encoder.s0_b0", "encoder.embedding", "decoder_step.keys"} <= tensors.keys()
    for name, values in tensors.items():
        assert values["max_error"] <= 1e-4, name


def test_the_int8_files_stream_close_to_torch(tiny_int8_bundle: Path, tiny_source: Checkpoint) -> None:
    bundle = Bundle.open(tiny_int8_bundle)
    figures = check_parity(tiny_source, bundle.manifest.graphs, contents(bundle), minutes=SOME_HOPS)
    for tensor in ("encoder.embedding", "encoder.scores", "adapter.memory", "decoder_step.log_probs"):
        assert figures[tensor]["cosine"] > 0.999
    assert figures["encoder.embedding"]["least_cosine"] > 0.99
    assert {graph.precision for graph in bundle.manifest.graphs.values()} == {"int8"}


def test_a_second_opinion_goes_along_as_training_left_it(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    teacher = Teacher(tiny_teacher.write(tmp_path / "mn04"))
    sounds = read_checkpoint(folder).labels
    content = graph_of(teacher, OpinionNet(teacher, sounds))
    (folder / GRAPH_FILE).write_bytes(content)
    export_bundle(folder, tmp_path / "with", Options(target="onnx", verify=False))
    bundle = Bundle.open(tmp_path / "with")
    assert bundle.read(GRAPH_FILE) == content
    session = Session(Model.load(bundle))
    assert session.opinion is not None
    session.push(np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32))
    assert session.opinion.ask(2).shape == (sounds,)


def test_every_length_and_number_of_beams_runs(tiny_bundle: Path, tiny_source: Checkpoint) -> None:
    """A dimension that varies must vary in the file too, down to 1."""
    bundle = Bundle.open(tiny_bundle)
    for export in tiny_source.graphs[1:]:
        graph = bundle.manifest.graphs[export.graph.name]
        pair = Pair(export, graph, bundle.read(graph.file))
        for n, beam in ((1, 1), (2, 16), (tiny_source.window, 3)):
            arguments = export.example({"batch": 1, "n": n, "beam": beam}, seed=n)
            values = dict(
                zip((p.name for p in export.ports_in()), (a.numpy() for a in arguments), strict=True)
            )
            pair.begin(beam=beam)
            pair.step({port.name: values[port.name] for port in graph.inputs})
        for name, difference in pair.differences.items():
            assert difference.largest < 1e-4, name


def test_open_batch_keeps_rooms_apart(tiny_source: Checkpoint) -> None:
    """One call for many rooms: each row is what it would be alone."""
    export = tiny_source.graphs[0]
    content = to_onnx(export, {})
    graph = describe(export, {}, "fp32", content)
    assert graph.inputs[0].shape == ("batch", 32, 32)
    pair = Pair(export, graph, content)
    together = np.random.default_rng(0).uniform(-90, 0, (5, 32, 32)).astype(np.float32)
    pair.begin(batch=5)
    _, all_rooms = pair.step({"log_mel": together})
    for room in range(5):
        pair.begin(batch=1)
        _, alone = pair.step({"log_mel": together[room : room + 1]})
        np.testing.assert_allclose(alone["embedding"][0], all_rooms["embedding"][room], atol=1e-5)


def test_a_bundle_that_differs_is_refused(
    tiny_bundle: Path, tiny_checkpoint: Path, tiny_source: Checkpoint, tmp_path: Path
) -> None:
    """The files of one model against the torch of another."""
    other = Path(shutil.copytree(tiny_checkpoint, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    weights["encoder.stages.0.0.gamma"] += 1.0
    save_file(weights, other / "model.safetensors")
    bundle = Bundle.open(tiny_bundle)
    with pytest.raises(
        BundleError,
        match=r"encoder.onnx is not the model that it was exported from: nothing was written: .*cosine is",
    ):
        check_parity(read_checkpoint(other), bundle.manifest.graphs, contents(bundle), minutes=0.02)


def test_int8_passes_for_nothing_better(
    tiny_int8_bundle: Path, tiny_bundle: Path, tiny_source: Checkpoint
) -> None:
    """Judged by float32's tolerance, int8 fails: the tolerances are tight enough to tell."""
    exact = Bundle.open(tiny_bundle).manifest.graphs
    with pytest.raises(BundleError, match=r"is not the model that it was exported from"):
        check_parity(tiny_source, exact, contents(Bundle.open(tiny_int8_bundle)), minutes=0.02)


# --- the same bytes, and nothing but the graph ----------------------------------------------------


def test_another_process_writes_the_same_bytes(
    tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Whatever the hash seed, the working directory and the day."""
    code = (
        "import sys; from pathlib import Path; from edgecap.export.checkpoint import read_checkpoint;"
        "from edgecap.export.to_onnx import to_onnx; from edgecap.export.quantize import quantize;"
        "graph = read_checkpoint(Path(sys.argv[1])).graphs[2]; model = to_onnx(graph, {'batch': 1});"
        "Path('exact').write_bytes(model); Path('int8').write_bytes(quantize('x', model))"
    )
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", code, tiny_checkpoint], cwd=folder, env=environment, check=True)
        assert (folder / "exact").read_bytes() == (tiny_bundle / "decoder_prefill.onnx").read_bytes()
    assert (tmp_path / "1" / "int8").read_bytes() == (tmp_path / "2" / "int8").read_bytes()


@pytest.mark.parametrize("name", GRAPHS)
def test_a_file_says_nothing_of_where_it_was_made(
    name: str, tiny_bundle: Path, tiny_int8_bundle: Path
) -> None:
    for bundle in (tiny_bundle, tiny_int8_bundle):
        content = (bundle / f"{name}.onnx").read_bytes()
        for noise in (b"torch", b".py", b"site-packages", b"/usr", b"/home", b"onnxscript", b"stack_trace"):
            assert noise not in content
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model, full_check=bundle == tiny_bundle)
        assert (model.producer_name, model.producer_version) == ("edgecap", "")


@pytest.mark.parametrize("name", GRAPHS)
def test_int8_files_hold_int8_weights(name: str, tiny_bundle: Path, tiny_int8_bundle: Path) -> None:
    """No product is left in float32, and the file is smaller for it."""
    model = onnx.load(tiny_int8_bundle / f"{name}.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert "MatMulInteger" in kinds
    assert "ConvInteger" not in kinds
    floats = {weight.name for weight in model.graph.initializer if weight.data_type == onnx.TensorProto.FLOAT}
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]
    assert not [node.name for node in products if node.input[1] in floats]
    exact = (tiny_bundle / f"{name}.onnx").stat().st_size
    assert (tiny_int8_bundle / f"{name}.onnx").stat().st_size < 0.7 * exact


def test_scales_are_folded_into_the_weights(tiny_bundle: Path) -> None:
    """Parity says that the meaning is kept; here, that no block scales its output by itself."""
    model = onnx.load(tiny_bundle / "encoder.onnx")
    constants = {weight.name for weight in model.graph.initializer}
    scales = [node for node in model.graph.node if node.op_type == "Mul" and set(node.input) & constants]
    assert [node.name for node in scales] == []


def test_only_what_nobody_else_reads_is_folded() -> None:
    text = """
        <ir_version: 10, opset_import: ["" : 20]>
        shared (float[1, 2] x) => (float[1, 2] y, float[1, 2] z)
        <float[2, 2] w = {1, 2, 3, 4}, float[2] b = {1, 2}, float[2] g = {2, 3}, float[2] h = {5, 7}>
        {
            p = MatMul(x, w)
            q = Add(p, b)
            y = Mul(q, g)
            z = Mul(q, h)
        }
    """
    model = onnx.parser.parse_model(text)
    assert fold_scales(model) == 0
    alone = onnx.parser.parse_model(text.replace("z = Mul(q, h)", "z = Mul(x, h)"))
    before = ReferenceEvaluator(alone).run(None, {"x": np.float32([[0.5, -1]])})
    assert fold_scales(alone) == 1
    after = ReferenceEvaluator(alone).run(None, {"x": np.float32([[0.5, -1]])})
    np.testing.assert_allclose(after, before)
    assert [node.op_type for node in alone.graph.node] == ["MatMul", "Add", "Mul"]


def test_the_manifest_is_the_checkpoints(
    tiny_bundle: Path, tiny_source: Checkpoint, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its date is the weights', or the one that reproducible builds ask for; never the clock's."""
    manifest = Bundle.open(tiny_bundle).manifest
    assert describe_bundle(tiny_source, manifest.graphs, {}, {}, tiny_source.files) == manifest
    assert manifest.training["checkpoint"] == tiny_source.sha256
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert read_checkpoint(tiny_checkpoint).created == "2023-11-14T22:13:20Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match=r"SOURCE_DATE_EPOCH is 'yesterday': it must be seconds since 1970"):
        read_checkpoint(tiny_checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "onnx-int8"])
def test_a_second_export_equals_the_first(tiny_checkpoint: Path, tmp_path: Path, target: str) -> None:
    for name in ("one", "two.zip"):
        export_bundle(tiny_checkpoint, tmp_path / name, Options(target=target, minutes=0.1))
    one, two = Bundle.open(tmp_path / "one"), Bundle.open(tmp_path / "two.zip")
    assert one.manifest == two.manifest
