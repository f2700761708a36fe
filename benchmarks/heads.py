"""Which head to fit on a trunk that stands still: variants side by side on validation, a minute each.

    python benchmarks/heads.py room-small --corpus CLIPS --weights WEIGHTS --folder runs/heads
    python benchmarks/heads.py room-small --corpus CLIPS --folder runs/heads --variants "as shipped; wide"
    python benchmarks/heads.py room-small --corpus CLIPS --recipe RECIPE --trunk runs/room/encoder.safetensors

Variants depart from the recipe's head stage. --trunk: an encoder that a training kept, in the place of the
bundle's.

What the bundle's trunk hears is kept in FOLDER and heard again only where something in it has changed:
training clips as training/room/head_features.py takes them, near by and at home; pairs of sounds; composed
streams, empty rooms, lasting sounds; and of validation the clips (quiet, in a room, in that room 15 dB
quieter, over household noise), composed scenes, and minutes of empty rooms. --clips, --held-out, --hours and
so on say how much; the defaults take about ten minutes of one idle core.

Scores stand for captions: a clip is spoken of from the first chunk on in which the evidence for some sound
(the mean of two of the last six chunks, from the thirteenth on four) reaches the threshold, and is called by
the surest. The threshold is each variant's own: in quiet it speaks of --spoken of the clips. Intervals are
the middle 95 % over draws of recordings, or of scenes; differences are to the first variant, on the same
draws.
Nothing of the test split is heard.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecap.runtime.audio import RATE
from edgecap.runtime.hearing.segment import EVIDENCE, USUAL
from edgecap.training import made_from
from edgecap.training.data.licences import may_ship
from edgecap.training.evaluation.context import open_stage
from edgecap.training.evaluation.sounds.trunk import Amounts, Heard, Held, Listener, some_of_each
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.recipe import Recipe, read_recipe
from edgecap.training.room.head import HeadSettings, blend, fit_head
from edgecap.training.room.warm_start import begin_from, open_start
from edgecap.training.sound.bank import sound_labels
from edgecap.training.sound.compose import Composer, Shares
from edgecap.training.sound.taxonomy import SYNTHETIC_SHARE
from edgecap.training.sound.templates import sayable

HEARD_IN = {
    "quiet": "quiet, as recorded",
    "room": "in a room",
    "far": "in that room, 15 dB quieter",
    "10 dB": "over noise, +10 dB",
    "0 dB": "over noise, +0 dB",
}
"""Column -> the place of `edgecap evaluate --only rooms`."""
DRAWS = 1000
TEMPERATURE = 2.0
"""Of the teachers' logits before they are probabilities."""
BATCH = 16


class Variant(NamedTuple):
    """What a trial changes: settings of the head's stage, and what is not among them."""

    settings: Mapping[str, Any] = MappingProxyType({})
    hidden: int = 0
    opinion: bool = False


PAIRS, HOME, WIDE = {"pairs": 2.0}, {"at_home": True}, {"learning_rate": 0.005}
VARIANTS = {
    "as shipped": Variant(),
    "fitted alone": Variant({"kept": 0.0}),
    "pairs 1": Variant({"pairs": 1.0}),
    "pairs 2": Variant(PAIRS),
    "pairs 4": Variant({"pairs": 4.0}),
    "clips 3": Variant({"clips": 3.0}),
    "wide": Variant(WIDE, hidden=256),
    "at home": Variant(HOME),
    "teachers": Variant(opinion=True),
    "at home, pairs": Variant(HOME | PAIRS),
    "at home, teachers": Variant(HOME, opinion=True),
    "at home, pairs, teachers": Variant(HOME | PAIRS, opinion=True),
    "at home, pairs, teachers, wide": Variant(HOME | PAIRS | WIDE, hidden=256, opinion=True),
}
OWN = "the trunk's own"
"""Its head, as it came."""


def evidence(head: nn.Module, heard: Heard) -> list[Tensor]:
    """Of each sound (chunks, sounds): how sure each is, as the segmenter has it."""
    found = []
    with torch.inference_mode():
        scores = head(heard.embeddings.float()).sigmoid()
        for at, sound in enumerate(scores.tensor_split(heard.ends[:-1])):
            sound[: heard.onsets[at]] = 0.0  # no segment has begun
            last = torch.cat([torch.zeros(EVIDENCE - 1, sound.shape[1]), sound]).unfold(0, EVIDENCE, 1)
            best = last.topk(USUAL.agreeing_later, dim=2).values
            sure = best[..., : USUAL.agreeing].mean(2)
            settled = int(heard.onsets[at]) + USUAL.settled
            sure[settled:] = best[settled:].mean(2)
            found.append(sure)
    return found


class Judged(NamedTuple):
    """Of a variant: its threshold; column -> (clips,) or (scenes,) parts; scores of two-sound scenes."""

    threshold: float
    parts: dict[str, NDArray[np.float64]]
    scores: Tensor
    rooms: float


def judge(
    head: nn.Module, held: Held, names: list[str], alike: list[frozenset[str]], spoken: float
) -> Judged:
    """Names the clips, ranks the scenes, sits in empty rooms."""
    sure = {place: evidence(head, heard) for place, heard in held.places.items()}
    peaks = torch.stack([each.amax() for each in sure["quiet"]])
    threshold = float(peaks.quantile(1 - spoken))
    parts: dict[str, NDArray[np.float64]] = {}
    for place, clips in sure.items():
        said = []
        for clip, each in zip(held.clips, clips, strict=True):
            value, best = each.max(1)
            words = [alike[i] for i in best[value >= threshold].tolist()]
            said.append(
                (
                    bool(words),
                    bool(words) and bool(words[0] & {*clip.labels}),
                    any(w & {*clip.labels} for w in words),
                )
            )
        spoke, first, recalled = np.array(said, np.float64).T
        parts[place] = recalled
        if place == "quiet":
            parts["spoken"], parts["first"] = spoke, first
    scores = torch.stack([each.amax(0) for each in evidence(head, held.scenes)])
    runs = 0
    for minute in evidence(head, held.rooms):
        loud = minute.amax(1) >= threshold
        runs += int((loud[1:] & ~loud[:-1]).sum())
    return Judged(threshold, parts, scores, 60 * runs / len(held.rooms.ends))


def average_precision(scores: NDArray[np.float64], true: NDArray[np.bool_]) -> float:
    """Of pairs of scene and sound, all in one ranking: the mean precision at each true one."""
    order = np.argsort(-scores, kind="stable")
    right = true[order]
    return float((np.cumsum(right) / np.arange(1, len(right) + 1))[right].mean())


class Figures(NamedTuple):
    """(columns,) values, and (draws, columns) of the bootstrap."""

    value: NDArray[np.float64]
    drawn: NDArray[np.float64]


COLUMNS = ("first right", "recall", "room", "far", "10 dB", "0 dB", "AP of two", "rooms an hour")


def figures(judged: Judged, held: Held, names: list[str]) -> Figures:
    """The same draws for every variant."""
    rng = np.random.default_rng(0)
    recordings, member = np.unique([clip.recording for clip in held.clips], return_inverse=True)
    times = rng.multinomial(len(recordings), np.full(len(recordings), 1 / len(recordings)), DRAWS)[:, member]
    every = np.vstack([np.ones(len(held.clips)), times])
    p = judged.parts
    shares = [every @ p["first"] / np.maximum(every @ p["spoken"], 1)]
    shares += [
        every @ p[place] / every.sum(1) if place in p else np.full(len(every), np.nan) for place in HEARD_IN
    ]
    two = [row for row, labels in enumerate(held.truth) if len(labels) == 2]
    scores = judged.scores[two].double().numpy()
    true = np.array([[name in held.truth[row] for name in names] for row in two])
    draws = [np.arange(len(two)), *rng.integers(len(two), size=(DRAWS // 5, len(two)))]
    aps = np.array([average_precision(scores[rows].ravel(), true[rows].ravel()) for rows in draws])
    ap = np.concatenate([aps, np.resize(aps[1:], DRAWS + 1 - len(aps))])
    columns = np.stack([*shares, ap, np.full(DRAWS + 1, judged.rooms)], axis=1)
    return Figures(columns[0], columns[1:])


def table(found: dict[str, Figures], thresholds: dict[str, float], first: str) -> str:
    """Markdown: values with intervals; below, differences to the first variant, bold where not by chance."""
    base = found.get(first, found[OWN])
    head = f"| head | threshold | {' | '.join(COLUMNS)} |\n|---|---:|{'---:|' * len(COLUMNS)}\n"
    values, changes = head, head
    for name, each in found.items():
        low, high = np.quantile(each.drawn, [0.025, 0.975], axis=0)
        cells = [
            f"{v:.3f} [{a:.2f}, {b:.2f}]"
            for v, a, b in zip(each.value[:-1], low[:-1], high[:-1], strict=True)
        ]
        values += f"| {name} | {thresholds[name]:.2f} | {' | '.join(cells)} | {each.value[-1]:.0f} |\n"
        if each is base:
            continue
        gain = each.drawn - base.drawn
        low, high = np.quantile(gain, [0.025, 0.975], axis=0)
        cells = []
        for v, a, b in zip((each.value - base.value)[:-1], low[:-1], high[:-1], strict=True):
            cell = f"{100 * v:+.1f} [{100 * a:+.1f}, {100 * b:+.1f}]"
            cells.append(f"**{cell}**" if a > 0 or b < 0 else cell)
        changes += f"| {name} | | {' | '.join(cells)} | {each.value[-1] - base.value[-1]:+.0f} |\n"
    return f'{values}\nAgainst "{first}", in points:\n\n{changes}'


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", help="its trunk hears")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--recipe", type=Path, default=Path("training/recipes/room-small.yaml"))
    parser.add_argument("--trunk", default="", help="an encoder.safetensors that hears in its place")
    parser.add_argument("--weights", type=Path, help="of the public nets, for variants with teachers")
    parser.add_argument("--folder", type=Path, default=Path("runs/heads"), help="where embeddings are kept")
    parser.add_argument("--variants", default="; ".join(VARIANTS))
    parser.add_argument("--clips", type=int, default=40, help="training clips a label, at most")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each training clip, at most")
    parser.add_argument("--takes", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--hours", type=float, default=2.0, help="of streams; empty rooms by it")
    parser.add_argument("--held-out", type=int, help="validation clips; all of them where it is not given")
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--lasting", type=int, default=20, help="clips of each steady sound that go on")
    parser.add_argument("--places", default="; ".join(HEARD_IN), help="in which validation clips are heard")
    parser.add_argument("--batch", type=int, default=768, help="clips in a batch of a fit")
    parser.add_argument("--minutes", type=int, default=30, help="of empty rooms")
    parser.add_argument("--spoken", type=float, default=0.9, help="share of quiet clips that is spoken of")
    parser.add_argument("-o", "--output", type=Path, default=Path("heads.md"), help="the table, kept up")
    parser.add_argument("--seeds", type=int, default=1, help="fits of each variant, averaged")
    arguments = parser.parse_args()
    wanted = [name.strip() for name in arguments.variants.split(";")]
    if unknown := set(wanted) - VARIANTS.keys():
        parser.error(f"there is no variant {', '.join(sorted(unknown))}; there are {'; '.join(VARIANTS)}")
    if not arguments.weights and any(VARIANTS[name].opinion for name in wanted):
        parser.error("variants with teachers need --weights")
    places = {name.strip(): HEARD_IN[name.strip()] for name in arguments.places.split(";")}
    torch.set_num_threads(1)
    stage = open_stage(arguments.bundle, arguments.corpus, arguments.cache)
    recipe = read_recipe(arguments.recipe)
    assert isinstance(recipe, Recipe)
    base = recipe.head_stage or HeadSettings()
    clips = [c for c in stage.corpus.split("train", may_ship) if c.label not in recipe.leave_out]
    labels = sound_labels(stage.corpus, clips)
    names = [label.name for label in labels]
    encoder = CausalConvNeXt(recipe.size, recipe.mels, len(labels)).eval()
    begin_from(encoder, open_start(arguments.trunk or arguments.bundle, encoder), labels)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as in training
    longest = round(arguments.seconds * RATE)
    some = [
        clip._replace(stop=min(clip.stop, clip.start + longest))
        for clip in some_of_each(clips, arguments.clips)
    ]
    composer = Composer(stage.corpus, some, labels)
    known = sorted((c for c in some if c.label in composer.library.index), key=lambda c: c.stop - c.start)
    amounts = Amounts(*(getattr(arguments, name) for name in Amounts._fields))
    listener = Listener(
        stage, encoder, made_from.of_module(encoder), composer, arguments.folder, amounts, say
    )
    held = listener.held(places)
    alike = [
        frozenset(group) for label in labels for group in sayable(labels).values() if label.name in group
    ]
    made = composer.library.indices(name for name, share in SYNTHETIC_SHARE.items() if share >= 0.5)
    say(f"{len(known)} training clips, {len(labels)} labels; {len(held.clips)} validation clips")
    found: dict[str, Figures] = {}
    thresholds: dict[str, float] = {}
    for name in [OWN, *wanted]:
        begin, judged = time.process_time(), []
        for seed in range(1, arguments.seeds + 1 if name != OWN else 2):
            head: nn.Module = encoder.head
            if name != OWN:
                variant = VARIANTS[name]
                settings = msgspec.structs.replace(base, seed=seed, batch=arguments.batch, **variant.settings)
                shares = Shares(settings.warnings, settings.homes, settings.clear)
                lessons = listener.taught(known, settings.at_home, shares)
                if variant.opinion:
                    logits = torch.stack([*listener.opinions(known, arguments.weights).values()]).mean(0)
                    opinion = (logits / TEMPERATURE).softmax(1).repeat(arguments.takes, 1)
                    lessons = lessons._replace(clips=lessons.clips._replace(opinion=opinion))
                head = fit_head(lessons, settings, made, hidden=variant.hidden)
                if isinstance(head, nn.Linear):
                    head.load_state_dict(blend(head.state_dict(), encoder.head, settings.kept))
            judged.append(judge(head, held, names, alike, arguments.spoken))
        each = [figures(one, held, names) for one in judged]
        found[name] = Figures(np.mean([f.value for f in each], 0), np.mean([f.drawn for f in each], 0))
        thresholds[name] = float(np.mean([one.threshold for one in judged]))
        say(f"{name}: {time.process_time() - begin:.0f} s of one core; {np.round(found[name].value, 3)}")
        arguments.output.write_text(table(found, thresholds, wanted[0]), encoding="utf-8")


if __name__ == "__main__":
    main()
