"""The weights that were best on held-out data: kept while a module is trained, taken up in the end."""

import json
from collections.abc import Callable

import torch
from torch import nn

from .distributed import Team
from .run_folder import Run

WEIGHTS_FILE, NOTE_FILE = "best.pt", "best.json"


class Best:
    """For `Stage.after`: asks for a score every so many steps, keeps the best weights, ends when none comes.

    They lie in the run's folder, so a training that was stopped goes on with the best that it had.
    """

    def __init__(
        self,
        module: nn.Module,
        run: Run,
        score: Callable[[], float],
        every: int,
        patience: int,
        workers: Team,
    ) -> None:
        """score: of the module in eval mode, the higher the better. patience: scores without a better."""
        self._module, self._run, self._score, self._workers = module, run, score, workers
        self._every, self._patience = every, patience
        self._note = run.folder / NOTE_FILE
        self.score, self.worse = -float("inf"), 0
        if self._note.exists():
            stored = json.loads(self._note.read_text(encoding="utf-8"))
            self.score, self.worse = stored["score"], stored["worse"]

    def __call__(self, step: int) -> bool:
        if step % self._every:
            return False
        self._module.eval()
        score = self._score()  # every process asks, and all get the same
        self._module.train()
        is_better = score > self.score
        self.score, self.worse = (score, 0) if is_better else (self.score, self.worse + 1)
        if self._workers.leads:
            self._run.log(step, held_out=score)
            if is_better:
                self._run.keep(WEIGHTS_FILE, self._module.state_dict())
            self._note.write_text(json.dumps({"score": self.score, "worse": self.worse}), encoding="utf-8")
        return self.worse >= self._patience

    def restore(self) -> None:
        """Put the best weights into the module; where there was no score yet it stays as it is."""
        path = self._run.folder / WEIGHTS_FILE
        with self._workers.leader_first():
            if path.exists():
                stored = torch.load(path, map_location="cpu", weights_only=True)
                self._module.load_state_dict(stored)
