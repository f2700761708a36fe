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
  on. Their best moments are judged: of a long night it is the odd moment that gets a caption;
- pairs: of two sounds at once each against all the sounds that there are not, as if it were alone, and
  whether both are there.
"""

from collections.abc import Iterator, Mapping, Sequence
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
    PairEmbeddings,
    Taught,
    clip_embeddings,
    lasting_embeddings,
    lived_in,
    pair_embeddings,
    room_embeddings,
    stream_embeddings,
)  # fmt: skip

BEST = 3
"""Chunks that a clip's logit is the mean of."""
BEGUN = (4, 10)
"""Chunks that have been heard of a clip's beginning, from its onset on: at least and at most."""
STREAMED = 16 / 3
"""Chunks of streams in a batch for each clip."""
NEVER = -1e4
"""Logit of what is no rival."""
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
    pairs: Annotated[float, Meta(ge=0)] = 0.0
    """Weights of the other losses beside the streams'.

    Of trials on a frozen trunk: LOG, "What a night of nothing sounds like, to a head" (626 validation clips).
    """
    takes: Annotated[int, Meta(ge=1)] = 4
    """How often each clip is heard: first as recorded, then with another speed, room and microphone."""
    at_home: bool = False
    """Other takes are at home (`Composer.as_at_home`)."""
    count: Annotated[int, Meta(ge=1)] = 6000
    """Pairs of sounds, where they have a weight."""
    opinion: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Share of a clip's target that is what others take it for, where that is known."""
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
    batch: Annotated[int, Meta(ge=1)] = 768
    """Clips in a batch; of the other parts as many in proportion."""
    kept: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the trunk's own head in the one that is left: logits are a mean of the two's, which err
    differently (LOG, "A trunk for rooms")."""
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
                clip_embeddings(
                    encoder,
                    composer,
                    clips,
                    progress,
                    takes=settings.takes,
                    retake=lived_in(composer) if settings.at_home else None,
                ),
                room_embeddings(encoder, composer, settings.hours, settings.seed, progress),
                lasting_embeddings(encoder, composer, settings.hours, settings.seed, progress),
                pair_embeddings(encoder, composer, settings.count, settings.seed, progress)
                if settings.pairs
                else None,
            )
            made = composer.library.indices(name for name, share in SYNTHETIC_SHARE.items() if share >= 0.5)
            head = fit_head(taught, settings, made, run, progress)
            run.keep(finished.name, head.state_dict())
    encoder.head.load_state_dict(blend(torch.load(finished, weights_only=True), encoder.head, settings.kept))


def blend(fitted: Mapping[str, Tensor], own: nn.Module, kept: float) -> dict[str, Tensor]:
    """The state of a head whose logits are a mean of the fitted one's and, by the share `kept`, of the
    trunk's own."""
    state = own.state_dict()
    return {name: torch.lerp(tensor, state[name], kept) for name, tensor in fitted.items()}


class Reader(nn.Module):
    """The head while it is fitted: it reads embeddings (…, width) moved and scaled to deviation one."""

    def __init__(self, embeddings: Tensor, sounds: int, hidden: int = 0) -> None:
        """Zero weights and rare sounds; embeddings: (n, width), for mean and deviation.

        hidden: numbers of a layer between; 0: a straight line.
        """
        super().__init__()
        width = embeddings.shape[1]
        self.between = nn.Linear(width, hidden) if hidden else None
        self.head = nn.Linear(hidden or width, sounds)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, RARE)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", embeddings.float().mean(0))
        self.register_buffer("deviation", embeddings.float().std())

    def forward(self, embeddings: Tensor) -> Tensor:
        normal = (embeddings.float() - self.mean) / self.deviation
        logits: Tensor = self.head(F.hardswish(self.between(normal)) if self.between else normal)
        return logits

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """The same for embeddings as they come."""
        first = self.between or self.head
        folded = nn.Linear(first.in_features, first.out_features)
        folded.weight.copy_(first.weight / self.deviation)
        folded.bias.copy_(first.bias - folded.weight @ self.mean)
        return nn.Sequential(folded, nn.Hardswish(), self.head) if self.between else folded


class Drawn(NamedTuple):
    """A batch: rows of streams and of clips, how much is heard of each clip, rows of the other parts."""

    streams: Tensor
    clips: Tensor
    chunks: Tensor
    rooms: Tensor
    lasting: Tensor
    pairs: Tensor


def fit_head(
    taught: Taught, settings: HeadSettings, made: Sequence[int] = (), run: Run | None = None,
    progress: Progress = lambda done, what: None, *, hidden: int = 0,
) -> nn.Module:  # fmt: skip
    """The head for embeddings as they come, from zero weights and rare sounds. made: sounds held less.

    hidden: of the `Reader`; a straight line is an nn.Linear.
    """
    torch.manual_seed(settings.seed)
    streams, clips, pairs = taught.streams, taught.clips, taught.pairs if settings.pairs else None
    sounds = streams.heard.shape[1]
    reader = Reader(streams.embeddings, sounds, hidden)
    held = torch.full((sounds, 1), settings.decay)
    held[list(made)] *= settings.made
    weights = {
        "streams": 1.0, "clips": settings.clips, "whether": settings.whether, "rooms": settings.rooms,
        "lasting": settings.lasting, "pairs": settings.pairs,
    }  # fmt: skip

    def batches(begin: int) -> Iterator[Drawn]:
        if begin:
            torch.manual_seed(settings.seed + begin)
        while True:
            count = min(round(STREAMED * settings.batch), len(streams.embeddings))
            some = torch.randint(len(streams.embeddings), (count,))
            few = torch.randperm(len(clips.label))[: settings.batch]
            begun = torch.randint(BEGUN[0], BEGUN[1] + 1, few.shape)
            whole = torch.rand(few.shape) >= settings.begun
            rooms, lasting, two = (
                torch.randint(len(long.embeddings), (-(-settings.batch // part),))
                if long and len(long.embeddings)
                else NO_ROWS
                for long, part in ((taught.rooms, 12), (taught.lasting, 6), (pairs, 3))
            )
            yield Drawn(some, few, begun.masked_fill(whole, clips.mask.shape[1]), rooms, lasting, two)

    def loss(drawn: Drawn) -> Loss:
        some, few = drawn.streams, drawn.clips
        told = _whether(reader(streams.embeddings[some]), streams.heard[some], streams.weight[some])
        is_silent = ~streams.heard[some].any(1)
        figures = {"streams": (told * torch.where(is_silent, settings.silence, 1.0)).mean()}
        mask = clips.mask_for(few, drawn.chunks)
        logits = torch.full((*mask.shape, sounds), 3 * RARE)
        best = _best(logits.masked_scatter(mask[..., None], reader(clips.embeddings[few][mask])))
        label, others = clips.label[few], clips.others[few]
        target = _target(label, others, clips.opinion, few, settings.opinion)
        figures["clips"] = F.cross_entropy(best.masked_fill(others, NEVER), target)
        figures["whether"] = _whether(best, F.one_hot(label, sounds), ~others).mean()
        for name, long, rows in (
            ("rooms", taught.rooms, drawn.rooms), ("lasting", taught.lasting, drawn.lasting),
        ):  # fmt: skip
            if len(rows):
                best = _best(reader(long.embeddings[rows]))
                figures[name] = _whether(best, long.heard[rows], long.weight[rows]).mean()
        if pairs:
            figures["pairs"] = _of_pairs(reader(pairs.embeddings[drawn.pairs]), pairs, drawn.pairs)
        value = (held * reader.head.weight.square()).sum()
        if reader.between:
            value = value + settings.decay * reader.between.weight.square().sum()
        for name, figure in figures.items():
            value = value + weights[name] * figure
        return value, {name: figure.detach() for name, figure in figures.items()}

    fit(reader, batches, loss, Stage(
        steps=settings.steps, optimiser=torch.optim.Adam(reader.parameters(), lr=settings.learning_rate),
        schedule=linear(settings.steps), run=run, progress=progress,
    ))  # fmt: skip
    return reader.folded()


def _target(label: Tensor, others: Tensor, opinion: Tensor | None, rows: Tensor, share: float) -> Tensor:
    """(n, sounds) the distribution of each clip: its label, and a share of what others take it for."""
    known = F.one_hot(label, others.shape[1]).float()
    if opinion is None:
        return known
    said = opinion[rows].float().masked_fill(others, 0.0)
    return (1 - share) * known + share * said / said.sum(1, keepdim=True).clamp_min(1e-6)


def _of_pairs(logits: Tensor, pairs: PairEmbeddings, rows: Tensor) -> Tensor:
    """Of (n, chunks, sounds) logits: each of the two where it sounds, whatever the other is; and both."""
    label, others = pairs.label[rows], pairs.others[rows]
    both = torch.zeros_like(others).scatter(1, label, value=True)
    named = []
    for which in range(2):
        heard = logits.masked_fill(~pairs.mask[rows][:, which, :, None], 3 * RARE)
        rivals = others | both.scatter(1, label[:, [which]], value=False)
        named.append(F.cross_entropy(_best(heard).masked_fill(rivals, NEVER), label[:, which]))
    return torch.stack(named).mean() + _whether(_best(logits), both, ~others).mean()


def _best(logits: Tensor) -> Tensor:
    """(n, chunks, sounds) -> (n, sounds): the mean of the three best chunks."""
    return logits.topk(min(BEST, logits.shape[1]), dim=1).values.mean(1)


def _whether(logits: Tensor, heard: Tensor, weight: Tensor) -> Tensor:
    """(n, sounds) each -> (n,): binary cross-entropy, summed over sounds."""
    return F.binary_cross_entropy_with_logits(logits, heard.float(), weight.float(), reduction="none").sum(1)
