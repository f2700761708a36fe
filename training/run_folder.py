"""A stage's folder: a checkpoint that resumes, a log of figures, and their curves as a picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

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
        self.keep(self._checkpoint.name, {"step": step, **parts})

    def keep(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a torch file into the folder, whole or not at all."""
        beside = (self.folder / name).with_suffix(".tmp")
        torch.save(dict(content), beside)
        beside.replace(self.folder / name)

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
