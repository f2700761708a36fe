"""CLIP-AAC: caption and contrastive loss at once; at our scale on planned scenes, with its small tables.

Table 2 (α and batch) is on vectors of the frozen trunk, table 1 (what the audio head begins with) on the
trunk's last stage. What edgecap asks of the paper, one joint stage or SEE's two, is in joint.py.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...runtime.model.bundle import Bundle
from .. import made_from
from ..data.corpora import Name
from ..data.corpus import Label, Split, open_corpus
from ..distributed import team
from ..frontend import LogMel
from ..loop import Loss, Progress, Stage, fit, in_half
from ..losses import clip_contrastive, next_token
from ..models import clip_aac
from ..models.checkpoint import write_tensors
from ..models.clip_aac import ClipAac, FrameAudio, Memory, StageAudio, TextHeadConfig
from ..models.convnext import CausalConvNeXt
from ..models.gpt import GptConfig, GptSizes
from ..models.sizes import Rate, Size
from ..room.warm_start import begin_from, of_bundle
from ..run_folder import Run
from ..torch_engine import decoder_from
from . import joint
from .captioning import LONGEST, Taught
from .ears import CHUNK_S, Ear
from .order import Order, given
from .scenes import Scenes, padded
from .scores import write_scores
from .shelf import Shelf
from .trial import ONCE, Claim, Scores, Trial


class ClipAacRecipe(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="clip-aac"
):
    """Everything that decides a captioner, besides the sounds. The defaults are the paper's."""

    name: str
    version: str
    licence: str
    audio: Literal["audioclip", "ours", "stage", "random stage"] = "audioclip"
    """AudioCLIP's head on waveforms of `corpora`; or, on planned scenes, vectors of our frozen trunk, the
    trunk's last stage, or a random trunk's."""
    corpora: tuple[Name, ...] = ("clotho",)
    memory: Memory = "vector"
    width: Size = 1024
    """L, of A and of the text's place."""
    channels: Size = 256
    """Of the map of a frozen trunk's vectors; AudioCLIP's has 2,048."""
    text: TextHeadConfig = TextHeadConfig()
    """At our scale its vocabulary is the captions'."""
    decoder: GptSizes = GptSizes(width=512, heads=8, hidden=2048, layers=2, max_tokens=32)
    """CAAC-2."""
    alpha: Annotated[float, Meta(ge=0, le=1)] = 0.2
    contrast_steps: Annotated[int, Meta(ge=0)] = 0
    """Steps of the contrastive loss alone before the joint ones: what AudioCLIP's weights bring along."""
    is_frozen: bool = False
    """Whether both heads stand still in the joint steps (system 3)."""
    epochs: Annotated[float, Meta(gt=0)] = 40
    warmup_epochs: Annotated[float, Meta(ge=0)] = 5
    batch: Annotated[int, Meta(ge=2)] = 8
    heads_rate: Annotated[float, Meta(gt=0)] = 1e-5
    decoder_rate: Annotated[float, Meta(gt=0)] = 1e-3
    smoothing: Rate = 0.1
    seed: int = 1


def warmed(steps: int, recipe: ClipAacRecipe) -> Callable[[int], float]:
    """Linear warm-up over so many epochs, then as it is."""
    warmup = max(1, round(steps * recipe.warmup_epochs / recipe.epochs))
    return lambda step: min(1.0, (step + 1) / warmup)


class Batch(msgspec.Struct, frozen=True):
    """sound, valid: as the audio head takes them; tokens: the decoder's; text, lengths: the text head's."""

    sound: Tensor
    valid: Tensor | None
    tokens: Tensor
    text: Tensor
    lengths: Tensor


def contrast_loss(model: ClipAac) -> Callable[[Batch], Loss]:
    """The heads' loss alone."""

    def loss(batch: Batch) -> Loss:
        audio = F.normalize(model.audio(batch.sound, batch.valid).vector.float(), dim=-1)
        text = F.normalize(model.text(batch.text, batch.lengths).float(), dim=-1)
        value = clip_contrastive(audio, text, model.scale)
        return value, {"contrastive": value.detach()}

    return loss


def joint_loss(model: ClipAac, recipe: ClipAacRecipe) -> Callable[[Batch], Loss]:
    """Eq. 7."""

    def loss(batch: Batch) -> Loss:
        audio, text, logits = model(batch.sound, batch.valid, batch.tokens, batch.text, batch.lengths)
        words = next_token(logits.float(), batch.tokens, recipe.smoothing)
        near = clip_contrastive(audio.float(), text.float(), model.scale)
        value = recipe.alpha * near + (1 - recipe.alpha) * words
        return value, {"contrastive": near.detach(), "words": words.detach()}

    return loss


def train_joint(
    model: ClipAac, recipe: ClipAacRecipe, batches: Callable[[int], Iterator[Batch]], steps: int,
    run: Run, progress: Progress = lambda done, what: None,
) -> None:  # fmt: skip
    """Contrastive steps where the recipe has some, then so many joint ones."""
    workers = team()
    model.to(workers.device).train()
    heads = [p for p in (*model.audio.parameters(), *model.text.parameters()) if p.requires_grad]
    heads.append(model.logit_scale_at)
    speaker = [*model.memory.parameters(), *model.decoder.parameters()]
    if recipe.contrast_steps:
        before = Stage(
            steps=recipe.contrast_steps, optimiser=torch.optim.Adam(heads, recipe.decoder_rate),
            schedule=lambda step: 1.0, clip=1.0, run=Run(run.folder, "contrast"), workers=workers,
            progress=progress,
        )  # fmt: skip
        fit(model, batches, in_half(contrast_loss(model), workers.device), before)
    for parameter in heads:
        parameter.requires_grad_(not recipe.is_frozen)
    groups = [{"params": speaker, "lr": recipe.decoder_rate}]
    if not recipe.is_frozen:
        groups.append({"params": heads, "lr": recipe.heads_rate})
    fit(model.train(), batches, in_half(joint_loss(model, recipe), workers.device), Stage(
        steps=steps, optimiser=torch.optim.Adam(groups), schedule=warmed(steps, recipe), clip=1.0, run=run,
        workers=workers, progress=progress,
    ))  # fmt: skip
    model.cpu()


def stage_ear(name: str, encoder: CausalConvNeXt, digest: str) -> Ear:
    """What comes before an encoder's last stage, a vector a chunk; StageAudio goes on from it."""
    front_end = LogMel(encoder.mels)

    @torch.inference_mode()
    def hear(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = max(1, round(len(samples) / (CHUNK_S * 32_000)))
        samples = np.pad(samples, (0, max(0, whole * 10_240 - len(samples))))[: whole * 10_240]
        x = encoder.before_last_stage(front_end(torch.from_numpy(samples)[None]))  # (1, C, n, M)
        return x[0].transpose(0, 1).flatten(1).numpy()

    size = encoder.size
    return Ear(name, size.widths[-1] * encoder.mels // 32, CHUNK_S, digest, hear)


def trunk_of(shelf: Shelf) -> CausalConvNeXt:
    """The bundle's encoder in torch."""
    labels = [Label(label.label, label.phrase, label.category) for label in shelf.bundle.labels]
    encoder = CausalConvNeXt("atto", shelf.bundle.manifest.audio.mels, len(labels))
    begin_from(encoder, of_bundle(shelf.bundle, encoder), labels)
    return encoder.eval()


def random_trunk(like: CausalConvNeXt) -> CausalConvNeXt:
    """An encoder of the same size that was taught nothing; what it hears is normalised as the other's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = CausalConvNeXt("atto", like.mels, like.sounds)
    encoder.bn0.load_state_dict(like.bn0.state_dict())
    return encoder.eval()


def batches_of(taught: Taught, recipe: ClipAacRecipe, ear: str) -> Callable[[int], Iterator[Batch]]:
    """Planned scenes for `train_joint`."""
    vectors = taught.taught.heard[ear]

    def found(begin: int) -> Iterator[Batch]:
        torch.manual_seed(recipe.seed + begin)
        for rows, captions in taught.draw((recipe.seed, begin), recipe.batch):
            sound, valid = padded([vectors[row] for row in rows], LONGEST)
            tokens = taught.tokenizer.encode(captions, recipe.decoder.max_tokens)
            yield Batch(sound, valid, tokens, tokens, (tokens > 0).sum(1))

    return found


def build(recipe: ClipAacRecipe, taught: Taught, trunk: CausalConvNeXt | None, ear: str) -> ClipAac:
    """The net of a recipe of our scale, seeded by it; a stage begins as the trunk's that left the vectors."""
    torch.manual_seed(recipe.seed)
    inputs = taught.width(ear)
    audio: FrameAudio | StageAudio
    if recipe.audio == "ours":
        audio = FrameAudio(inputs, recipe.channels, recipe.width)
    else:
        audio = StageAudio("atto", recipe.channels, recipe.width)
        if recipe.audio == "stage" and trunk:
            audio.stage.load_state_dict(trunk.stages[-1].state_dict())
            audio.norm.load_state_dict(trunk.norm.state_dict())
    words = len(taught.tokenizer)
    text = msgspec.structs.replace(recipe.text, vocabulary=words, context=recipe.decoder.max_tokens)
    decoder = GptConfig(vocabulary=words, **msgspec.structs.asdict(recipe.decoder))
    return ClipAac(audio, text, decoder, recipe.memory, recipe.width)


def train_small(recipe: ClipAacRecipe, order: Order) -> Path:
    """On prepared scenes; returns the folder of the checkpoint. Its captions and scores lie beside it."""
    why = f"{recipe.name} learns from scenes and what encoders hear of them"
    plans = given(order.scenes, "--scenes", recipe.name, why)
    weights = given(order.weights, "--weights", recipe.name, why)
    corpus, bundle = open_corpus(order.corpus, order.cache, order.progress), Bundle.open(order.bundle)
    shelf = Shelf(corpus, plans, weights, bundle, order.output, progress=order.progress)
    ear = EARS[recipe.audio]
    trunk = None if recipe.audio == "ours" else trunk_of(shelf)
    taught = Taught(*(hear_scenes(shelf, split, ear, trunk) for split in ("train", order.scored)))
    causes = {"recipe": recipe, "heard": shelf.heard(("train",), (ear,))}
    made_from.claim(order.output / "joint", causes, anew=order.anew)
    model = build(recipe, taught, trunk, ear)
    steps = max(1, round(recipe.epochs * len(taught.said) / recipe.batch))
    batches = batches_of(taught, recipe, ear)
    train_joint(model, recipe, batches, steps, Run(order.output, "joint"), order.progress)
    folder = order.output / "model"
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(model, folder / FILE)
    taught.tokenizer.save(folder)
    speaker = decoder_from(clip_aac.graphs(model, taught.width(ear)), taught.tokenizer.words)
    names = [taught.held.plans[row].id for row in taught.asked]
    write_scores(taught.say(speaker, ear), names, taught.references, order.scored, order.output)
    return folder


def hear_scenes(shelf: Shelf, split: Split, ear: str, trunk: CausalConvNeXt | None) -> Scenes:
    """A split's scenes as one of the ears hears them that a recipe's audio names."""
    if trunk is None:
        return shelf.scenes(split, (ear,))
    return shelf.scenes(split, (), [one for one in stage_ears(shelf, trunk) if one.name == ear])


def stage_ears(shelf: Shelf, trunk: CausalConvNeXt) -> list[Ear]:
    """What comes before the last stage of the bundle's trunk, and of one that was taught nothing."""
    return [
        stage_ear("ours-stage", trunk, shelf.bundle.manifest.graphs["encoder"].sha256),
        stage_ear("random-stage", random_trunk(trunk), "random, atto, seed 0"),
    ]


FILE = "clip-aac.safetensors"
STAGE_SHARE = 0.4
"""Of the clips, where the trunk's last stage is trained along: that costs five times as much a clip."""
EARS: Mapping[str, str] = {"ours": "ours", "stage": "ours-stage", "random stage": "random-stage"}
"""A recipe's audio -> who heard it."""


def small_table(shelf: Shelf, recipe: ClipAacRecipe, split: Split, steps: int | None = None) -> Trial:
    """Table 2 (α, batch), table 1 (where the audio head begins), and joint against two stages."""
    clips = steps * recipe.batch if steps else round(recipe.epochs * len(shelf.plans("train")))

    def steps_of(settings: ClipAacRecipe) -> int:
        share = 1.0 if settings.audio == "ours" else STAGE_SHARE
        return max(1, round(share * clips / settings.batch))

    rows: dict[str, dict[str, Any]] = {
        f"α {alpha}, batch {batch}": {"alpha": alpha, "batch": batch}
        for alpha, batch in ((0.0, 8), (0.1, 8), (0.2, 8), (0.3, 8), (0.2, 4), (0.2, 16))
    }
    rows["α 0.2, batch 8, map"] = {"memory": "map"}
    stage: dict[str, Any] = {"audio": "stage", "heads_rate": recipe.decoder_rate / 100}
    contrast = steps_of(msgspec.structs.replace(recipe, **stage))
    rows |= {
        "1 random": stage | {"audio": "random stage"},
        "2 audio only": stage,
        "3 audio-text, frozen": stage | {"contrast_steps": contrast, "is_frozen": True},
        "4 audio-text, trained": stage | {"contrast_steps": contrast},
    }
    rows |= {row: {"sizes": joint.SIZES} for row in joint.ROWS}
    trunk = trunk_of(shelf)
    taught = Taught(*(shelf.scenes(name, ("ours",), stage_ears(shelf, trunk)) for name in ("train", split)))

    def score(row: str, seed: int, folder: Path, progress: Progress) -> Scores:
        began = time.process_time()
        if row in joint.ROWS:
            ear = "ours"
            speaker, seconds = joint.train(row, seed, taught, shelf.sentences, folder, steps, progress)
        else:
            settings = msgspec.structs.replace(recipe, seed=seed, **rows[row])
            ear = EARS[settings.audio]
            model = build(settings, taught, trunk, ear)
            train_joint(
                model,
                settings,
                batches_of(taught, settings, ear),
                steps_of(settings),
                Run(folder, "joint"),
                progress,
            )
            seconds = time.process_time() - began
            speaker = decoder_from(clip_aac.graphs(model, taught.width(ear)), taught.tokenizer.words)
        return {**taught.score(taught.say(speaker, ear)), f"CPU seconds{ONCE}": np.array([seconds])}

    best = "α 0.2, batch 8"
    claims = [
        Claim("α 0.1, batch 8", "α 0.0, batch 8", "CIDEr-D", "0.379 > 0.368"),
        Claim(best, "α 0.0, batch 8", "CIDEr-D", "0.394 > 0.368"),
        Claim(best, "α 0.3, batch 8", "CIDEr-D", "0.394 > 0.380"),
        Claim(best, "α 0.2, batch 4", "CIDEr-D", "0.394 > 0.372"),
        Claim("α 0.2, batch 16", best, "CIDEr-D", "0.407 > 0.394"),
        Claim("α 0.2, batch 8, map", best, "CIDEr-D"),
        Claim("2 audio only", "1 random", "CIDEr-D", "0.217 > 0.060"),
        Claim("3 audio-text, frozen", "2 audio only", "CIDEr-D", "0.333 > 0.217"),
        Claim("4 audio-text, trained", "3 audio-text, frozen", "CIDEr-D", "0.394 > 0.333"),
        Claim(joint.JOINT, joint.TWO_STAGES, "CIDEr-D"),
    ]
    ears = ("ours", "ours-stage", "random-stage")
    causes = {"recipe": recipe, "steps": steps or 0, "heard": shelf.heard(("train", split), ears)}
    return Trial(paper="clip-aac", rows=rows, score=score, claims=claims, causes=causes)
