"""Fixtures that several tests share: a tiny bundle, made by the real exporter from a tiny random model."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from edgecap.export.checkpoint import Checkpoint
    from edgecap.training.sound.compose import Composer

# For this process and all that tests start, whoever called pytest: one thread for numpy's products, as
# `edgecap` has it, and nothing reported to anybody.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Hypothesis fails an example that takes over 200 ms; a busy machine is no defect.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

ROOT = Path(__file__).parent.parent
MADE_FROM = (
    "export",
    "runtime/model/manifest.py",
    "runtime/audio.py",
    "training/models",
    "training/streaming.py",
)
"""What decides the bytes of the tiny bundle."""

MADE_AT = 1_750_000_000
"""The tiny checkpoint's date, which goes into its bundle's manifest."""

LABELS = """label,phrase,category
dog,a dog barks,animal
bell,a bell rings,alarm
rain,rain is falling,weather
speech,someone is speaking,people
"""
CAPTIONS = [
    "a dog barks",
    "a bell rings",
    "rain is falling",
    "someone is speaking while a dog barks, then rings",
]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose every sentence is known. Read only."""
    from tests.by_hand import write_bundle

    return write_bundle(tmp_path_factory.mktemp("bundles") / "by-hand")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of a random model: 4 sounds, some 20 words, 90 thousand parameters."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def write_tiny_checkpoint(folder: Path, seed: int = 0) -> Path:
    """What training leaves behind, without the training."""
    import torch

    from edgecap.training.models import room
    from edgecap.training.models.gpt import GptConfig
    from edgecap.training.models.see import AdapterConfig
    from edgecap.training.tokenizer import build_tokenizer

    tokenizer = build_tokenizer(CAPTIONS)
    config = room.RoomConfig(
        encoder="nano",
        mels=32,
        sounds=4,
        adapter=AdapterConfig(width=32, heads=2, hidden=64, layers=2, window=16, sentence=24),
        decoder=GptConfig(vocabulary=len(tokenizer), width=32, heads=2, hidden=64, layers=2, max_tokens=8),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = room.RoomCaptioner(config).eval()
        for parameter in model.encoder.parameters():  # else its outputs hardly hang on what it hears
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.2)
        statistics = model.encoder.bn0.state_dict()
        statistics["running_mean"].fill_(-50.0)  # decibels
        statistics["running_var"].fill_(400.0)
    room.save(model, folder)
    os.utime(folder / room.TENSORS_FILE, (MADE_AT, MADE_AT))
    tokenizer.save(folder)
    (folder / "labels.csv").write_text(LABELS, encoding="utf-8")
    about = {"name": "room-tiny", "version": "0.1", "licence": "MIT", "sources": ["made up"], "clips": 0}
    (folder / "about.json").write_bytes(msgspec.json.encode(about))
    (folder / "MODEL_CARD.md").write_text("# room-tiny\n\nRandom weights, for tests.\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of four labels, four clips each, written here."""
    from tests.made_corpus import write_corpus

    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def composer(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> "Composer":
    """What composes scenes of its training clips."""
    from edgecap.training.data.corpus import open_corpus
    from edgecap.training.data.licences import may_ship
    from edgecap.training.sound.bank import sound_labels
    from edgecap.training.sound.compose import Composer

    corpus = open_corpus(corpus_folder, tmp_path_factory.mktemp("cache"))
    clips = corpus.split("train", may_ship)
    return Composer(corpus, clips, sound_labels(corpus, clips))


@pytest.fixture(scope="session")
def tiny_source(tiny_checkpoint: Path) -> "Checkpoint":
    """The same, read for export."""
    from edgecap.export.checkpoint import read_checkpoint

    return read_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint: Path, pytestconfig: pytest.Config) -> Path:
    """A whole bundle in float32. Read only: copy it (`bundle_copy`) to spoil it.

    Exporting takes half a minute, so it is kept between runs until anything that decides it changes.
    """
    return _exported(tiny_checkpoint, pytestconfig, "onnx")


@pytest.fixture(scope="session")
def tiny_int8_bundle(tiny_checkpoint: Path, pytestconfig: pytest.Config) -> Path:
    """The same in int8."""
    return _exported(tiny_checkpoint, pytestconfig, "onnx-int8")


@pytest.fixture
def bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A tiny bundle of one's own, to be spoilt."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "room-tiny"))


def _exported(checkpoint: Path, config: pytest.Config, target: str) -> Path:
    import torch

    from edgecap.export.export import export_bundle
    from edgecap.export.options import Options

    kept = config.cache.mkdir("bundles") / f"{target}-{_fingerprint(torch.__version__)}"
    with _alone(kept):
        if not kept.exists():
            for stale in kept.parent.glob(f"{target}-*"):
                if stale.is_dir() and time.time() - stale.stat().st_mtime > 24 * 3600:
                    shutil.rmtree(stale)
            export_bundle(checkpoint, kept, Options(target=target, verify=False))
    return kept


def _fingerprint(*versions: str) -> str:
    digest = hashlib.sha256(" ".join(versions).encode())
    for part in MADE_FROM:
        path = ROOT / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two test runs at once must not write the same bundle."""
    import fcntl

    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
