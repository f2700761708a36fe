"""Exported files are the model they came from, the same bytes every time, written whole or not at all."""

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch
import typer
from google.protobuf import text_format
from onnx.reference import ReferenceEvaluator
from safetensors.torch import load_file, save_file

from edgecap.commands import model as commands
from edgecap.export.checkpoint import Checkpoint, read_checkpoint
from edgecap.export.export import (
    PRECISIONS,
    TARGETS,
    Options,
    describe,
    describe_bundle,
    export_bundle,
    write_engine,
)
from edgecap.export.fold import fold_scales
from edgecap.export.pack import pack
from edgecap.export.parity import Pair, check_parity
from edgecap.export.to_onnx import to_onnx
from edgecap.export.to_triton import triton_config
from edgecap.runtime.bundle import Bundle, Tensor
from edgecap.runtime.errors import BundleError, EdgecapError, InputMissingError, UnavailableError, UsageError

ROOT = Path(__file__).parent.parent
GRAPHS = ("encoder", "adapter", "decoder_prefill", "decoder_step")
SOME_HOPS = 0.16
"""Minutes: 30 hops, more than the window of 16."""


@pytest.fixture(scope="module")
def source(tiny_checkpoint: Path) -> Checkpoint:
    return read_checkpoint(tiny_checkpoint)


def contents(bundle: Bundle) -> dict[str, bytes]:
    return {graph.file: bundle.read(graph.file) for graph in bundle.manifest.graphs.values()}


# --- the files are the model ----------------------------------------------------------------------


def test_the_files_stream_as_torch_does(tiny_bundle: Path, source: Checkpoint) -> None:
    """Over carried state: what torch and ONNX Runtime sum differs in order alone."""
    bundle = Bundle.open(tiny_bundle)
    figures = check_parity(source, bundle.manifest.graphs, contents(bundle), minutes=SOME_HOPS)
    assert figures["stream"]["hops"] == 30
    assert figures["sentences"] == {"count": 2, "agreement": 1}
    tensors = {name: values for name, values in figures.items() if "cosine" in values}
    assert {name.split(".")[0] for name in tensors} == set(GRAPHS)
    assert {"encoder.s0_b0", "encoder.embedding", "decoder_step.keys"} <= tensors.keys()
    for name, values in tensors.items():
        assert values["max_error"] <= 1e-4, name


def test_the_int8_files_stream_close_to_torch(tiny_int8_bundle: Path, source: Checkpoint) -> None:
    bundle = Bundle.open(tiny_int8_bundle)
    figures = check_parity(source, bundle.manifest.graphs, contents(bundle), minutes=SOME_HOPS)
    for tensor in ("encoder.embedding", "encoder.scores", "adapter.memory", "decoder_step.log_probs"):
        assert figures[tensor]["cosine"] > 0.999
    assert figures["encoder.embedding"]["least_cosine"] > 0.99
    assert {graph.precision for graph in bundle.manifest.graphs.values()} == {"int8"}


def test_every_length_and_number_of_beams_runs(tiny_bundle: Path, source: Checkpoint) -> None:
    """A dimension that varies must vary in the file too, down to 1."""
    bundle = Bundle.open(tiny_bundle)
    for export in source.graphs[1:]:
        graph = bundle.manifest.graphs[export.graph.name]
        pair = Pair(export, graph, bundle.read(graph.file))
        for n, beam in ((1, 1), (2, 16), (source.window, 3)):
            arguments = export.example({"batch": 1, "n": n, "beam": beam}, seed=n)
            values = dict(
                zip((p.name for p in export.ports_in()), (a.numpy() for a in arguments), strict=True)
            )
            pair.begin(beam=beam)
            pair.step({port.name: values[port.name] for port in graph.inputs})
        for name, difference in pair.differences.items():
            assert difference.largest < 1e-4, name


def test_open_batch_keeps_rooms_apart(source: Checkpoint) -> None:
    """One call for many rooms: each row is what it would be alone."""
    export = source.graphs[0]
    content = to_onnx(export, {})
    graph = describe(export, Options(target="onnx"), {}, content)
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
    tiny_bundle: Path, tiny_checkpoint: Path, source: Checkpoint, tmp_path: Path
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
    tiny_int8_bundle: Path, tiny_bundle: Path, source: Checkpoint
) -> None:
    """Judged by float32's tolerance, int8 fails: the tolerances are tight enough to tell."""
    exact = Bundle.open(tiny_bundle).manifest.graphs
    with pytest.raises(BundleError, match=r"is not the model that it was exported from"):
        check_parity(source, exact, contents(Bundle.open(tiny_int8_bundle)), minutes=0.02)


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
    tiny_bundle: Path, source: Checkpoint, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its date is the weights', or the one that reproducible builds ask for; never the clock's."""
    manifest = Bundle.open(tiny_bundle).manifest
    assert describe_bundle(source, manifest.graphs, {}, {}, source.files) == manifest
    assert manifest.training["checkpoint"] == source.sha256
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


# --- whole or not at all --------------------------------------------------------------------------


@pytest.fixture
def written(tiny_bundle: Path) -> dict[str, bytes]:
    """The files of a bundle, another version of it."""
    files = {file.name: file.read_bytes() for file in sorted(tiny_bundle.iterdir())}
    manifest = json.loads(files["manifest.json"]) | {"version": "0.2"}
    return files | {"manifest.json": json.dumps(manifest).encode()}


@pytest.fixture(params=["room-tiny", "room-tiny.zip"])
def old(request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of version 0.1 that an export is about to replace."""
    target = tmp_path / "out" / str(request.param)
    target.parent.mkdir()
    pack({file.name: file.read_bytes() for file in tiny_bundle.iterdir()}, target)
    return target


def test_a_bundle_replaces_the_one_before(old: Path, written: dict[str, bytes]) -> None:
    assert Bundle.open(old).manifest.version == "0.1"
    pack(written, old)
    assert Bundle.open(old).manifest.version == "0.2"
    assert list(old.parent.iterdir()) == [old]


class Interrupted(BaseException):
    """As Ctrl-C: no `except Exception` sees it."""


def each_call_fails(monkeypatch: pytest.MonkeyPatch, fails: Callable[[], object]) -> Iterator[int]:
    """Counts the system calls that write or rename; in turn n the n-th of them `fails`."""
    real = {name: getattr(os, name) for name in ("fsync", "mkdir", "rename", "replace")}
    for turn in range(100):
        seen = 0

        def call(name: str, *arguments: object, turn: int = turn, **options: object) -> object:
            nonlocal seen
            seen += 1
            if seen > turn:
                fails()
            return real[name](*arguments, **options)

        for name in real:
            monkeypatch.setattr(os, name, lambda *a, name=name, **o: call(name, *a, **o))
        yield turn
        monkeypatch.undo()
        if seen <= turn:
            return


def test_an_interrupted_export_leaves_the_bundle_as_it_was(
    old: Path, written: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise Interrupted

    versions = []
    for _ in each_call_fails(monkeypatch, fails):
        try:
            pack(written, old)
        except Interrupted:
            pass
        finally:
            versions.append(Bundle.open(old).manifest.version)
            assert [path for path in old.parent.iterdir() if path != old] == []
    assert versions[:2] == ["0.1"] * 2
    assert versions == sorted(versions)  # once it is the new one it stays so
    assert versions[-1] == "0.2"


def test_a_killed_export_leaves_the_bundle_and_the_next_one_cleans_up(
    old: Path, written: dict[str, bytes]
) -> None:
    code = (
        "import os, sys, pickle; from pathlib import Path; from edgecap.export.pack import pack\n"
        "left = [int(sys.argv[2])]; real = os.fsync\n"
        "def fsync(file):\n"
        "    real(file); left[0] -= 1\n"
        "    if left[0] < 0: os._exit(9)\n"
        "os.fsync = fsync; pack(pickle.load(sys.stdin.buffer), Path(sys.argv[1]))"
    )
    for calls in (0, 3) if old.is_dir() else (0,):
        done = subprocess.run(
            [sys.executable, "-c", code, str(old), str(calls)],
            input=pickle.dumps(written),
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 9
        assert Bundle.open(old).manifest.version == "0.1"
    pack(written, old)
    assert list(old.parent.iterdir()) == [old]


def test_what_would_not_open_is_not_put_in_place(old: Path, written: dict[str, bytes]) -> None:
    with pytest.raises(BundleError, match=r"labels.csv does not match"):
        pack(written | {"labels.csv": b""}, old)
    assert Bundle.open(old).manifest.version == "0.1"
    assert list(old.parent.iterdir()) == [old]


def test_nothing_but_a_bundle_is_replaced(tiny_checkpoint: Path, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("It was a dark and stormy night.")
    with pytest.raises(
        UsageError, match=r"thesis is there and is not a bundle: it would be replaced. Choose"
    ):
        export_bundle(tiny_checkpoint, precious)
    with pytest.raises(InputMissingError, match=r"there is no folder .*nowhere"):
        export_bundle(tiny_checkpoint, tmp_path / "nowhere" / "room")
    assert (precious / "chapter1.tex").exists()


# --- what is refused before any work --------------------------------------------------------------


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


REFUSED: dict[str, tuple[Callable[[Path], object], type[EdgecapError], str]] = {
    "no folder": (lambda c: shutil.rmtree(c), InputMissingError, r"there is no checkpoint .*edgecap train"),
    "no configuration": (
        lambda c: (c / "config.json").unlink(),
        InputMissingError,
        r"is not a checkpoint: it has no config.json",
    ),
    "no labels": (lambda c: (c / "labels.csv").unlink(), InputMissingError, r"has no labels.csv"),
    "no words": (lambda c: (c / "tokenizer.json").unlink(), InputMissingError, r"has no tokenizer.json"),
    "no origin": (lambda c: (c / "about.json").unlink(), InputMissingError, r"has no about.json"),
    "no licence": (
        lambda c: (c / "about.json").write_text('{"name": "room", "version": "1"}'),
        BundleError,
        r"about.json does not describe a model: .*`licence`",
    ),
    "labels of another model": (
        lambda c: (c / "labels.csv").write_text("label,phrase,category\ndog,a dog barks,animal\n"),
        BundleError,
        r"labels.csv does not fit the model: it has 1 entries, config.json says 4",
    ),
    "missing tensor": (
        lambda c: change_weights(c, lambda w: w.pop("encoder.head.bias")),
        BundleError,
        r"does not fit the model: encoder.head.bias is missing",
    ),
    "extra tensor": (
        lambda c: change_weights(c, lambda w: w.update(surplus=torch.zeros(1))),
        BundleError,
        r"surplus is not part of this model",
    ),
    "misshapen tensor": (
        lambda c: change_weights(c, lambda w: w.update({"encoder.head.bias": torch.zeros(5)})),
        BundleError,
        r"encoder.head.bias is 5, expected 4",
    ),
    "truncated weights": (
        lambda c: (c / "model.safetensors").write_bytes((c / "model.safetensors").read_bytes()[:-9]),
        BundleError,
        r"model.safetensors can't be read as a checkpoint",
    ),
}


@pytest.mark.parametrize(("spoil", "kind", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_checkpoint_that_is_not_whole_is_refused(
    tiny_checkpoint: Path,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    kind: type[EdgecapError],
    reason: str,
) -> None:
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    spoil(checkpoint)
    with pytest.raises(kind, match=reason):
        export_bundle(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_target_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"there is no target 'coreml': there are onnx, onnx-int8, tensorrt-rtx, triton"
    ):
        export_bundle(tiny_checkpoint, tmp_path / "out", Options(target="coreml"))


def test_recordings_that_are_not_there_are_named(
    tiny_bundle: Path, source: Checkpoint, tmp_path: Path
) -> None:
    bundle = Bundle.open(tiny_bundle)
    with pytest.raises(InputMissingError, match=r"there are no recordings in .*: looked for .flac, .mp3"):
        check_parity(source, bundle.manifest.graphs, contents(bundle), sounds=tmp_path)


# --- TensorRT-RTX, built without a GPU ------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_an_engine_is_built_for_two_capabilities(name: str, tiny_bundle: Path, source: Checkpoint) -> None:
    """No GPU is needed to build; whether it runs is for a machine that has one."""
    pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    bundle = Bundle.open(tiny_bundle)
    export = next(export for export in source.graphs if export.graph.name == name)
    options = Options(target="tensorrt-rtx", capabilities=("8.6", "12.0"))
    graph = bundle.manifest.graphs[name]
    engine, plan = write_engine(export, graph, bundle.read(f"{name}.onnx"), options)
    assert plan[:4] == b"vtrt"
    assert int.from_bytes(plan[16:24], "little") <= len(plan)
    assert (engine.inputs, engine.outputs, engine.state) == (graph.inputs, graph.outputs, graph.state)
    assert engine.build is not None
    assert engine.build.source == graph.sha256
    assert engine.build.capabilities == ("8.6", "12.0")
    expected = {"encoder": {}, "decoder_step": {"beam": (1, 3, 16), "n": (1, 12, 16)}}
    assert engine.build.profiles == expected.get(name, {"n": (1, 12, 16)})


@pytest.mark.parametrize("name", GRAPHS)
def test_the_networks_that_tensorrt_reads_are_the_declared_ones(name: str, tiny_bundle: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    graph = Bundle.open(tiny_bundle).manifest.graphs[name]
    log = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(log).create_network(0)
    assert trt.OnnxParser(network, log).parse((tiny_bundle / f"{name}.onnx").read_bytes())

    def shapes(count: int, tensor: Callable[[int], object]) -> dict[str, list[int]]:
        return {tensor(i).name: list(tensor(i).shape) for i in range(count)}  # type: ignore[attr-defined]  # no types

    def declared(ports: tuple[Tensor, ...], prefix: str = "") -> dict[str, list[int]]:
        return {prefix + p.name: [d if isinstance(d, int) else -1 for d in p.shape] for p in ports}

    assert shapes(network.num_inputs, network.get_input) == declared(graph.inputs) | declared(graph.state)
    outputs = declared(graph.outputs) | declared(graph.state, "new_")
    assert shapes(network.num_outputs, network.get_output) == outputs
    assert network.num_layers > 5


def test_a_bundle_with_engines_opens_and_round_trips(
    tiny_bundle: Path, source: Checkpoint, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    bundle = Bundle.open(tiny_bundle)
    graphs = bundle.manifest.graphs
    options = Options(target="tensorrt-rtx", batch=64)
    engine, plan = write_engine(
        source.graphs[2], graphs["decoder_prefill"], bundle.read("decoder_prefill.onnx"), options
    )
    manifest = describe_bundle(source, graphs, {"decoder_prefill": engine}, {}, source.files)
    files = {file.name: file.read_bytes() for file in tiny_bundle.iterdir()}
    pack(files | {"manifest.json": msgspec.json.encode(manifest), engine.file: plan}, tmp_path / "rtx")
    assert Bundle.open(tmp_path / "rtx").manifest == manifest
    spoilt = tmp_path / "rtx" / engine.file
    spoilt.write_bytes(spoilt.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"decoder_prefill.engine does not match the manifest's sha256"):
        Bundle.open(tmp_path / "rtx")


def test_gpus_that_the_library_does_not_know_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    for capabilities, reason in {
        ("9.0",): r"no --compute-capability '9.0' in TensorRT-RTX: there are 7.5, 8.0, 8.6",
        ("8.6", "7.5"): r"--compute-capability 7.5 has no fp32 engines. Add --precision fp16",
    }.items():
        with pytest.raises(UsageError, match=reason):
            export_bundle(
                tiny_checkpoint, tmp_path / "out", Options(target="tensorrt-rtx", capabilities=capabilities)
            )


def test_without_the_library_the_target_is_unavailable(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(UnavailableError, match=r"TensorRT-RTX is not available: .*pip install") as refused:
        export_bundle(tiny_checkpoint, tmp_path / "out", Options(target="tensorrt-rtx"))
    assert refused.value.code == 69


def test_fp16_computes_in_half_behind_float32(source: Checkpoint) -> None:
    export = source.graphs[1]
    options = Options(target="onnx", precision="fp16")
    content = to_onnx(export, {"batch": 1}, "fp16")
    graph = describe(export, options, {"batch": 1}, content)
    pair = Pair(export, graph, content)
    pair.step({"embeddings": export.example({"batch": 1})[0].numpy()})
    for difference in pair.differences.values():
        assert 1e-6 < difference.largest < 0.02
        assert difference.figures()["cosine"] > 0.9999


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (Options(target="onnx", precision="int3"), r"no --precision 'int3': there are fp32, fp16"),
        (Options(precision="fp16"), r"--precision fp16 does not go with --target onnx-int8"),
        (Options(capabilities=("8.6",)), r"--compute-capability is for --target tensorrt-rtx alone"),
    ],
)
def test_options_that_contradict_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, options: Options, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        export_bundle(tiny_checkpoint, tmp_path / "out", options)


# --- Triton ---------------------------------------------------------------------------------------


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


def test_triton_keeps_the_encoders_state_by_sequence(source: Checkpoint, model_config: Any) -> None:
    graph = source.graphs[0].graph
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


def test_triton_serves_the_other_graphs_as_they_are(source: Checkpoint, model_config: Any) -> None:
    configs = {
        export.graph.name: text_format.Parse(triton_config(export.graph, 8), model_config.ModelConfig())
        for export in source.graphs[1:]
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


# --- what is in it --------------------------------------------------------------------------------


def test_inspect_shows_graphs_state_and_origin(
    tiny_int8_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.inspect(str(tiny_int8_bundle))
    shown = capsys.readouterr().out
    sha256 = Bundle.open(tiny_int8_bundle).manifest.graphs["encoder"].sha256
    for fact in (
        "room-tiny 0.1",
        "MIT",
        "int8",
        "log_mel 1×32×32",
        "s0_b0 … s3_b0",
        "5 tensors",
        sha256[:16],
    ):
        assert fact in shown
    assert "It was not compared with the model" in shown


def test_inspect_json_is_the_manifest_and_sizes(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.inspect(str(tiny_bundle), json=True)
    shown = json.loads(capsys.readouterr().out)
    manifest = json.loads((tiny_bundle / "manifest.json").read_bytes())
    assert {key: shown[key] for key in manifest} == manifest
    assert shown["bytes"]["encoder.onnx"] == (tiny_bundle / "encoder.onnx").stat().st_size


def test_every_flag_and_target_is_documented() -> None:
    page = (ROOT / "docs" / "bundle.md").read_text(encoding="utf-8")
    app = typer.Typer()
    app.command()(commands.export)
    flags = [
        flag for option in typer.main.get_command(app).params for flag in option.opts if flag.startswith("--")
    ]
    assert "--compute-capability" in flags
    expected = {*flags, *TARGETS, *PRECISIONS} - {"--output", "--install-completion", "--show-completion"}
    assert [name for name in sorted(expected) if f"`{name}" not in page] == []
