"""What can't be exported is refused before any work, with the file, the tensor and the fix."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from edgecap.export.checkpoint import Checkpoint
from edgecap.export.export import export_bundle
from edgecap.export.options import Options
from edgecap.export.parity import check_parity
from edgecap.runtime.errors import BundleError, EdgecapError, InputMissingError, UsageError
from edgecap.runtime.model.bundle import Bundle


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
        UsageError, match=r"there is no target 'coreml': there are onnx, onnx-int8, tensorrt-rtx,"
    ):
        export_bundle(tiny_checkpoint, tmp_path / "out", Options(target="coreml"))


def test_recordings_that_are_not_there_are_named(
    tiny_bundle: Path, tiny_source: Checkpoint, tmp_path: Path
) -> None:
    graphs = Bundle.open(tiny_bundle).manifest.graphs
    contents = {graph.file: (tiny_bundle / graph.file).read_bytes() for graph in graphs.values()}
    with pytest.raises(InputMissingError, match=r"there are no recordings in .*: looked for .flac, .mp3"):
        check_parity(tiny_source, graphs, contents, sounds=tmp_path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            Options(target="onnx", precision="int3"),
            r"--precision int3 does not go with --target onnx: .*fp16",
        ),
        (Options(precision="fp16"), r"--precision fp16 does not go with --target onnx-int8"),
        (Options(target="onnx", precision="bf16"), r"does not go with .*: it computes in fp32 or fp16"),
        (Options(capabilities=("8.6",)), r"--compute-capability is for --target tensorrt-rtx alone"),
        (Options(target="onnx", calibrate=Path()), r"--calibrate is for int8 alone. Take --target onnx-int8"),
        (Options(static=("encoder",)), r"--static is for --target onnx-int8 with --calibrate alone"),
        (Options(target="tensorrt-rtx", precision="int8"), r"--precision int8 needs --calibrate: TensorRT"),
    ],
)
def test_options_that_contradict_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, options: Options, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        export_bundle(tiny_checkpoint, tmp_path / "out", options)
