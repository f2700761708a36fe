"""Stage "head": the trunk stands still, and what reads the sounds from its embeddings is fitted again.

Trained together, trunk and head come to know the training recordings by heart. A head fitted from nothing
to embeddings that no longer move, and held back, names new recordings better. What it is fitted to:
- streams: binary cross-entropy of each chunk of composed streams, as the encoder was taught: what silence
  is, what a crowded room is, and what a score means;
- clips: cross-entropy of each clip, alone, as it was recorded and in other takes: which of all sounds it
  is. A clip's logit is the mean of its three best, near what the edge takes for evidence. Half of the time
  only its beginning has been heard, as when the first sentence is said;
- whether: binary cross-entropy of the same logits: whether it is each sound, whatever the others are;
- rooms, lasting: the same of quarter minutes of rooms in which nothing sounds, and of steady sounds that go
  on. Their best moments are judged: of a long night it is the odd moment that gets a caption.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import msgspec
import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from ..data.corpus import Clip
from ..distributed import team
from ..loop import Loss, Progress, Stage, fit, linear
from ..models.convnext import CausalConvNeXt
from ..run_folder import Run
from ..sound.compose import Composer, Shares
from ..sound.taxonomy import SYNTHETIC_SHARE
from .encoder import RARE
from .head_features import (
    HOURS,
    Taught,
    clip_embeddings,
    lasting_embeddings,
    room_embeddings,
    stream_embeddings,
)  # fmt: skip

BEST = 3
"""Chunks that a clip's logit is the mean of."""
BEGUN = (4, 10)
"""Chunks that have been heard of a clip's beginning, from its onset on: at least and at most."""
NO_ROWS = torch.zeros(0, dtype=torch.int64)


class HeadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The head stage of a recipe."""

    hours: Annotated[float, Meta(gt=0)] = HOURS
    """Composed sound."""
    clear: Annotated[float, Meta(ge=0, le=1)] = 0.6
    warnings: Annotated[float, Meta(ge=0, le=1)] = 0.15
    homes: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Shares of scenes, as in the encoder's stages."""
    clips: Annotated[float, Meta(ge=0)] = 6.0
    """Weight of the clips' loss beside the streams'."""
    whether: Annotated[float, Meta(ge=0)] = 2.0
    rooms: Annotated[float, Meta(ge=0)] = 2.0
    lasting: Annotated[float, Meta(ge=0)] = 1.0
    """Weights of the other losses beside the streams'.

    Of trials on a frozen trunk: LOG, "What a night of nothing sounds like, to a head" (626 validation clips).
    """
    takes: Annotated[int, Meta(ge=1)] = 4
    """How often each clip is heard: first as recorded, then with another speed, room and microphone."""
    begun: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """How often only the beginning of a clip is judged."""
    silence: Annotated[float, Meta(gt=0)] = 6.0
    """Factor of the loss of a stream's chunk in which nothing sounds; one in which something does has 1.

    What is invented is heard all night. 1, 6 and 15 were tried: LOG, "A head fitted again".
    """
    decay: Annotated[float, Meta(ge=0)] = 6e-3
    """Ridge: the loss has decay * sum of w² over all coefficients, for embeddings of mean 0, deviation 1."""
    made: Annotated[float, Meta(ge=0)] = 0.1
    """Factor of `decay` for sounds that are synthesised at least half of the time: no two of those are the
    same recording, so there is nothing to learn by heart."""
    steps: Annotated[int, Meta(ge=1)] = 200
    learning_rate: Annotated[float, Meta(gt=0)] = 0.02
    seed: int = 1


def train_head(
    encoder: CausalConvNeXt, composer: Composer, clips: Sequence[Clip], run: Run, settings: HeadSettings,
    progress: Progress = lambda done, what: None,
) -> None:  # fmt: skip
    """Fit the encoder's head in place; the trunk, and so every embedding, stays. A finished run is loaded.

    The leader fits it. What a run that was stopped had heard, the encoder hears again: that is most of the
    work, but fills gigabytes.
    """
    with team().leader_first():
        finished = run.folder / "head.pt"
        if not finished.exists():
            taught = Taught(
                stream_embeddings(
                    encoder,
                    composer,
                    settings.hours,
                    settings.seed,
                    Shares(settings.warnings, settings.homes, settings.clear),
                    progress,
                ),
                clip_embeddings(encoder, composer, clips, progress, takes=settings.takes),
                room_embeddings(encoder, composer, settings.hours, settings.seed, progress),
                lasting_embeddings(encoder, composer, settings.hours, settings.seed, progress),
            )
            made = composer.library.indices(name for name, share in SYNTHETIC_SHARE.items() if share >= 0.5)
            head = fit_head(taught, settings, made, run, progress)
            run.keep(finished.name, head.state_dict())
    encoder.head.load_state_dict(torch.load(finished, weights_only=True))


class Reader(nn.Module):
    """The head while it is fitted: it reads embeddings (…, width) moved and scaled to deviation one."""

    def __init__(self, embeddings: Tensor, sounds: int) -> None:
        """Zero weights and rare sounds; embeddings: (n, width), for mean and deviation."""
        super().__init__()
        self.head = nn.Linear(embeddings.shape[1], sounds)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, RARE)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", embeddings.float().mean(0))
        self.register_buffer("deviation", embeddings.float().std())

    def forward(self, embeddings: Tensor) -> Tensor:
        logits: Tensor = self.head((embeddings.float() - self.mean) / self.deviation)
        return logits

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """The same for embeddings as they come."""
        folded = nn.Linear(self.head.in_features, self.head.out_features)
        folded.weight.copy_(self.head.weight / self.deviation)
        folded.bias.copy_(self.head.bias - folded.weight @ self.mean)
        return folded


class Drawn(NamedTuple):
    """A batch: rows of streams and of clips, how much is heard of each clip, rows of rooms and of lasting."""

    streams: Tensor
    clips: Tensor
    chunks: Tensor
    rooms: Tensor
    lasting: Tensor


def fit_head(
    taught: Taught, settings: HeadSettings, made: Sequence[int] = (), run: Run | None = None,
    progress: Progress = lambda done, what: None,
) -> nn.Linear:  # fmt: skip
    """The head for embeddings as they come, from zero weights and rare sounds. made: sounds held less."""
    torch.manual_seed(settings.seed)
    streams, clips = taught.streams, taught.clips
    sounds = streams.heard.shape[1]
    reader = Reader(streams.embeddings, sounds)
    held = torch.full((sounds, 1), settings.decay)
    held[list(made)] *= settings.made
    weights = {
        "streams": 1.0, "clips": settings.clips, "whether": settings.whether, "rooms": settings.rooms,
        "lasting": settings.lasting,
    }  # fmt: skip

    def batches(begin: int) -> Iterator[Drawn]:
        if begin:
            torch.manual_seed(settings.seed + begin)
        while True:
            some = torch.randint(len(streams.embeddings), (min(4096, len(streams.embeddings)),))
            few = torch.randperm(len(clips.label))[:768]
            begun = torch.randint(BEGUN[0], BEGUN[1] + 1, few.shape)
            whole = torch.rand(few.shape) >= settings.begun
            stretches = [
                torch.randint(len(long.embeddings), (count,)) if len(long.embeddings) else NO_ROWS
                for long, count in ((taught.rooms, 64), (taught.lasting, 128))
            ]
            yield Drawn(some, few, begun.masked_fill(whole, clips.mask.shape[1]), *stretches)

    def loss(drawn: Drawn) -> Loss:
        some, few = drawn.streams, drawn.clips
        told = _whether(reader(streams.embeddings[some]), streams.heard[some], streams.weight[some])
        is_silent = ~streams.heard[some].any(1)
        figures = {"streams": (told * torch.where(is_silent, settings.silence, 1.0)).mean()}
        mask = clips.mask_for(few, drawn.chunks)
        best = _best(reader(clips.embeddings[few]).masked_fill(~mask[..., None], 3 * RARE))
        label, others = clips.label[few], clips.others[few]
        figures["clips"] = F.cross_entropy(best.masked_fill(others, float("-inf")), label)
        figures["whether"] = _whether(best, F.one_hot(label, sounds), ~others).mean()
        for name, long, rows in (
            ("rooms", taught.rooms, drawn.rooms), ("lasting", taught.lasting, drawn.lasting),
        ):  # fmt: skip
            if len(rows):
                best = _best(reader(long.embeddings[rows]))
                figures[name] = _whether(best, long.heard[rows], long.weight[rows]).mean()
        value = (held * reader.head.weight.square()).sum()
        for name, figure in figures.items():
            value = value + weights[name] * figure
        return value, {name: figure.detach() for name, figure in figures.items()}

    fit(reader, batches, loss, Stage(
        steps=settings.steps, optimiser=torch.optim.Adam(reader.parameters(), lr=settings.learning_rate),
        schedule=linear(settings.steps), run=run, progress=progress,
    ))  # fmt: skip
    return reader.folded()


def _best(logits: Tensor) -> Tensor:
    """(n, chunks, sounds) -> (n, sounds): the mean of the three best chunks."""
    return logits.topk(min(BEST, logits.shape[1]), dim=1).values.mean(1)


def _whether(logits: Tensor, heard: Tensor, weight: Tensor) -> Tensor:
    """(n, sounds) each -> (n,): binary cross-entropy, summed over sounds."""
    return F.binary_cross_entropy_with_logits(logits, heard.float(), weight.float(), reduction="none").sum(1)
