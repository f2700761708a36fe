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
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from ...runtime.audio import CHUNK_SAMPLES, RATE
from ...runtime.errors import DataError, InputMissingError
from ..data.corpus import Clip, Split, open_corpus
from ..data.licences import LICENCES, Licence
from ..sound.bank import sound_labels
from .parse import Parsed, Refused, parse
from .plan import Plan, write_plans
from .plan_scene import Shelf, Unplayable, arrange
from .play_plan import Renderer
from .sample import write_sample
from .teacher_check import Ear, Opinion

SPLITS = {"development": "train", "validation": "val", "evaluation": "test"}
"""Clotho's names of splits -> ours. Captions without a split are for training."""
SINGLES = 3
"""Scenes of one sound alone that every clip gets, each with the words of another person."""
JUDGED = 600
"""Scenes that the teacher hears for its opinion."""
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
    teacher: Opinion | None = None


ACADEMIC_ONLY = ("audiocaps", "wavcaps")
NON_COMMERCIAL = ("clotho",)
"""Tables of captions, as their file names begin, by what their authors allow: their words are data too."""


def may_read(table: str, licence: Licence) -> bool:
    """Whether a model of these sources may learn from the sentences of this table."""
    forbidden = {"all": (), "shipping": ACADEMIC_ONLY, "free": ACADEMIC_ONLY + NON_COMMERCIAL}[licence]
    return not table.startswith(forbidden)


def read_captions(folder: Path, split: Split, licence: Licence = "all") -> list[Caption]:
    """The captions of one split from every .csv and .csv.gz of a folder that has a column `caption`.

    Raises InputMissingError where there is none, DataError where a file can't be read.
    """
    found: list[Caption] = []
    files = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])
    for path in files:
        source = path.name.partition(".")[0]
        if not may_read(source, licence):
            continue
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
            why="no .csv or .csv.gz there has a column caption with rows of it"
            + ("" if licence == "all" else f" and terms that allow `{licence}`"),
        )
    return found


def _rows(path: Path) -> Iterator[dict[str, str]]:
    data = path.read_bytes()
    yield from csv.DictReader(io.StringIO((gzip.decompress(data) if path.suffix == ".gz" else data).decode()))


class Order(NamedTuple):
    """What is asked of `make`.

    scenes: how many; None for one a caption and some of every clip. sample: scenes in sample.html.
    teacher: the folder of efficientat-mn04, to leave out clips that it contradicts and to judge the scenes.
    """

    corpus: Path
    captions: Path
    output: Path
    cache: Path
    split: Split = "train"
    licence: Licence = "shipping"
    scenes: int | None = None
    seed: int = 0
    workers: int = 1
    sample: int = 50
    teacher: Path | None = None


def make(order: Order, progress: Progress = lambda done, what: None) -> Summary:
    """Write plans.jsonl, summary.json and sample.html. Raises InputMissingError, DataError."""
    corpus = open_corpus(order.corpus, order.cache, progress)
    captions = read_captions(order.captions, order.split, order.licence)
    ear = Ear(order.teacher) if order.teacher else None
    clips = corpus.split(order.split, LICENCES[order.licence])
    dropped = ear.contradicted(corpus, clips, order.cache, progress) if ear else {}
    clips = [clip for clip in clips if clip.id not in dropped]
    texts = sorted({caption.text for caption in captions})
    with _Pool(order, frozenset(dropped)) as run:
        understood = dict(zip(texts, run(parse, texts, progress, "understanding captions"), strict=True))
        jobs = _jobs(order, clips, captions, understood)
        made = run(partial(_plan, seed=order.seed), jobs, progress, "planning scenes")
    plans = [plan for plan in made if isinstance(plan, Plan)]
    order.output.mkdir(parents=True, exist_ok=True)
    write_plans(order.output, plans)
    renderer = Renderer(corpus, sound_labels(corpus, corpus.clips))
    rng = np.random.default_rng([order.seed, 2])
    shown = [plans[i] for i in sorted(rng.permutation(len(plans))[: order.sample])]
    write_sample(
        order.output / "sample.html", shown, renderer, lambda done: progress(done, "rendering the sample")
    )
    summary = _summary(order, captions, understood, made)
    summary.dropped_clips = dropped
    if ear:
        heard = [plans[i] for i in sorted(rng.permutation(len(plans))[:JUDGED])]
        summary.teacher = ear.opinion(
            heard, renderer, lambda done: progress(done, "the teacher hears scenes")
        )
    text = msgspec.json.format(msgspec.json.encode(summary), indent=1)
    (order.output / "summary.json").write_bytes(text + b"\n")
    return summary


def _jobs(
    order: Order, clips: list[Clip], captions: list[Caption], understood: dict[str, Parsed | Refused]
) -> list[Job]:
    """Which scenes to make: one a caption (or as many as are asked for), and some a clip."""
    rng = np.random.default_rng([order.seed, 1])
    taken = [caption for caption in captions if isinstance(understood[caption.text], Parsed)]
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
    wanted = len(taken) if order.scenes is None else order.scenes
    turns: list[int] = []
    while len(turns) < wanted and taken:
        turns += [int(i) for i in rng.permutation(len(taken))[: wanted - len(turns)]]
    times: collections.Counter[str] = collections.Counter()
    for i in sorted(turns) if wanted <= len(taken) else turns:
        caption = taken[i]
        times[caption.id] += 1
        name = caption.id if times[caption.id] == 1 else f"{caption.id}:{times[caption.id]}"
        jobs.append(Job(name, caption.text, others(caption.text), None))
    if order.scenes is None:
        for clip in clips:
            texts = alone.get(clip.label, [])
            for turn, i in enumerate(rng.permutation(len(texts))[:SINGLES]):
                jobs.append(Job(f"{clip.id}:{turn + 1}", texts[i], others(texts[i]), clip))
    return jobs


_shelf: Shelf
"""A worker's recordings, opened once when it starts."""


def _open_shelf(
    corpus_folder: Path, cache: Path, split: Split, licence: Licence, dropped: frozenset[str]
) -> None:
    global _shelf
    corpus = open_corpus(corpus_folder, cache)
    clips = [clip for clip in corpus.split(split, LICENCES[licence]) if clip.id not in dropped]
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

    def __init__(self, order: Order, dropped: frozenset[str]) -> None:
        self._shelf = order.corpus, order.cache, order.split, order.licence, dropped
        self._workers = order.workers
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
    order: Order, captions: list[Caption], understood: dict[str, Parsed | Refused], made: list[Plan | str]
) -> Summary:
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
        split=order.split, licence=order.licence, seed=order.seed, captions=len(captions), accepted=accepted,
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
