"""Processes that train together: gradients averaged, the leader first."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

TWO_PROCESSES = """
import sys, torch
from pathlib import Path
from torch import nn
from edgecap.training.distributed import team
workers = team()
torch.manual_seed(0)
net = nn.Linear(3, 2)
x = torch.arange(12.0).view(4, 3)[2 * workers.rank : 2 * workers.rank + 2]
net(x).square().mean().backward()
workers.average_gradients(net)
with workers.leader_first():
    order = Path(sys.argv[1], "order")
    order.write_text((order.read_text() if order.exists() else "") + str(workers.rank))
assert workers.gathered([f"of {workers.rank}"]) == ["of 0", "of 1"]
assert "".join(workers.part("abcd")) == ("ab", "cd")[workers.rank]
torch.save([p.grad for p in net.parameters()], Path(sys.argv[1], f"{workers.rank}.pt"))
torch.distributed.destroy_process_group()
"""


def test_two_processes_learn_as_one_with_both_batches(tmp_path: Path) -> None:
    """Started as torchrun starts them, less its own process: that is half of the time."""
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    here |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    both = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path)],
            env=os.environ | here | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(100) for process in both] == [0, 0]
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    net(torch.arange(12.0).view(4, 3)).square().mean().backward()
    for rank in range(2):
        for found, parameter in zip(torch.load(tmp_path / f"{rank}.pt"), net.parameters(), strict=True):
            torch.testing.assert_close(found, parameter.grad)
    assert (tmp_path / "order").read_text() == "01"
