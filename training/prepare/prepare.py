"""Captions and clips -> plans: every human caption that our recordings can play, as a scene of them.

The folder that comes out holds plans.jsonl (a line a scene), summary.json (what was taken and what was
refused, and why) and sample.html (some of them to hear and see). It is the same, byte for byte, for the same
seed, whatever the number of workers.
"""

import collections
import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec
import numpy as np

from ...runtime.audio import CHUNK_SAMPLES, RATE
from ...runtime.errors import DataError, InputMissingError
from ..data import Clip, Corpus, Split, may_ship, open_corpus
from .arrange import Shelf, Unplayable, arrange
from .parse import Parsed, Refused, parse
from .plan import Plan, write_plans

Licence = Literal["shipping", "free", "all"]
SPLITS = {"development": "train", "validation": "val", "evaluation": "test"}
"""Clotho's names of splits -> ours. Captions without a split are for training."""
SINGLES = 3
"""Scenes of one sound alone that every clip gets, each with the words of another person."""
OTHERS = 4
"""Other sentences that say the same, at most so many a scene."""

Progress = Callable[[float, str], None]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Caption(NamedTuple):
    """A person's sentence, and where it is from: "audiocaps:91139"."""

    id: str
    text: str


class Job(NamedTuple):
    """A scene to make: its name, its caption, others that say the same, and the clip it is for, if any."""

    id: str
    caption: str
    others: tuple[str, ...]
    clip: Clip | None


class Summary(msgspec.Struct, omit_defaults=False):
    """summary.json: how many captions were taken and refused, for which reasons, and what came of them."""

    split: str
    licence: str
    seed: int
    captions: int
    accepted: int
    share: float
    by_source: dict[str, dict[str, float]]
    refused: dict[str, int]
    refused_most: dict[str, dict[str, int]]
    unplayable: dict[str, int]
    scenes: int
    singles: int
    hours: float
    labels: dict[str, int]
    dropped_clips: dict[str, str] = msgspec.field(default_factory=dict)
    teacher: dict[str, object] = msgspec.field(default_factory=dict)


def is_free(licence: str) -> bool:
    """True for licences that allow any use, also commercial, with no more than naming the author."""
    return licence.startswith(("CC0", "CC BY", "Public Domain", "Apache")) and not any(
        word in licence for word in ("NC", "SA", "ND", "unless", "see ")
    )


LICENCES: dict[Licence, Callable[[str], bool]] = {
    "shipping": may_ship,
    "free": is_free,
    "all": lambda licence: True,
}


def read_captions(folder: Path, split: Split) -> list[Caption]:
    """The captions of one split from every .csv and .csv.gz of a folder that has a column `caption`.

    Raises InputMissingError where there is none, DataError where a file can't be read.
    """
    found: list[Caption] = []
    files = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])
    for path in files:
        source = path.name.partition(".")[0]
        try:
            for number, row in enumerate(_rows(path)):
                theirs = row.get("split") or "train"
                if "caption" in row and SPLITS.get(theirs, theirs) == split:
                    found.append(Caption(f"{source}:{number}", " ".join(row["caption"].split())))
        except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} can't be read", why=str(error), fix="copy it again") from error
    if not found:
        raise InputMissingError(
            f"{folder} holds no captions of the split {split}",
            why="no .csv or .csv.gz there has a column caption with rows of it",
        )
    return found


def _rows(path: Path) -> Iterator[dict[str, str]]:
    data = path.read_bytes()
    yield from csv.DictReader(io.StringIO((gzip.decompress(data) if path.suffix == ".gz" else data).decode()))


def prepare(
    corpus_folder: Path,
    captions_folder: Path,
    output: Path,
    cache: Path,
    *,
    split: Split = "train",
    scenes: int | None = None,
    seed: int = 0,
    workers: int = 1,
    licence: Licence = "shipping",
    without: Iterable[str] = (),
    progress: Progress = lambda done, what: None,
) -> Summary:
    """Write plans.jsonl and summary.json; `scenes` captions at most, or more scenes of each.

    without: ids of clips to leave out.
    """
    corpus = open_corpus(corpus_folder, cache, progress)
    left_out = frozenset(without)
    captions = read_captions(captions_folder, split)
    texts = sorted({caption.text for caption in captions})
    with _Pool(workers, corpus_folder, cache, split, licence, left_out) as run:
        understood = dict(zip(texts, run(parse, texts, progress, "understanding captions"), strict=True))
        taken = [c for c in captions if isinstance(understood[c.text], Parsed)]
        jobs = _jobs(corpus, taken, understood, split, licence, left_out, scenes, seed)
        made = run(partial(_plan, seed=seed), jobs, progress, "planning scenes")
    plans = [plan for plan in made if isinstance(plan, Plan)]
    output.mkdir(parents=True, exist_ok=True)
    write_plans(output, plans)
    summary = _summary(captions, understood, made, split, licence, seed)
    write_summary(output, summary)
    return summary


def write_summary(output: Path, summary: Summary) -> None:
    """summary.json, indented for people."""
    text = msgspec.json.format(msgspec.json.encode(summary), indent=1)
    (output / "summary.json").write_bytes(text + b"\n")


def _jobs(
    corpus: Corpus, taken: list[Caption], understood: dict[str, Parsed | Refused], split: Split,
    licence: Licence, left_out: frozenset[str], scenes: int | None, seed: int,
) -> list[Job]:  # fmt: skip
    """Which scenes to make: one a caption (or as many as are asked for), and some a clip."""
    rng = np.random.default_rng([seed, 1])
    same: dict[str, list[str]] = {}
    alone: dict[str, list[str]] = {}
    for text in sorted({caption.text for caption in taken}):
        parsed = understood[text]
        assert isinstance(parsed, Parsed)
        same.setdefault(parsed.key(), []).append(text)
        sound = parsed.sounds[0]
        if len(parsed.sounds) == 1 and not (sound.many or sound.times or sound.repeat):
            for choice in sound.choices:
                alone.setdefault(choice, []).append(text)

    def others(text: str) -> tuple[str, ...]:
        parsed = understood[text]
        assert isinstance(parsed, Parsed)
        rest = [other for other in same[parsed.key()] if other != text]
        chosen = rng.permutation(len(rest))[:OTHERS]
        return tuple(rest[i] for i in sorted(chosen))

    jobs: list[Job] = []
    wanted = len(taken) if scenes is None else scenes
    order: list[int] = []
    while len(order) < wanted and taken:
        order += [int(i) for i in rng.permutation(len(taken))[: wanted - len(order)]]
    times: collections.Counter[str] = collections.Counter()
    for i in sorted(order) if wanted <= len(taken) else order:
        caption = taken[i]
        times[caption.id] += 1
        name = caption.id if times[caption.id] == 1 else f"{caption.id}:{times[caption.id]}"
        jobs.append(Job(name, caption.text, others(caption.text), None))
    if scenes is None:
        for clip in corpus.split(split, LICENCES[licence]):
            texts = alone.get(clip.label, [])
            if clip.id in left_out or not texts:
                continue
            for turn, i in enumerate(rng.permutation(len(texts))[:SINGLES]):
                jobs.append(Job(f"{clip.id}:{turn + 1}", texts[i], others(texts[i]), clip))
    return jobs


_shelf: Shelf
"""A worker's recordings, opened once when it starts."""


def _open_shelf(
    corpus_folder: Path, cache: Path, split: Split, licence: Licence, left_out: frozenset[str]
) -> None:
    global _shelf
    corpus = open_corpus(corpus_folder, cache)
    clips = [clip for clip in corpus.split(split, LICENCES[licence]) if clip.id not in left_out]
    _shelf = Shelf(corpus, clips)


def _plan(job: Job, seed: int) -> Plan | str:
    """The plan of a job, or why there is none. Random by its name alone, so in any process the same."""
    rng = np.random.default_rng([seed, zlib.crc32(job.id.encode())])
    parsed = parse(job.caption)
    assert isinstance(parsed, Parsed)
    shelf = _shelf
    if job.clip:
        shelf = Shelf(_shelf.corpus, [job.clip])
        parsed = Parsed((parsed.sounds[0]._replace(choices=(job.clip.label,)),))
    try:
        return arrange(parsed, job.caption, job.id, shelf, rng, job.others)
    except Unplayable as why:
        return str(why)


class _Pool:
    """Maps functions over lists with some processes, in order, telling how far it is."""

    def __init__(
        self,
        workers: int,
        corpus_folder: Path,
        cache: Path,
        split: Split,
        licence: Licence,
        left_out: frozenset[str],
    ) -> None:
        self._shelf = corpus_folder, cache, split, licence, left_out
        self._workers = workers
        self._processes: ProcessPoolExecutor | None = None

    def __enter__(self) -> "_Pool":
        if self._workers > 1:
            self._processes = ProcessPoolExecutor(
                self._workers, initializer=_open_shelf, initargs=self._shelf
            )
        else:
            _open_shelf(*self._shelf)
        return self

    def __exit__(self, *error: object) -> None:
        if self._processes:
            self._processes.shutdown(cancel_futures=True)

    def __call__(
        self, function: Callable[[Item], Result], items: list[Item], progress: Progress, what: str
    ) -> list[Result]:
        mapped: Iterable[Result] = (
            self._processes.map(function, items, chunksize=64) if self._processes else map(function, items)
        )
        results = []
        for done, result in enumerate(mapped, 1):
            results.append(result)
            if not done % 64:
                progress(done / len(items), what)
        return results


def _summary(
    captions: list[Caption], understood: dict[str, Parsed | Refused], made: list[Plan | str],
    split: str, licence: str, seed: int,
) -> Summary:  # fmt: skip
    sources: dict[str, list[int]] = {}
    refused: collections.Counter[str] = collections.Counter()
    most: dict[str, collections.Counter[str]] = {}
    for caption in captions:
        parsed = understood[caption.text]
        tally = sources.setdefault(caption.id.partition(":")[0], [0, 0])
        tally[0] += 1
        if isinstance(parsed, Parsed):
            tally[1] += 1
        else:
            refused[parsed.reason] += 1
            most.setdefault(parsed.reason, collections.Counter())[parsed.what] += 1
    plans = [plan for plan in made if isinstance(plan, Plan)]
    singles = sum(plan.is_single for plan in plans)
    labels = collections.Counter(sound.label for plan in plans for sound in plan.sounds)
    accepted = len(captions) - sum(refused.values())
    return Summary(
        split=split, licence=licence, seed=seed, captions=len(captions), accepted=accepted,
        share=round(accepted / len(captions), 4),
        by_source={
            name: {"captions": all_, "accepted": ours, "share": round(ours / all_, 4)}
            for name, (all_, ours) in sorted(sources.items())
        },
        refused=dict(refused.most_common()),
        refused_most={reason: dict(counts.most_common(60)) for reason, counts in most.items()},
        unplayable=dict(collections.Counter(why for why in made if isinstance(why, str)).most_common()),
        scenes=len(plans) - singles, singles=singles,
        hours=round(sum(plan.chunks for plan in plans) * CHUNK_SAMPLES / RATE / 3600, 2),
        labels=dict(labels.most_common()),
    )  # fmt: skip
