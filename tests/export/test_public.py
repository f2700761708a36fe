"""The public ConvNeXt-Tiny's layout, with random weights, becomes a tagger's bundle that a session runs."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgecap.export.checkpoint import read_checkpoint
from edgecap.export.export import describe, export_bundle
from edgecap.export.options import Options
from edgecap.export.parity import check_parity
from edgecap.export.quantize import quantize
from edgecap.runtime.audio import CHUNK
from edgecap.runtime.errors import BundleError, UsageError
from edgecap.runtime.events import captions
from edgecap.runtime.hearing.encoder import Encoder
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.options import Captions
from edgecap.runtime.saying.wording import told
from edgecap.runtime.session import Model, Session
from edgecap.training.models import tagger
from edgecap.training.models.convnext import WindowedConvNeXt, load_public
from tests.handmade import bell, rain, silence

HAS_RTX = importlib.util.find_spec("tensorrt_rtx") is not None
SPOKEN = {"Speech.", "Male speech, man speaking.", "Female speech, woman speaking."}
"""What the first sounds of AudioSet's list are called."""


def write_public(size: str, sounds: int, path: Path) -> Path:
    """Random weights under the checkpoint's names, loud enough that outputs hang on what is heard."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WindowedConvNeXt(size, sounds)
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and not name.startswith("head"):
                torch.nn.init.normal_(parameter, std=2 / parameter[0].numel() ** 0.5)
    statistics = model.bn0.state_dict()
    statistics["running_mean"].fill_(-50.0)  # decibels
    statistics["running_var"].fill_(400.0)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module", params=["nano", pytest.param("tiny", marks=pytest.mark.slow)])
def public(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sounds = 3 if request.param == "nano" else 527
    return write_public(request.param, sounds, tmp_path_factory.mktemp("public") / "convnext.safetensors")


@pytest.fixture(scope="module")
def bundle(public: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Verified as it is written; with engines where their library is installed."""
    folder = tmp_path_factory.mktemp("bundle") / "tagger"
    gpus = {"target": "tensorrt-rtx", "capabilities": ("8.6", "12.0")} if HAS_RTX else {"target": "onnx"}
    export_bundle(public, folder, Options(minutes=0.3, **gpus))
    return Bundle.open(folder)


@pytest.mark.timeout(1200)
def test_it_becomes_a_taggers_bundle(bundle: Bundle, public: Path) -> None:
    manifest = bundle.manifest
    assert bundle.title == "convnext-tiny-audioset 1.0"
    assert (manifest.licence, manifest.audio.mels) == ("MIT", 224)
    assert manifest.graphs.keys() == {"encoder"}
    assert manifest.files.keys() == {"labels.csv"}
    assert bundle.labels[0].label == "Speech"
    encoder = manifest.graphs["encoder"]
    assert encoder.state[0].shape == (1, 872, 224)
    assert manifest.parity["encoder.scores"]["max_error"] < 1e-4
    assert manifest.parity["encoder.frames"]["cosine"] > 0.99999
    if HAS_RTX:
        build = manifest.engines["encoder"].build
        assert build is not None
        assert build.capabilities == ("8.6", "12.0")
        assert build.source == encoder.sha256


def test_int8_is_the_same_tagger(bundle: Bundle, public: Path) -> None:
    source = read_checkpoint(public)
    content = quantize("encoder", bundle.read("encoder.onnx"))
    graph = describe(source.graphs[0], {"batch": 1}, "int8", content)
    figures = check_parity(source, {"encoder": graph}, {"encoder.onnx": content}, minutes=0.2)
    assert figures["encoder.scores"]["cosine"] > 0.99


def test_a_session_names_sounds_by_their_phrases(bundle: Bundle) -> None:
    model = Model.load(bundle)
    assert model.decoder is None
    session = Session(model, Captions(confidence=0.0, hedge=0.0))
    sound = np.concatenate([silence(1), bell(3), silence(3), rain(4)])
    events = captions(session.push(sound) + session.finish())
    said = {sound for event in events if event.kind == "new" for sound in told(event.text)}
    assert said
    if len(bundle.labels) == 3:
        assert said <= SPOKEN


def test_the_window_slides_by_four_chunks(bundle: Bundle, public: Path) -> None:
    """Twelve seconds chunk by chunk: the answers are the public net's on its last ten, and silence before."""
    encoder, net = Encoder(Model.load(bundle).encoder), load_public(public)
    assert encoder.chunks == 4
    frames = np.random.default_rng(0).uniform(-90, 0, (12 * 4 * CHUNK, 224)).astype(np.float32)
    padded = np.concatenate([np.full((1000, 224), -100, np.float32), frames])
    state, answers = encoder.initial_state(), []
    for start in range(0, len(frames), CHUNK):
        embedding, state = encoder.step(frames[start : start + CHUNK], state)
        answers.append(embedding)
    assert not answers[2].scores.any()  # nothing was said yet
    for run in (0, 5, 11):
        end = 1000 + (run + 1) * 4 * CHUNK
        with torch.inference_mode():
            recent = net.columns(torch.from_numpy(padded[None, end - 1000 : end]))[:, -tagger.RECENT :]
            scores = torch.sigmoid(net.head_audioset(net.clip_vector(recent)))[0].numpy()
        for standing in range(3, 7):
            if run * 4 + standing < len(answers):
                np.testing.assert_allclose(answers[run * 4 + standing].scores, scores, atol=1e-4)
        np.testing.assert_allclose(
            answers[run * 4 + 3].vector, recent.mean(1)[0].numpy(), rtol=1e-3, atol=1e-3
        )


def test_the_labels_are_audiosets() -> None:
    rows = tagger.LABELS.read_text(encoding="utf-8").splitlines()
    assert len(rows) == 528
    assert rows[0] == "label,phrase,category"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w.pop("bn0.bias"), r"does not fit the model: bn0.bias is missing"),
        (lambda w: w.update(surplus=torch.zeros(1)), r"surplus is not part of this model"),
        (lambda w: w.update({"norm.bias": torch.zeros(7)}), r"norm.bias is 7, expected 32"),
        (lambda w: w["logmel_extractor.melW"].mul_(2), r"was trained on another front end: its logmel_extr"),
    ],
)
def test_what_is_not_the_public_net_is_refused(change, reason: str, tmp_path: Path) -> None:
    path = write_public("nano", 3, tmp_path / "net.safetensors")
    weights = load_file(path)
    change(weights)
    torch.save({"model": weights}, tmp_path / "net.pth")
    with pytest.raises(BundleError, match=reason):
        export_bundle(tmp_path / "net.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"model": Hostile()}, tmp_path / "net.pth")
    with pytest.raises(BundleError, match=r"net.pth can't be read as a checkpoint"):
        read_checkpoint(tmp_path / "net.pth")
    assert not (tmp_path / "ran").exists()


def test_it_has_no_window_beside_its_own(tmp_path: Path) -> None:
    path = write_public("nano", 3, tmp_path / "net.safetensors")
    with pytest.raises(UsageError, match=r"--windowed is for checkpoints of ours: .*hears whole windows"):
        export_bundle(path, tmp_path / "out", Options(windowed=True))
