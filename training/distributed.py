"""Processes that train one model together, as torchrun starts them: weights shared, gradients averaged."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn

T = TypeVar("T")


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

    def gathered(self, values: Sequence[T]) -> list[T]:
        """The values of all processes, the leader's first. They are pickled: small things."""
        if self.size == 1:
            return list(values)
        each: list[list[T]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(each, list(values))
        return [value for values in each for value in values]

    def part(self, values: Sequence[T]) -> Sequence[T]:
        """This process's part of what all of them drew alike, in runs of equal length."""
        length = len(values) // self.size
        return values[self.rank * length : (self.rank + 1) * length]

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


def alone() -> Team:
    """A team of this process by itself, on the CPU: for what only the leader trains."""
    return Team(0, 1, torch.device("cpu"))
