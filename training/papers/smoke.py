"""A recipe's training rehearsed: twenty steps at its own sizes on random features, and the memory they take.

It needs neither corpus nor weights: what it finds is whether the machine at hand can run the recipe at all.
"""

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...runtime.errors import UnavailableError
from ..distributed import team
from ..loop import Loss, Progress, Stage, decayed, fit, in_half

STEPS = 20
LIMIT_GIB = 24.0
"""Of a GPU that people have."""


class Rehearsal(NamedTuple):
    """A stage of a recipe: its module, in training mode; a random batch; the loss; the rate."""

    name: str
    module: nn.Module
    batch: Callable[[torch.device], Any]
    loss: Callable[[Any], Loss]
    learning_rate: float
    after: Callable[[], None] = lambda: None
    weight_decay: float = 0.01


class Rehearsed(NamedTuple):
    """What came of it."""

    name: str
    parameters: int
    first: float
    last: float
    step_s: float
    gib: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {STEPS} steps of {self.parameters / 1e6:.1f} M parameters, loss {self.first:.3f} "
            f"to {self.last:.3f}, {self.step_s:.2f} s a step, {self.gib:.1f} GiB of {LIMIT_GIB:.0f}"
        )


def rehearse(stage: Rehearsal, progress: Progress = lambda done, what: None) -> Rehearsed:
    """Run its steps on this machine's device.

    Raises UnavailableError where the loss is no number, or the memory is more than a GPU of 24 GB has.
    """
    device = team().device
    losses: list[float] = []

    half = in_half(stage.loss, device)

    def loss(batch: Any) -> Loss:
        value, figures = half(batch)
        losses.append(float(value.detach()))
        progress(len(losses) / STEPS, f"{stage.name}: loss {losses[-1]:.3f}")
        return value, figures

    def batches(begin: int) -> Iterator[Any]:
        torch.manual_seed(begin)
        while True:
            yield stage.batch(device)

    module = stage.module.to(device)
    trained = [p for p in module.parameters() if p.requires_grad]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.monotonic()
    fit(module, batches, loss, Stage(
        steps=STEPS, optimiser=torch.optim.AdamW(decayed(module, stage.weight_decay), lr=stage.learning_rate),
        schedule=lambda step: 1.0, clip=1.0, after=stage.after,
    ))  # fmt: skip
    found = Rehearsed(
        stage.name, sum(p.numel() for p in trained), losses[0], losses[-1],
        (time.monotonic() - began) / STEPS, _most_gib(device),
    )  # fmt: skip
    if not all(math.isfinite(value) for value in losses):
        raise UnavailableError(f"{stage.name}: the loss is no number", why=f"after {len(losses)} steps")
    if found.gib > LIMIT_GIB:
        raise UnavailableError(
            f"{stage.name} took {found.gib:.1f} GiB", why=f"a GPU that people have has {LIMIT_GIB:.0f}",
            fix="make the recipe's batch smaller",
        )  # fmt: skip
    return found


def _most_gib(device: torch.device) -> float:
    """The most memory that was held: the GPU's, else this process's own."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def random_tokens(device: torch.device, batch: int, length: int, vocabulary: int) -> Tensor:
    """(B, S) int64 that are no specials."""
    return torch.randint(4, vocabulary, (batch, length), device=device)
