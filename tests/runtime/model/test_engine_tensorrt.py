"""TensorRT engines where none can run: one clear reason, and the ONNX graphs in their place."""

import ctypes.util
import logging
import sys
from pathlib import Path

import msgspec
import pytest

from edgecap.runtime.errors import UnavailableError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.cuda import Device
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.model.engine_tensorrt import check_build, load_engines, load_library
from edgecap.runtime.model.manifest import Build

NAMES = ("encoder", "adapter", "decoder_prefill", "decoder_step")
BUILD = Build(library="tensorrt-rtx", version="1.7.1.116", capabilities=("8.6", "12.0"), source="")

no_driver = pytest.mark.skipif(
    ctypes.util.find_library("cuda") is not None, reason="an NVIDIA driver is installed here"
)


@no_driver
def test_no_driver_is_said_plainly() -> None:
    with pytest.raises(UnavailableError, match=r"there is no NVIDIA driver: .*libcuda") as refused:
        Device()
    assert refused.value.code == 69


def test_no_library_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(UnavailableError, match=r"TensorRT-RTX is not available: .*edgecap\[tensorrt\]"):
        load_library()


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (
            msgspec.structs.replace(BUILD, version="1.6.1.120"),
            r"encoder.engine was built by TensorRT-RTX 1.6.1.120: here is 1.7.1.116, .*Run edgecap export",
        ),
        (
            msgspec.structs.replace(BUILD, capabilities=("8.9",)),
            r"built for compute capability 8.9: this GPU has 8.6. Run .*--compute-capability 8.6",
        ),
        (
            msgspec.structs.replace(BUILD, library="tensorrt", capabilities=("9.0",)),
            r"built for compute capability 9.0: this GPU has 8.6. Run .*--target tensorrt-rtx or tensorrt",
        ),
    ],
)
def test_engines_of_another_machine_are_refused(build: Build, reason: str) -> None:
    with pytest.raises(UnavailableError, match=reason):
        check_build("encoder.engine", build, "1.7.1.116", "8.6")


@pytest.mark.parametrize("capabilities", [(), ("8.6",), ("12.0", "8.6")])
def test_engines_for_this_machine_or_any_are_taken(capabilities: tuple[str, ...]) -> None:
    check_build(
        "encoder.engine", msgspec.structs.replace(BUILD, capabilities=capabilities), "1.7.1.116", "8.6"
    )


@no_driver
def test_without_a_gpu_the_onnx_graphs_run_and_one_warning_says_why(
    tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = Bundle.open(tiny_bundle)
    engines = {
        name: msgspec.structs.replace(graph, backend="tensorrt-rtx", file=f"{name}.engine", build=BUILD)
        for name, graph in bundle.manifest.graphs.items()
    }
    compiled = Bundle(
        bundle.path, msgspec.structs.replace(bundle.manifest, engines=engines), bundle.labels, bundle._files
    )
    with caplog.at_level(logging.WARNING):
        loaded = load_engines(compiled, NAMES)
    assert {type(engine) for engine in loaded.values()} == {Engine}
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [
        "room-tiny 0.1 captions on the CPU"
    ]
    assert "there is no NVIDIA driver" in caplog.text
    caplog.clear()
    assert load_engines(bundle, NAMES).keys() == set(NAMES)
    assert not caplog.records  # a bundle for the CPU runs on the CPU: nothing to warn of
