"""The second opinion: a line is fitted through a teacher's own net, and its file says what the line does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgecap.runtime.audio import RATE
from edgecap.runtime.hearing.opinion import FFT, power
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.model.manifest import GraphFile, Tensor
from edgecap.training.room.opinion import LARGE, RECENT, OpinionSettings, graph_of, train_opinion
from edgecap.training.room.teacher import WIDTH, Teacher
from edgecap.training.run_folder import Run
from edgecap.training.sound.compose import Composer
from tests import tiny_teacher


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher(tiny_teacher.write(tmp_path_factory.mktemp("weights") / "mn04"))


def opened(content: bytes, sounds: int) -> Engine:
    shapes = (Tensor("power", (1, "frames", FFT // 2 + 1)),), (Tensor("scores", (1, sounds)),)
    file = GraphFile(file="opinion.onnx", sha256="", inputs=shapes[0], outputs=shapes[1], opset=17)
    return Engine("opinion", content, file)


def test_the_file_says_what_the_line_makes_of_the_teachers_vectors(teacher: Teacher) -> None:
    """Front end and all: numpy's on the edge, torch's in training."""
    torch.manual_seed(0)
    line = nn.Linear(WIDTH, 5)
    assert line.weight.numel() >= LARGE  # in half precision then
    engine = opened(graph_of(teacher, line), 5)
    rng = np.random.default_rng(0)
    for seconds in (1.0, 2.5, 5.0):
        samples = rng.normal(0, 0.05, int(seconds * RATE)).astype(np.float32)
        with torch.no_grad():
            sequence = teacher.sequence(torch.from_numpy(samples)[None])[0]
            both = torch.stack([line(sequence.mean(0)), line(sequence[-RECENT:].mean(0))])
        wanted = both.max(0).values.sigmoid().numpy()
        assert engine.run({"power": power(samples)})["scores"][0] == pytest.approx(wanted, abs=3e-3)


def test_a_line_is_fitted_once_and_tells_the_clips_that_it_was_fitted_to(
    teacher: Teacher, composer: Composer, tmp_path: Path
) -> None:
    library = composer.library
    clips = [clip for groups in library.pools.values() for group in groups.values() for clip in group]
    settings = OpinionSettings(takes=2, scenes=6, rooms=2, steps=60, decay=1e-4)
    line = train_opinion(teacher, composer, clips, Run(tmp_path, "opinion"), settings)
    with torch.no_grad():
        named = [
            int(
                line(teacher.sequence(torch.from_numpy(library.corpus.audio(clip))[None])[0].mean(0)).argmax()
            )
            for clip in clips
        ]
    right = [number in library.indices(clip.labels) for number, clip in zip(named, clips, strict=True)]
    assert np.mean(right) > 0.5
    again = train_opinion(teacher, composer, [], Run(tmp_path, "opinion"), settings)
    assert torch.equal(again.weight, line.weight)
