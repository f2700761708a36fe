"""BLAT on scenes of ours: mn04's frames and MiniLM's sentences, frozen; tags are the sounds that a scene has.

scenes with captions -> captioner -> sentences for scenes with tags only -> towers, on those, then on pairs
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from ...runtime.model.bundle import Bundle
from .. import made_from
from ..data.corpus import Corpus, open_corpus
from ..evaluation.questions.retrieval import of_each_query
from ..loop import Progress
from ..models.blat import TagCaptioner, Towers, TowersConfig
from ..models.checkpoint import write_json, write_tensors
from ..prepare.plan import Plan
from ..run_folder import Run
from ..sound.signals import PHRASES
from ..tokenizer import CaptionTokenizer, build_tokenizer
from .blat import BlatRecipe, Paired, PairStage, Spoken, indicator, known_tags, train_pairs, train_tagged
from .order import Order, given
from .scenes import Scenes, Sentences, Vectors, padded
from .shelf import Shelf

LONGEST = 32
"""Steps of a scene that are heard: 10 s."""
AT_ONCE = 256
LEAST_COUNT = 2
"""A word of people's captions that comes less often is not learnt."""


class Taught(NamedTuple):
    """A captioner and its words, and the tags that it was told of."""

    model: TagCaptioner
    tokenizer: CaptionTokenizer
    known: frozenset[int]


def pooled(vectors: Vectors) -> Tensor:
    """(scenes, 384): max + mean over each scene's steps, as BLAT pools CNN14's frames."""
    rows = (torch.from_numpy(one).float() for one in vectors)
    return torch.stack([row.amax(0) + row.mean(0) for row in rows])


def tag_names(corpus: Corpus) -> list[str]:
    """All that a scene may be tagged with: the corpus' labels, and the signals that are synthesised."""
    labels = [label.name for label in corpus.labels]
    return [*labels, *(name for name in PHRASES if name not in labels)]


def tags_of(plans: Sequence[Plan], labels: Sequence[str]) -> list[tuple[int, ...]]:
    """The true tags of each scene: its sounds, by their numbers among the labels."""
    number = {label: i for i, label in enumerate(labels)}
    return [tuple(sorted({number[sound.label] for sound in plan.sounds})) for plan in plans]


def teach(
    recipe: BlatRecipe, plans: Sequence[Plan], vectors: Vectors, tags: Sequence[Sequence[int]], classes: int,
    seed: int, run: Run | None, steps: int | None = None, progress: Progress = lambda done, what: None,
) -> Taught:  # fmt: skip
    """A captioner of scenes with people's captions. tags: of each scene, () where it is told none."""
    torch.manual_seed(seed)
    said = [(caption, row) for row, plan in enumerate(plans) for caption in (plan.caption, *plan.others)]
    tokenizer = build_tokenizer((caption for caption, _ in said), LEAST_COUNT)
    config, stage = replace(recipe.captioner, tags=classes), recipe.captioner_stage
    model = TagCaptioner(config, len(tokenizer))
    table = indicator(tags, classes)

    def batches(begin: int) -> Iterator[Spoken]:
        rng = np.random.default_rng([seed, begin])
        torch.manual_seed(seed + begin)
        while True:
            chosen = rng.choice(len(said), min(stage.batch, len(said)), replace=False).tolist()
            rows = [said[i][1] for i in chosen]
            frames, valid = padded([vectors[row] for row in rows], LONGEST)
            tokens = tokenizer.encode([said[i][0] for i in chosen], config.max_tokens)
            yield Spoken(frames, valid, table[rows], tokens)

    steps = steps or max(1, round(stage.epochs * len(said) / stage.batch))
    train_tagged(model, batches, steps, stage, run, progress)
    return Taught(model.eval(), tokenizer, known_tags(tags))


def describe(
    taught: Taught, vectors: Vectors, tags: Sequence[Sequence[int]], beam: int,
    progress: Progress = lambda done, what: None,
) -> list[str]:  # fmt: skip
    """A sentence for each scene by its sound and tags."""
    table = indicator(tags, taught.model.config.tags)
    said: list[str] = []
    for start in range(0, len(vectors), AT_ONCE):
        frames, valid = padded(vectors[start : start + AT_ONCE], LONGEST)
        tokens = taught.model.say(frames, valid, table[start : start + AT_ONCE], beam)
        said += [taught.tokenizer.decode(row) for row in tokens.tolist()]
        progress(min(1.0, (start + AT_ONCE) / len(vectors)), "writing sentences")
    return said


def pair_batches(
    sound: Tensor, rows: NDArray[np.int64], text: Tensor, size: int, seed: int
) -> Callable[[int], Iterator[Paired]]:
    """Batches of pairs: rows[i] is the row of `sound` (scenes, d) that sentence i of `text` (n, d) is of."""

    def batches(begin: int) -> Iterator[Paired]:
        rng = np.random.default_rng([seed, begin])
        while True:
            chosen = rng.choice(len(rows), min(size, len(rows)), replace=False)
            yield Paired((sound[rows[chosen]],), text[chosen])

    return batches


def raise_towers(
    config: TowersConfig, stages: Sequence[tuple[PairStage, Callable[[int], Iterator[Paired]]]], seed: int,
    progress: Progress = lambda done, what: None,
) -> Towers:  # fmt: skip
    """Towers, from nothing, through these stages."""
    torch.manual_seed(seed)
    model = Towers(config)
    for stage, batches in stages:
        train_pairs(model, batches, stage, None, progress)
    return model.eval()


@torch.inference_mode()
def figures_of(
    model: Towers, scenes: Scenes, ear: str, sentences: Sentences
) -> dict[str, NDArray[np.float64]]:
    """Of each caption of the scenes: R@k and mAP@10 of its own scene; of each scene: R@10 of its caption."""
    texts, row_of = scenes.captions(others=False)
    sounds = model.hear(pooled(scenes.heard[ear])).numpy()
    queries = model.read(sentences(texts)).numpy()
    own = row_of[:, None] == np.arange(len(sounds))
    found = of_each_query(queries, sounds, own)
    return {
        "R@1": found["R@1"], "R@10": found["R@10"], "mAP@10": found["mAP@10"],
        "sound to text R@10": of_each_query(sounds, queries, own.T)["R@10"],
    }  # fmt: skip


def train_small(recipe: BlatRecipe, order: Order) -> Path:
    """Captioner, sentences and towers on prepared scenes; returns the folder of the towers."""
    why = f"{recipe.name} learns from scenes and what a public encoder hears of them"
    plans = given(order.scenes, "--scenes", recipe.name, why)
    weights = given(order.weights, "--weights", recipe.name, why)
    corpus = open_corpus(order.corpus, order.cache, order.progress)
    shelf = Shelf(corpus, plans, weights, Bundle.open(order.bundle), order.output, progress=order.progress)
    train, asked = (shelf.scenes(split, [recipe.ear]) for split in ("train", order.scored))
    causes = {"recipe": recipe, "heard": shelf.heard(("train",), [recipe.ear])}
    made_from.claim(order.output / "captioner", causes, anew=order.anew)
    labels = tag_names(corpus)
    tags, heard = tags_of(train.plans, labels), train.heard[recipe.ear]
    run = Run(order.output, "captioner")
    taught = teach(recipe, train.plans, heard, tags, len(labels), recipe.seed, run, progress=order.progress)
    said = describe(taught, heard, tags, recipe.beam, order.progress)
    write_json({p.id: s for p, s in zip(train.plans, said, strict=True)}, order.output / "synthetic.json")
    sound, (texts, row_of) = pooled(heard), train.captions(others=True)
    written, stages = shelf.sentences(said), (recipe.synthetic_stage, recipe.real_stage)
    synthetic = pair_batches(sound, np.arange(len(said)), written, stages[0].batch, recipe.seed)
    real = pair_batches(sound, row_of, shelf.sentences(texts), stages[1].batch, recipe.seed)
    assert recipe.towers is not None
    config = replace(recipe.towers, audio=sound.shape[1], text=written.shape[1])
    towers = raise_towers(
        config, list(zip(stages, (synthetic, real), strict=True)), recipe.seed, order.progress
    )
    folder = order.output / "model"
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(towers, folder / "blat.safetensors")
    taught.tokenizer.save(folder)
    each = figures_of(towers, asked, recipe.ear, shelf.sentences)
    figures = {order.scored: {name: float(values.mean()) for name, values in each.items()}}
    write_json(figures, order.output / "scores.json")
    return folder
