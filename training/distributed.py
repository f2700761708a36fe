"""Processes that train one model together, as torchrun starts them: weights shared, gradients averaged."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn


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


def alone() -> Team:
    """A team of this process by itself, on the CPU: for what only the leader trains."""
    return Team(0, 1, torch.device("cpu"))
