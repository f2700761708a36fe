"""A training run: a folder with checkpoints that resume, a log of figures, and their curves as a picture."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

from ..runtime.errors import DataError


class Run:
    """State of one stage of training, in `folder`: last.pt (to resume), log.jsonl, curves.png.

    The files are written beside and renamed, so that an interruption never leaves half of one.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        self.folder, self.stage = folder / stage, stage
        self.folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint = self.folder / "last.pt"
        self._log = self.folder / "log.jsonl"
        self._began = time.monotonic()

    def resume(self) -> dict[str, Any] | None:
        """What `save` stored last, or None at the start of a stage."""
        if not self._checkpoint.exists():
            return None
        try:
            stored: dict[str, Any] = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            raise DataError(
                f"{self._checkpoint} can't be read",
                why=str(error).split("\n")[0],
                fix="delete it to start over",
            ) from error
        return stored

    def save(self, step: int, **parts: Any) -> None:
        """Store step, model, optimiser and whatever else must survive, for `resume`."""
        beside = self._checkpoint.with_suffix(".tmp")
        torch.save({"step": step, **parts}, beside)
        beside.replace(self._checkpoint)

    def log(self, step: int, **figures: float) -> None:
        """Append figures to log.jsonl."""
        with self._log.open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"step": step, **{k: round(float(v), 6) for k, v in figures.items()}}) + "\n"
            )

    def curves(self) -> Path:
        """Draw every figure of log.jsonl over steps into curves.png."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        rows = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
        names = sorted({name for row in rows for name in row} - {"step"})
        figure, axes = pyplot.subplots(
            len(names), 1, figsize=(8, 2.2 * len(names)), sharex=True, squeeze=False
        )
        for name, axis in zip(names, axes[:, 0], strict=True):
            points = [(row["step"], row[name]) for row in rows if name in row]
            axis.plot(*zip(*points, strict=True))
            axis.set_ylabel(name)
            axis.grid(alpha=0.3)
        axes[-1, 0].set_xlabel("step")
        figure.suptitle(f"{self.folder.parent.name}: {self.stage}")
        figure.tight_layout()
        path = self.folder / "curves.png"
        figure.savefig(path, dpi=90)
        pyplot.close(figure)
        return path


class Average:
    """Exponential moving average of a module's weights: what is kept is smoother than any step."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after a step; early steps count more, so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)


class Team(NamedTuple):
    """The processes that train one model together, as torchrun started them; one by itself is a team too."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes checkpoints, figures and curves."""
        return self.rank == 0

    def average_gradients(self, module: nn.Module) -> None:
        """Give every process the mean of all gradients."""
        if self.size == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(together)
        means = torch.split(together, [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient) / self.size)

    def share(self, *tensors: Tensor) -> None:
        """Give every process the leader's values."""
        if self.size == 1:
            return
        for tensor in tensors:
            here = tensor.detach().to(self.device).contiguous()
            distributed.broadcast(here, 0)
            tensor.detach().copy_(here)

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """What is in the block the leader does first; the others then find what it left on the disk."""
        if self.size > 1 and not self.leads:
            distributed.barrier()
        yield
        if self.size > 1 and self.leads:
            distributed.barrier()


def team() -> Team:
    """This process's team: torchrun's where it runs under one. A GPU each where there are any."""
    rank, size, local = (int(os.environ.get(name, d)) for name, d in
                         (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")))  # fmt: skip
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if size > 1 and not distributed.is_initialized():
        # The leader may prepare a corpus for hours before the others are needed.
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=24)
        )
        if device.type == "cuda":
            torch.cuda.set_device(device)
    return Team(rank, size, device)


def decayed(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: matrices decay, biases, norms and scales don't."""
    matrices = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    vectors: list[Tensor] = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def time_left(began: float, begin: int, step: int, steps: int) -> str:
    """What is left of a stage that began at `began` (time.monotonic()) with step `begin`: "58 min left"."""
    minutes = (time.monotonic() - began) / max(step - begin, 1) * (steps - step) / 60
    return f"{minutes:.0f} min left" if minutes < 90 else f"{minutes / 60:.1f} h left"


def cosine(step: int, steps: int, warmup: int) -> float:
    """Learning rate factor: linear warm-up, then half a cosine to zero."""
    import math

    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(steps - warmup, 1))))
