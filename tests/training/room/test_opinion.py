"""The second opinion: a public tagger's net learns on, and its file says what the net does."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from edgecap.runtime.audio import CHUNK, CHUNK_SAMPLES, HOP, RATE
from edgecap.runtime.hearing.opinion import BEFORE, CHUNKS, FFT, LEAD, SPARSE, Opinion
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.model.manifest import GraphFile, Tensor
from edgecap.training.models.mobilenet import MobileNet
from edgecap.training.room.opinion import KEPT, OpinionNet, OpinionSettings, graph_of, risen, train_opinion
from edgecap.training.room.opinion_windows import LEAST_CHUNKS, NOBODY, SILENT, Drawn, by_chunk
from edgecap.training.room.teacher import SCALE, Teacher
from edgecap.training.run_folder import Run
from edgecap.training.sound.compose import Composer
from tests import tiny_teacher


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher(tiny_teacher.write(tmp_path_factory.mktemp("weights") / "mn04"))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, int(seconds * RATE)).astype(np.float32)


def opened(content: bytes, sounds: int) -> Engine:
    bins = FFT // 2 + 1
    heard = Tensor("power", (1, "frames", bins)), Tensor("before", (1, "past", bins))
    scores = (Tensor("scores", (1, sounds)),)
    file = GraphFile(file="opinion.onnx", sha256="", inputs=heard, outputs=scores, opset=17)
    return Engine("opinion", content, file)


def test_the_net_that_learns_on_begins_as_the_public_file(teacher: Teacher) -> None:
    for heard in (1, 2):
        net = MobileNet(heard)
        net.read(teacher.tensors)
        for seconds in (0.32, 1.0, 2.5):
            samples = torch.from_numpy(noise(seconds))[None]
            with torch.no_grad():
                found = net(torch.stack(heard * [teacher.log_mel(samples)], 1))
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
    opinion = Opinion(opened(graph_of(teacher, model), 5))
    tone = np.sin(np.arange(CHUNK_SAMPLES) * 0.2).astype(np.float32)
    for chunks, past in ((2, BEFORE), (7, 2), (CHUNKS - LEAD, BEFORE)):
        samples = noise((past + LEAD + chunks) * CHUNK_SAMPLES / RATE)
        samples[-CHUNK_SAMPLES:] += tone
        opinion.forget()
        for chunk in samples.reshape(-1, CHUNK_SAMPLES):
            opinion.hear(chunk)
        with torch.no_grad():
            log_mel = teacher.log_mel(torch.from_numpy(samples)[None])
            before, window = log_mel.split([past * CHUNK, (LEAD + chunks) * CHUNK], 2)
            parts = by_chunk(before[:, :, ::SPARSE], CHUNK // SPARSE), by_chunk(window, CHUNK)
            _, logits = model(window, torch.cat(parts, 2).amin(2))
        assert opinion.ask(chunks) == pytest.approx(logits[0].sigmoid().numpy(), abs=5e-3)


def test_what_was_there_all_along_is_told_from_what_has_come() -> None:
    rng = np.random.default_rng(0)
    there = torch.from_numpy(rng.normal(0, 1, (3, 128)).astype(np.float32))
    log_mel = there[:, :, None].repeat(1, 1, 64)
    log_mel[0, 20, 32:] += 5  # a thousandfold and more
    left = risen(log_mel, there)
    assert left[0, 20, 32:] == pytest.approx(log_mel[0, 20, 32:], abs=1e-3)
    left[0, 20, 32:] = log_mel[0, 20, 32:] + np.log(KEPT) / SCALE
    assert left.numpy() == pytest.approx(log_mel.numpy() + np.log(KEPT) / SCALE, abs=1e-5)
    nothing = torch.full_like(there, SILENT)
    assert risen(log_mel + 3, nothing).numpy() == pytest.approx(log_mel.numpy() + 3, abs=0.1)


def test_windows_are_as_the_edge_asks_about_them(teacher: Teacher, composer: Composer) -> None:
    settings = OpinionSettings(batch=6, warnings=0.3)
    standing, lengths, quieter = 0, set(), 0
    for windows in islice(Drawn(teacher, composer, settings, 0), 12):
        frames = windows.log_mel.shape[2]
        chunks = -(-(frames - 1) * HOP // CHUNK_SAMPLES)
        lengths.add(chunks)
        assert LEAST_CHUNKS <= chunks <= CHUNKS + LEAD
        assert windows.vectors.shape[:2] == (6, -(-frames // 32))
        assert torch.isfinite(windows.log_mel).all()
        assert (windows.there <= by_chunk(windows.log_mel, CHUNK).amin(2) + 1e-6).all()
        assert torch.isfinite(windows.there).all()
        quieter += int((windows.there < by_chunk(windows.log_mel, CHUNK).amin(2) - 0.1).sum())
        assert (windows.weight[windows.heard > 0] == 1).all()
        for label, heard, others in zip(windows.label.tolist(), windows.heard, windows.others, strict=True):
            if label != NOBODY:
                standing += 1
                assert heard[label] == 1
                assert not others[label]
    assert standing > 20
    assert quieter > 100  # before
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
