"""A paper's small table: its rows, what each scores, and which of the paper's directions it can confirm.

A paper declares a `Trial`; `run` fills it row by row, seed by seed, and `table` writes it as Markdown. What
was run is kept, and not run again until its causes change.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import UsageError
from .. import made_from
from ..loop import Progress
from .statistics import compare, mean_and_deviation

ONCE = "_once"
Scores = Mapping[str, NDArray[np.float64]]
"""Figure -> (items,) of the held-out split. The same items in every row and seed."""


class Claim(NamedTuple):
    """A direction that the paper's table has: the row `better` is above the row `worse` in this figure."""

    better: str
    worse: str
    figure: str
    published: str = ""
    """What the paper's table says, for the reader."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A small table, to be run.

    rows: name -> what decides it (settings), for the record. score: trains a row with a seed in a folder of
    its own, and scores it on the held-out split; a figure that is not of items (seconds) has a name that ends
    in ONCE, and one number.
    """

    paper: str
    rows: Mapping[str, Any]
    score: Callable[[str, int, Path, Progress], Scores]
    claims: Sequence[Claim]
    groups: NDArray[np.int64] | None = None
    """(items,) which items hang together."""
    causes: Mapping[str, Any]
    """What all rows were made from, beside their own settings."""

    def only(self, rows: Sequence[str]) -> "Trial":
        """Some rows of it. Raises UsageError for one that it has not."""
        if unknown := [row for row in rows if row not in self.rows]:
            raise UsageError(
                f"{self.paper} has no row {unknown[0]!r}", fix=f"there are {', '.join(self.rows)}"
            )
        return replace(self, rows={row: self.rows[row] for row in rows})


def run(
    trial: Trial, seeds: Sequence[int], folder: Path, progress: Progress = lambda done, what: None
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Row -> figure -> (seeds, items). Seed by seed, so that a table that was stopped has whole seeds.

    Rows need not have the same figures.
    """
    jobs = [(seed, row) for seed in seeds for row in trial.rows]
    found: dict[str, list[Scores]] = {row: [] for row in trial.rows}
    for done, (seed, row) in enumerate(jobs):

        def told(share: float, what: str, done: int = done, row: str = row, seed: int = seed) -> None:
            progress((done + share) / len(jobs), f"{row}, seed {seed}: {what}")

        path = folder / f"{row.replace(' ', '-').replace('/', '-')}-{seed}"
        kept = path / "scores.npz"
        # What another training left goes: it would be resumed, and pass for this one.
        made_from.claim(path, {"row": trial.rows[row], "seed": seed, **trial.causes}, anew=True)
        if not kept.exists():
            scores = trial.score(row, seed, path, told)
            beside = kept.with_suffix(".tmp.npz")
            np.savez(beside, **{name: np.atleast_1d(values) for name, values in scores.items()})  # type: ignore[arg-type]  # one may be called allow_pickle, says numpy
            beside.replace(kept)
        with np.load(kept) as stored:
            found[row].append(dict(stored))
    return {
        row: {figure: np.stack([scores[figure] for scores in runs]) for figure in runs[0]}
        for row, runs in found.items()
    }


def table(trial: Trial, scores: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> str:
    """Markdown: mean ± deviation over seeds of each row, then each claim with its interval and verdict."""
    figures = list(dict.fromkeys(figure for by_figure in scores.values() for figure in by_figure))
    shapes = [values.shape for by_figure in scores.values() for values in by_figure.values()]
    seeds, items = shapes[0][0], max(shape[1] for shape in shapes)
    lines = [f"{items} items, {seeds} seeds; mean ± standard deviation over seeds.", ""]
    lines.append(f"| row | {' | '.join(name.removesuffix(ONCE) for name in figures)} |")
    lines.append(f"|---{'|---:' * len(figures)}|")
    for row, by_figure in scores.items():
        cells = [
            "{:.3f} ± {:.3f}".format(*mean_and_deviation(by_figure[name])) if name in by_figure else "–"
            for name in figures
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    lines.append("")
    for claim in trial.claims:
        if claim.better in scores and claim.worse in scores:
            found = compare(
                scores[claim.better][claim.figure], scores[claim.worse][claim.figure],
                None if trial.groups is None else trial.groups.tolist(),
            )  # fmt: skip
            published = f" (published: {claim.published})" if claim.published else ""
            lines.append(f"- {claim.better} > {claim.worse} in {claim.figure}{published}: {found}")
    return "\n".join(lines)


def note_look(folder: Path, paper: str, split: str, rows: Sequence[str]) -> int:
    """Write down that the held-out split was looked at; returns how often it was for this paper."""
    path = folder / "looks.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"paper": paper, "split": split, "rows": list(rows)}) + "\n")
    looks = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sum(look["paper"] == paper and look["split"] == split for look in looks)
