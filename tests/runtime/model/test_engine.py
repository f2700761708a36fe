"""The engine runs what the manifest declares, and refuses anything else with the reason and the fix."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgecap.runtime.errors import BundleError, UnavailableError
from edgecap.runtime.model.engine import PROVIDERS, Engine, installed_providers
from edgecap.runtime.model.manifest import GraphFile, Tensor
from tests.handmade import encoder_bytes, encoder_file


@pytest.fixture
def engine() -> Engine:
    return Engine("encoder", encoder_bytes(), encoder_file())


def test_state_is_passed_and_never_kept(engine: Engine) -> None:
    start = engine.initial_state()
    assert {name: value.shape for name, value in start.items()} == {"s0_b0": (1, 4, 6, 2)}
    log_mel = {"log_mel": np.zeros((1, 32, 8), np.float32)}
    first, after = engine.step(log_mel, start)
    second, _ = engine.step(log_mel, after)
    again, _ = engine.step(log_mel, start)
    assert not start["s0_b0"].any()
    np.testing.assert_array_equal(first["embedding"], again["embedding"])
    assert (first["embedding"] != second["embedding"]).any()


def test_a_file_and_its_bytes_are_the_same_graph(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(encoder_bytes())
    inputs = {"log_mel": np.full((1, 32, 8), -30, np.float32)}
    from_file, _ = Engine("encoder", path, encoder_file()).step(inputs, engine.initial_state())
    from_bytes, _ = engine.step(inputs, engine.initial_state())
    np.testing.assert_array_equal(from_file["scores"], from_bytes["scores"])


def changed(**fields: tuple[Tensor, ...]) -> GraphFile:
    return msgspec.structs.replace(encoder_file(), **fields)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (changed(inputs=(Tensor("mel", ("batch", 32, 8)),)), "mel is missing"),
        (
            changed(inputs=(Tensor("log_mel", ("batch", 32, 64)),)),
            r"log_mel is float32 \['batch', 32, 8\], not",
        ),
        (changed(inputs=(Tensor("log_mel", (1, 32, 8)),)), "log_mel is float32"),
        (changed(inputs=(Tensor("log_mel", ("batch", 32)),)), "log_mel is float32"),
        (changed(inputs=(Tensor("log_mel", ("batch", 32, 8), "int64"),)), "not int64"),
        (changed(outputs=(Tensor("scores", ("batch", 3)),)), "hold embedding, which nothing declares"),
        (changed(state=()), "hold s0_b0, which nothing declares"),
    ],
)
def test_a_graph_that_is_not_the_declared_one_is_refused(declared: GraphFile, reason: str) -> None:
    with pytest.raises(BundleError, match=reason) as refused:
        Engine("encoder", encoder_bytes(), declared)
    assert refused.value.what == "encoder.onnx is not the graph that the manifest declares"
    assert refused.value.fix


@pytest.mark.parametrize("content", [b"", b"not onnx at all", encoder_bytes()[:200]])
def test_a_damaged_graph_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"encoder.onnx does not load"):
        Engine("encoder", content, encoder_file())


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name not in installed_providers()])
def test_a_provider_that_is_not_installed_is_refused_with_its_package(provider: str) -> None:
    with pytest.raises(
        UnavailableError, match=rf"no provider {provider} here: installed is cpu.*pip install onnxruntime-"
    ) as refused:
        Engine("encoder", encoder_bytes(), encoder_file(), provider)
    assert refused.value.code == 69


@pytest.mark.parametrize("provider", installed_providers())
def test_every_installed_provider_computes_the_same_or_says_why_not(engine: Engine, provider: str) -> None:
    log_mel = {"log_mel": np.full((1, 32, 8), -25, np.float32)}
    expected, after = engine.step(log_mel, engine.initial_state())
    try:
        other = Engine("encoder", encoder_bytes(), encoder_file(), provider)
    except UnavailableError:  # installed, but its hardware is not here
        assert provider != "cpu"
        return
    found, state = other.step(log_mel, other.initial_state())
    np.testing.assert_allclose(found["embedding"], expected["embedding"], atol=1e-3)
    np.testing.assert_allclose(state["s0_b0"], after["s0_b0"], atol=1e-3)
