"""The second opinion: a public tagger's net learns on, and its file says what the net does."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from edgecap.runtime.audio import CHUNK_SAMPLES, HOP, RATE
from edgecap.runtime.hearing.opinion import CHUNKS, FFT, LEAD, power
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.model.manifest import GraphFile, Tensor
from edgecap.training.models.mobilenet import MobileNet
from edgecap.training.room.opinion import OpinionNet, OpinionSettings, graph_of, train_opinion
from edgecap.training.room.opinion_windows import LEAST_CHUNKS, NOBODY, Drawn
from edgecap.training.room.teacher import Teacher
from edgecap.training.run_folder import Run
from edgecap.training.sound.compose import Composer
from tests import tiny_teacher


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher(tiny_teacher.write(tmp_path_factory.mktemp("weights") / "mn04"))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, int(seconds * RATE)).astype(np.float32)


def opened(content: bytes, sounds: int) -> Engine:
    shapes = (Tensor("power", (1, "frames", FFT // 2 + 1)),), (Tensor("scores", (1, sounds)),)
    file = GraphFile(file="opinion.onnx", sha256="", inputs=shapes[0], outputs=shapes[1], opset=17)
    return Engine("opinion", content, file)


def test_the_net_that_learns_on_begins_as_the_public_file(teacher: Teacher) -> None:
    net = MobileNet()
    net.read(teacher.tensors)
    for seconds in (0.32, 1.0, 2.5):
        samples = torch.from_numpy(noise(seconds))[None]
        with torch.no_grad():
            found = net(teacher.log_mel(samples))
        assert found.numpy() == pytest.approx(teacher.sequence(samples).numpy(), abs=1e-4)


def test_the_file_says_what_the_net_has_come_to(teacher: Teacher) -> None:
    """Front end and all: numpy's on the edge, torch's in training. Whatever it learnt, and of what length."""
    torch.manual_seed(0)
    model = OpinionNet(teacher, 5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * parameter.std(correction=0) * torch.randn_like(parameter)
        model.line.weight.normal_()
        model.scale.copy_(
            torch.stack([torch.rand(model.scale.shape[1]), torch.rand(model.scale.shape[1]) + 1])
        )
    engine = opened(graph_of(teacher, model), 5)
    for seconds in (1.0, 2.5, 5.0):
        samples = noise(seconds)
        with torch.no_grad():
            _, logits = model(teacher.log_mel(torch.from_numpy(samples)[None]))
        wanted = logits[0].sigmoid().numpy()
        assert engine.run({"power": power(samples)})["scores"][0] == pytest.approx(wanted, abs=5e-3)


def test_windows_are_as_the_edge_asks_about_them(teacher: Teacher, composer: Composer) -> None:
    settings = OpinionSettings(batch=6, warnings=0.3)
    standing, lengths = 0, set()
    for windows in islice(Drawn(teacher, composer, settings, 0), 12):
        frames = windows.log_mel.shape[2]
        chunks = -(-(frames - 1) * HOP // CHUNK_SAMPLES)
        lengths.add(chunks)
        assert LEAST_CHUNKS <= chunks <= CHUNKS + LEAD
        assert windows.vectors.shape[:2] == (6, -(-frames // 32))
        assert torch.isfinite(windows.log_mel).all()
        assert (windows.weight[windows.heard > 0] == 1).all()
        for label, heard, others in zip(windows.label.tolist(), windows.heard, windows.others, strict=True):
            if label != NOBODY:
                standing += 1
                assert heard[label] == 1
                assert not others[label]
    assert standing > 20
    assert len(lengths) > 3
    one, again, other = (next(iter(Drawn(teacher, composer, settings, begin))).log_mel for begin in (0, 0, 7))
    assert torch.equal(one, again)
    assert one.shape != other.shape or not torch.equal(one, other)


def test_it_learns_on_from_where_it_was_stopped(teacher: Teacher, composer: Composer, tmp_path: Path) -> None:
    settings = OpinionSettings(steps=6, batch=2, warmup=1, average=0.0)
    first = train_opinion(teacher, composer, Run(tmp_path, "opinion"), settings)
    assert not torch.equal(first.net.last.weight, teacher.tensors[122])
    assert first.line.weight.abs().sum() > 0
    again = train_opinion(teacher, composer, Run(tmp_path, "opinion"), settings)
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    frozen = OpinionSettings(steps=2, batch=2, warmup=1, average=0.0, learning_rate=0.0, weight_decay=0.0)
    still = train_opinion(teacher, composer, Run(tmp_path, "frozen"), frozen)
    assert torch.equal(still.net.last.weight, teacher.tensors[122])
    assert still.line.weight.abs().sum() > 0
