"""The loop of every stage: what it keeps and goes on from; and that each kind of model learns by it."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from edgecap.runtime.audio import CHUNK_SAMPLES
from edgecap.training import loop
from edgecap.training.loop import Average, Judge, Loss, Stage, cosine, fit, linear
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.models.gpt import GptConfig
from edgecap.training.models.room import RoomConfig
from edgecap.training.models.see import AdapterConfig
from edgecap.training.models.text import TextConfig
from edgecap.training.papers.see import PaperCaptioner
from edgecap.training.room.encoder import EncoderSettings, train_encoder
from edgecap.training.room.head import HeadSettings, train_head
from edgecap.training.room.see_stages import StageSettings, train_decoder, train_semantic
from edgecap.training.room.stream_features import Example
from edgecap.training.room.text_side import TextSettings, train_text
from edgecap.training.run_folder import Run
from edgecap.training.sentence import sentence_model
from edgecap.training.sound.bank import DrySound
from edgecap.training.sound.compose import Composer, Scene, Shares
from edgecap.training.tokenizer import build_tokenizer
from tests import tiny_bert
from tests.made_corpus import LABELS

torch.set_num_threads(1)


def losses(run: Run) -> list[float]:
    """Of the log's first line and last."""
    lines = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    return [lines[0]["loss"], lines[-1]["loss"]]


STEPS = 20
CAPTIONS = [f"{label.phrase}{rest}" for label in LABELS for rest in ("", " again")]


class Clips:
    """Eight clips, each with its own embeddings and caption."""

    def __init__(self, width: int, mels: int) -> None:
        rng = np.random.default_rng(0)
        self.examples = [
            Example(
                rng.normal(0, 1, (3, width)).astype(np.float16),
                rng.normal(0, 1, (24, mels)).astype(np.float16),
                caption,
            )
            for caption in CAPTIONS
        ]

    def batch(self, rng: np.random.Generator, size: int) -> list[Example]:
        return self.examples


def captioner() -> tuple[PaperCaptioner, Clips]:
    torch.manual_seed(0)
    tokenizer = build_tokenizer(CAPTIONS)
    config = RoomConfig(
        encoder="nano", mels=32, sounds=4,
        adapter=AdapterConfig(width=32, heads=2, hidden=64, layers=1, window=16, sentence=16),
        decoder=GptConfig(vocabulary=len(tokenizer), width=32, heads=2, hidden=64, layers=1, max_tokens=12),
    )  # fmt: skip
    return PaperCaptioner(config), Clips(32, 32)


FAST = StageSettings(steps=STEPS, batch=8, learning_rate=2e-2, warmup=2, weight_decay=0.0, smoothing=0.0)


class EightClips(Composer):
    """Eight scenes of eight chunks, a clip in each, in turn: the same batch of eight streams every time."""

    def __init__(self, composer: Composer) -> None:
        library = composer.library
        clips = [clip for groups in library.pools.values() for group in groups.values() for clip in group]
        super().__init__(library.corpus, [*clips, *library.quiet], composer.labels)
        scenes = []
        for clip in [*clips, *library.quiet]:
            mix = np.random.default_rng(0).normal(0, 1e-3, 8 * CHUNK_SAMPLES).astype(np.float32)
            sound = DrySound(library.corpus.audio(clip), library.indices(clip.labels))
            events = [self._place(mix, sound, CHUNK_SAMPLES, -20.0, True)] if sound.labels else []
            scenes.append(Scene(mix, events))
        assert len(scenes) == 8
        self._turn = itertools.cycle(scenes)

    def draw(self, rng: np.random.Generator, shares: Shares) -> Scene:
        return next(self._turn)


def learn_encoder(run: Run, composer: Composer, folder: Path) -> None:
    torch.manual_seed(0)
    encoder = CausalConvNeXt("nano", 32, len(composer.labels))
    settings = EncoderSettings(
        steps=STEPS, batch=8, chunks=8, learning_rate=1e-2, warmup=2, weight_decay=0.0, filter_db=0.0
    )
    train_encoder(encoder, EightClips(composer), None, run, settings)


def learn_head(run: Run, composer: Composer, folder: Path) -> None:
    torch.manual_seed(0)
    encoder = CausalConvNeXt("nano", 32, len(composer.labels)).eval()
    clips = [
        clip for groups in composer.library.pools.values() for group in groups.values() for clip in group
    ]
    train_head(
        encoder, composer, clips, run, HeadSettings(hours=0.02, takes=1, steps=STEPS, learning_rate=0.2)
    )


def learn_semantic(run: Run, composer: Composer, folder: Path) -> None:
    model, clips = captioner()
    embed = sentence_model(tiny_bert.write(folder / "bert", ["dog", "rain"]))
    train_semantic(model, clips, build_tokenizer(CAPTIONS), embed, run, FAST)


def learn_decoder(run: Run, composer: Composer, folder: Path) -> None:
    model, clips = captioner()
    train_decoder(model, clips, build_tokenizer(CAPTIONS), run, FAST)


def learn_text(run: Run, composer: Composer, folder: Path) -> None:
    teacher = tiny_bert.write(folder / "bert", ["dog", "bark", "##s", "rain", "door", "##bell", "alarm"])
    settings = TextSettings(
        steps=STEPS, batch=32, learning_rate=3e-2, warmup=2, captions=(), sentences=8, words=0,
        size=TextConfig(table=8, width=16, heads=2, hidden=32, layers=1),
    )  # fmt: skip
    train_text(LABELS, None, run, settings, sentences=teacher)


LEARNERS = [learn_encoder, learn_head, learn_semantic, learn_decoder, learn_text]


@pytest.mark.parametrize("learn", LEARNERS)
def test_each_kind_of_model_learns(
    learn: Callable[[Run, Composer, Path], None], composer: Composer, tmp_path: Path
) -> None:
    """Eight clips, twenty steps: the loss falls by half."""
    run = Run(tmp_path, "stage")
    learn(run, composer, tmp_path)
    first, last = losses(run)
    assert last < first / 2


# ---- What the loop does, on a line through points ----------------------------------------------------

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]])


def line(
    run: Run | None,
    parts: int = 1,
    stop_after: int | None = None,
    average: float = 0.9,
    judge: Callable[[nn.Linear], float] | None = None,
) -> nn.Linear:
    """A fit of 30 steps, in so many batches to a step; it breaks off once that many steps were begun."""
    torch.manual_seed(0)
    net = nn.Linear(3, 1)

    def batches(begin: int) -> Iterator[Tensor]:
        for _ in range(begin, 30 if stop_after is None else stop_after):
            yield from torch.arange(8).chunk(parts)
        raise InterruptedError

    def loss(rows: Tensor) -> Loss:
        return (net(X[rows]) - Y[rows]).square().mean(), {}

    stage = Stage(
        steps=30, optimiser=torch.optim.Adam(net.parameters(), lr=0.1), schedule=cosine(30, 3),
        average=average, accumulate=parts, clip=5.0, run=run,
        judge=Judge(score=lambda: judge(net), every=5) if judge else None,
    )  # fmt: skip
    fit(net, batches, loss, stage)
    return net


@pytest.mark.parametrize(("stop_after", "parts"), [(0, 1), (12, 2), (13, 1), (25, 2), (29, 1)])
def test_a_stage_that_was_stopped_anywhere_ends_as_one_that_was_not(
    stop_after: int, parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "KEPT", 13)
    run = Run(tmp_path, "line")
    with pytest.raises(InterruptedError):
        line(run, parts, stop_after)
    stored = run.resume()
    assert (stored["step"] if stored else 0) == stop_after // 13 * 13
    found, whole = line(run, parts), line(None, parts)
    assert torch.equal(found.weight, whole.weight)
    assert torch.equal(found.bias, whole.bias)


@pytest.mark.parametrize("stop_after", [None, 14, 22, 29])
def test_the_weights_that_were_judged_best_are_left_wherever_it_was_stopped(
    stop_after: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "KEPT", 7)
    seen: list[Tensor] = []

    def judge(net: nn.Linear) -> float:
        assert not net.training
        seen.append(net.weight.detach().clone())
        return -abs(float(net.weight.detach()[0, 1]) + 1.0)  # passed on the way to -2

    if stop_after is not None:
        with pytest.raises(InterruptedError):
            line(Run(tmp_path, "line"), stop_after=stop_after, judge=judge)
    found = line(Run(tmp_path, "line"), judge=judge)
    best = max(seen, key=lambda weight: -abs(float(weight[0, 1]) + 1.0))
    assert torch.equal(found.weight, best)
    assert not torch.equal(found.weight, seen[-1])
    unjudged = line(None)
    torch.testing.assert_close(seen[-1], unjudged.weight)  # judging changes no step


def test_without_a_semantic_encoder_the_entry_layer_learns_with_the_decoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = build_tokenizer(CAPTIONS)
    config = RoomConfig(
        encoder="nano", mels=32, sounds=4,
        adapter=AdapterConfig(width=24, heads=2, hidden=64, layers=0, window=16, sentence=16),
        decoder=GptConfig(vocabulary=len(tokenizer), width=32, heads=2, hidden=64, layers=1, max_tokens=12),
    )  # fmt: skip
    model = PaperCaptioner(config)
    before = [parameter.detach().clone() for parameter in model.adapter.entry.parameters()]
    assert before
    train_decoder(model, Clips(32, 32), tokenizer, Run(tmp_path, "decoder"), FAST)
    for was, parameter in zip(before, model.adapter.entry.parameters(), strict=True):
        assert not torch.equal(was, parameter)


def test_batches_to_a_step_are_one_batch_of_their_size() -> None:
    torch.testing.assert_close(line(None, parts=4).weight, line(None).weight, rtol=0, atol=1e-4)


def test_a_finished_stage_asks_for_no_batch(tmp_path: Path) -> None:
    first = line(Run(tmp_path, "line"))
    assert torch.equal(line(Run(tmp_path, "line"), stop_after=0).weight, first.weight)


def test_the_average_is_of_all_weights_and_without_decay_the_last() -> None:
    net, average, last = nn.Linear(1, 1), [], []
    for decay, found in ((0.99, average), (0.0, last)):
        mean = Average(net, decay)
        for step in range(200):
            with torch.no_grad():
                net.weight.fill_(step % 2)
            mean.update(net, step)
        found.append(float(mean.weights["weight"]))
    assert average[0] == pytest.approx(0.5, abs=0.05)
    assert last == [1.0]


@given(steps=st.integers(2, 500), warmup=st.integers(0, 100))
def test_schedules_rise_once_and_fall_to_nothing(steps: int, warmup: int) -> None:
    warm = min(warmup, steps - 1)
    factors = [cosine(steps, warm)(step) for step in range(steps)]
    assert max(factors) <= 1.0
    assert factors[:warm] == sorted(factors[:warm])
    assert factors[warm:] == sorted(factors[warm:], reverse=True)
    assert factors[warm] == 1.0
    straight = [linear(steps)(step) for step in range(steps)]
    assert straight[0] == 1.0
    assert straight == sorted(straight, reverse=True)
    assert straight[-1] == pytest.approx(1 / steps)
