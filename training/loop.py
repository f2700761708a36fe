"""The loop that every stage of training goes through: a batch, its loss, a step; kept, shown, resumed.

A stage says what differs: its module, its batches, its loss, and a `Stage` of settings. Everything else is
here: the optimiser's steps and rate, the clipping of gradients and their mean over torchrun's processes, the
average of weights that is kept in the end, log, curves, progress and checkpoints.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .distributed import Team, alone
from .run_folder import Run

LOGGED = 25
"""Steps between two lines of the log, which has the first and the last too."""
KEPT = 250
"""Steps between two checkpoints."""

Progress = Callable[[float, str], None]
Loss = tuple[Tensor, Mapping[str, Tensor]]
"""What is to become less, and figures that the log shows beside it."""
B = TypeVar("B")


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What tells which step's weights are left in the end: those of the greatest score."""

    score: Callable[[], float]
    """Of the module as it stands, in eval mode: on validation, never on what is tested."""
    every: int
    """Steps between two scores; the last step has one too."""
    patience: float = math.inf
    """So many scores in a row without a better one end the training."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """How a module is trained, besides batches and loss."""

    steps: int
    optimiser: Optimizer
    """Its groups' `lr` are the highest of the training."""
    schedule: Callable[[int], float]
    """The learning rate's factor at a step."""
    average: float = 0.0
    """Decay of the average of weights that is left in the end; 0: the last step's weights are."""
    clip: float = math.inf
    """The gradient's greatest norm."""
    accumulate: int = 1
    """Batches to a step."""
    sound_s: float = 0.0
    """Seconds of sound in a batch, where speed is to be told."""
    judge: Judge | None = None
    """None: the last weights are left."""
    run: Run | None = None
    """Where checkpoints and log go; None: nowhere."""
    after: Callable[[], None] = lambda: None
    """What else is done to the weights after each step."""
    workers: Team = field(default_factory=alone)
    progress: Progress = lambda done, what: None


def fit(
    module: nn.Module, batches: Callable[[int], Iterable[B]], loss: Callable[[B], Loss], stage: Stage
) -> None:
    """Train the module in place, from the stage's last checkpoint where there is one; leaves it in eval mode.

    module: on its device, in training mode, what is frozen in it without gradients.
    batches: given the step to begin with, the batches from there on. It is called once, before the weights
    are averaged, so it may set statistics of a new module; and not at all where nothing is left to do. It
    seeds whatever it draws: a resumed stage draws new batches, for repeating the first ones would teach them
    twice.
    """
    run, workers = stage.run, stage.workers
    stored = run.resume() if run else None
    begin = int(stored["step"]) if stored else 0
    found = batches(begin) if begin < stage.steps else ()
    rates = [float(group["lr"]) for group in stage.optimiser.param_groups]
    if stored:
        module.load_state_dict(stored["model"])
        stage.optimiser.load_state_dict(stored["optimiser"])
    workers.share(*module.state_dict().values())
    average = Average(module, stage.average)
    best = _Best()
    if stored:
        average.restore(stored["average"])
        best.restore(stored.get("best"))
    report = _Report(stage, begin)
    feed = iter(found)
    for step in range(begin, stage.steps):
        factor = stage.schedule(step)
        for group, rate in zip(stage.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        value, figures = _gradients(module, feed, loss, stage)
        nn.utils.clip_grad_norm_(module.parameters(), stage.clip)
        stage.optimiser.step()
        stage.after()
        average.update(module, step)
        is_last = step + 1 == stage.steps
        is_judged = stage.judge is not None and ((step + 1) % stage.judge.every == 0 or is_last)
        if stage.judge and is_judged:
            is_enough = torch.zeros(1)
            if workers.leads:
                figures = {**figures, "judged": torch.tensor(best.judge(module, average, stage.judge))}
                is_enough += best.worse >= stage.judge.patience
            workers.share(is_enough)
            is_last = is_last or bool(is_enough)
        if workers.leads:
            if step == begin or (step + 1) % LOGGED == 0 or is_last or is_judged:
                report.show(step + 1, {"loss": value.detach(), **figures})
            if run and ((step + 1) % KEPT == 0 or is_last):
                run.save(
                    stage.steps if is_last else step + 1,
                    model=module.state_dict(),
                    optimiser=stage.optimiser.state_dict(),
                    average=average.weights,
                    **({"best": best.stored()} if stage.judge else {}),
                )
                run.curves()
        if is_last:
            break
    module.load_state_dict(best.weights or average.weights)
    if stage.judge:
        workers.share(*module.state_dict().values())  # only the leader judged
    module.eval()


class _Best:
    """The weights that were judged best so far."""

    def __init__(self) -> None:
        self.score, self.weights, self.worse = -math.inf, dict[str, Tensor](), 0

    def judge(self, module: nn.Module, average: "Average", judge: Judge) -> float:
        """The score of the averaged weights; the module is left as it was."""
        before = dict[str, Tensor]()
        modes = {each: each.training for each in module.modules()}
        if average.decay:  # else the module's own weights are judged
            before = {name: value.detach().clone() for name, value in module.state_dict().items()}
            module.load_state_dict(average.weights)
        module.eval()
        score = judge.score()
        self.worse += 1
        if score > self.score:
            self.score, self.worse = score, 0
            state = average.weights if average.decay else module.state_dict()
            self.weights = {name: value.detach().to("cpu", copy=True) for name, value in state.items()}
        if before:
            module.load_state_dict(before)
        for each, mode in modes.items():
            each.training = mode
        return score

    def stored(self) -> dict[str, Any]:
        return {"score": self.score, "worse": self.worse, "weights": self.weights}

    def restore(self, stored: Mapping[str, Any] | None) -> None:
        if stored:
            self.score, self.weights = float(stored["score"]), dict(stored["weights"])
            self.worse = int(stored.get("worse", 0))


def is_half(device: torch.device, bfloat16: bool) -> bool:
    """Whether to compute in bfloat16: a GPU always, a CPU where that is asked and it has instructions for it.

    Where torch has to emulate them, as on an Ice Lake, a step takes three times as long as in float32.
    """
    on_cpu = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cuda" or (bfloat16 and on_cpu)


def channels_last(module: nn.Module) -> None:
    """Lay a net's weights out as a CPU's convolutions read them, in place.

    A step of the encoder is 1.4 times as fast for it, one of the second opinion's net 1.7 times (LOG, "An
    opinion that knows homes").
    """
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # which torch's stubs lack


def in_half(loss: Callable[[B], Loss], device: torch.device) -> Callable[[B], Loss]:
    """The loss, computed in bfloat16 where it is on a GPU."""

    def computed(batch: B) -> Loss:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            return loss(batch)

    return computed


def _gradients(module: nn.Module, feed: Iterator[B], loss: Callable[[B], Loss], stage: Stage) -> Loss:
    """The mean gradients of a step's batches and of all processes; the last batch's loss and figures."""
    stage.optimiser.zero_grad()
    for _ in range(stage.accumulate):
        value, figures = loss(next(feed))
        (value / stage.accumulate).backward()  # type: ignore[no-untyped-call]  # torch's own stub has none
    stage.workers.average_gradients(module)
    return value, figures


class _Report:
    """What the leader tells of a stage: a line of the log, and how far it is."""

    def __init__(self, stage: Stage, begin: int) -> None:
        self._stage, self._begin, self._step = stage, begin, begin
        self._began = self._last = time.monotonic()

    def show(self, step: int, figures: Mapping[str, Tensor]) -> None:
        """After a step. Speed is of the steps since the last call, what is left by all of them."""
        stage, now = self._stage, time.monotonic()
        values = {name: float(value) for name, value in figures.items()}
        heard = ""
        if stage.sound_s:
            sound_s = (step - self._step) * stage.accumulate * stage.sound_s
            values["speed"] = sound_s / max(now - self._last, 1e-9)
            heard = f"{values['speed']:.0f} s of sound a second, "
        if stage.run:
            stage.run.log(step, **values)
        left = time_left((now - self._began) / (step - self._begin) * (stage.steps - step))
        name = stage.run.stage if stage.run else "training"
        stage.progress(step / stage.steps, f"{name}: loss {values['loss']:.3f}, {heard}{left}")
        self._step, self._last = step, now


class Average:
    """Exponential moving average of a module's weights: what is kept is smoother than any step."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        state = module.state_dict()
        # Without a decay it is the module's own weights, and no copy of them.
        self.weights = {name: value.detach().clone() for name, value in state.items()} if decay else state

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from stored ones."""
        for name, value in weights.items():
            self.weights[name].copy_(value)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after a step; early steps count more, so that the start is forgotten."""
        if not self.decay:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)


def decayed(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: matrices decay, biases, norms and scales don't."""
    matrices = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    vectors: list[Tensor] = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def cosine(steps: int, warmup: int, least: float = 0.0) -> Callable[[int], float]:
    """Linear warm-up, then half a cosine from 1 to `least`."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(steps - warmup, 1))))
        return least + (1 - least) * falling

    return factor


def linear(steps: int) -> Callable[[int], float]:
    """From one to zero."""
    return lambda step: 1 - step / steps


def time_left(seconds: float) -> str:
    """ "58 min left", "2.5 h left"."""
    minutes = seconds / 60
    return f"{minutes:.0f} min left" if minutes < 90 else f"{minutes / 60:.1f} h left"
