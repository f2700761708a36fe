"""Stage "opinion": the second opinion, a public tagger's net that goes on learning, on our sounds at home.

The encoder hears all day and can hold but a part of what its teacher knows. Where something is to be said,
the teacher's net is asked itself: it hears the last few seconds whole (runtime/hearing/opinion.py). As it
was published it knows clips as they were recorded; across a room, or over noise, it is misled, and no line
drawn from its vectors mends that. So it learns from windows as the edge asks about them
(opinion_windows.py), with a line to our sounds. Losses per window:
- whether: binary cross-entropy on what sounds in it, of the same scores that the edge reads;
- which: cross-entropy of windows in which one sound stands out, against all that nobody says is there;
- vectors, judgement: as the encoder's stage has them (encoder.py). The published net hears the window from
  beside the sound; what it knows beyond our labels is kept, and taught across the room.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Annotated

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from msgspec import Meta
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ...runtime.audio import CHUNK
from ...runtime.hearing.opinion import SPARSE
from ..loop import Loss, Progress, Stage, channels_last, cosine, decayed, fit
from ..models.mobilenet import WIDTH, MobileNet
from ..onnx_graph import drop_unused
from ..run_folder import Run
from ..sound.compose import Composer
from .encoder import RARE, judgement_loss
from .head import NEVER
from .opinion_windows import NOBODY, Drawn, Windows, WindowSettings
from .teacher import FLOOR, SCALE, SHIFT, Teacher

GRAPH_FILE = "opinion.onnx"
"""Of the checkpoint."""
RECENT = 6
"""Steps of 320 ms: what sounds now may be new in a window that began with something else, so a score is the
better of the whole window's and of its last two seconds'."""
WORKERS = 2
"""Processes that compose: that takes twice as long as learning."""
FITTED = 16
"""Batches that the vectors' mean and deviation are taken of."""
OVER, KEPT = 2.0, 0.1
"""What was there is subtracted so many times, for it is told by its least; so much of a band is left at
least (training/LOG.md, "What was there all along")."""
LARGE = 64
"""Numbers of a tensor from which on half precision is worth a cast."""


class OpinionSettings(WindowSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The opinion stage of a recipe."""

    steps: Annotated[int, Meta(ge=1)] = 8000
    learning_rate: Annotated[float, Meta(ge=0)] = 6e-4
    """Of the net; 0: it stays as it was published."""
    line_rate: Annotated[float, Meta(gt=0)] = 4e-3
    """Of the line, which is new."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.05
    warmup: Annotated[int, Meta(ge=0)] = 200
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    which: Annotated[float, Meta(ge=0)] = 3.0
    vectors: Annotated[float, Meta(ge=0)] = 3.0
    judgement: Annotated[float, Meta(ge=0)] = 1.0
    """Weights of the losses beside "whether"."""


class OpinionNet(nn.Module):
    """The net and the line to our sounds."""

    def __init__(self, teacher: Teacher, sounds: int) -> None:
        super().__init__()
        self.net = MobileNet(2)
        self.net.read(teacher.tensors)
        self.line = nn.Linear(WIDTH, sounds)
        nn.init.zeros_(self.line.weight)
        nn.init.constant_(self.line.bias, RARE)
        self.scale: Tensor
        """(2, 384): mean and deviation of the published net's vectors."""
        self.register_buffer("scale", torch.stack([torch.zeros(WIDTH), torch.ones(WIDTH)]))

    def forward(self, log_mel: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 128, frames), and (B, 128) there all along -> (B, steps, 384) vectors, (B, sounds) logits of
        the window."""
        vectors = self.net(torch.stack([log_mel, risen(log_mel, there)], 1))
        return vectors, self.logits(vectors)

    def logits(self, vectors: Tensor) -> Tensor:
        """(B, steps, 384) -> (B, sounds), as the edge has them."""
        mean, deviation = self.scale
        whole, recent = (
            self.line((part.mean(1) - mean) / deviation.mean()) for part in (vectors, vectors[:, -RECENT:])
        )
        return torch.maximum(whole, recent)


def risen(log_mel: Tensor, there: Tensor) -> Tensor:
    """(B, 128, frames) and (B, 128) log-mels -> (B, 128, frames), what has come to what was there all along:
    powers are subtracted, more of them than there were (Berouti et al. 1979), and KEPT is left at least."""
    come = 1 - OVER * ((there[:, :, None] - log_mel) * SCALE).exp()
    return log_mel + come.clamp_min(KEPT).log() / SCALE


def train_opinion(
    teacher: Teacher, composer: Composer, run: Run, settings: OpinionSettings,
    progress: Progress = lambda done, what: None,
) -> OpinionNet:  # fmt: skip
    """Train the published net further; resumes from the run's last checkpoint."""
    torch.manual_seed(settings.seed)
    model = OpinionNet(teacher, len(composer.labels))
    channels_last(model.net)
    model.train()

    def batches(begin: int) -> Iterable[Windows]:
        drawn = Drawn(teacher, composer, settings, begin)
        if not begin:
            vectors = torch.cat([windows.vectors.flatten(0, 1) for windows in islice(drawn, FITTED)])
            model.scale.copy_(torch.stack([vectors.mean(0), vectors.std(0) + 1e-3]))
        return DataLoader(drawn, batch_size=None, num_workers=WORKERS)

    fit(model, batches, Lesson(model, teacher, settings), Stage(
        steps=settings.steps,
        optimiser=torch.optim.AdamW(
            [
                {**group, "lr": rate}
                for part, rate in ((model.net, settings.learning_rate), (model.line, settings.line_rate))
                for group in decayed(part, settings.weight_decay)
            ],
            betas=(0.9, 0.98), fused=True,
        ),
        schedule=cosine(settings.steps, settings.warmup),
        average=settings.average, clip=5.0, run=run, progress=progress,
    ))  # fmt: skip
    return model


class Lesson:
    """The loss of a batch of windows."""

    def __init__(self, model: OpinionNet, teacher: Teacher, settings: OpinionSettings) -> None:
        self._model, self._teacher, self._settings = model, teacher, settings

    def __call__(self, windows: Windows) -> Loss:
        settings = self._settings
        vectors, logits = self._model(windows.log_mel, windows.there)
        told = F.binary_cross_entropy_with_logits(logits, windows.heard, windows.weight, reduction="none")
        whether = told.sum(-1).mean()
        alone = windows.label != NOBODY
        rivals = logits.masked_fill(windows.others, NEVER)[alone]
        summed = F.cross_entropy(rivals, windows.label[alone], reduction="sum")
        which = summed / alone.sum().clamp_min(1)
        _, deviation = self._model.scale
        near = F.mse_loss(vectors / deviation, windows.vectors / deviation)
        apart = judgement_loss(self._teacher.classify, vectors, windows.vectors)
        loss = whether + settings.which * which + settings.vectors * near + settings.judgement * apart
        parts = {"whether": whether, "which": which, "vectors": near, "judgement": apart}
        return loss, {name: value.detach() for name, value in parts.items()}


@torch.no_grad()
def graph_of(teacher: Teacher, model: OpinionNet) -> bytes:
    """The ONNX file: `power` (1, frames, 513) and `before` (1, past, 513), of `runtime/hearing/opinion.py`,
    -> `scores` (1, sounds).

    The teacher's own graph with the weights that it has come to, between its mel bands and our line; weights
    are kept in half precision and computed with in single.
    """
    net = onnx.load(teacher.net)
    for weight, tensor in zip(net.graph.initializer, model.net.tensors(), strict=False):
        weight.CopyFrom(numpy_helper.from_array(tensor.contiguous().numpy(), weight.name))
    mean, deviation = model.scale
    line = model.line.weight / deviation.mean()
    weights = {
        "mel": teacher.mel.T.numpy(), "floor": FLOOR, "shift": SHIFT, "scale": SCALE,
        "one": 1.0, "over": OVER, "kept": KEPT,
        "line": line.T.numpy(), "bias": (model.line.bias - line @ mean).numpy(),
    }  # fmt: skip
    node = helper.make_node
    before = [
        *(
            made
            for heard in ("power", "before")
            for made in (
                node("MatMul", [heard, "mel"], [f"{heard}_bands"]),
                node("Add", [f"{heard}_bands", "floor"], [f"{heard}_floored"]),
                node("Log", [f"{heard}_floored"], [f"{heard}_logs"]),
                node("Reshape", [f"{heard}_logs", f"{heard}_by_chunk"], [f"{heard}_frames"]),
                node("ReduceMean", [f"{heard}_frames"], [f"{heard}_chunks"], axes=[1], keepdims=0),
            )
        ),
        node("Concat", ["before_chunks", "power_chunks"], ["chunks"], axis=0),
        node("ReduceMin", ["chunks"], ["there"], axes=[0], keepdims=1),
        node("Sub", ["there", "power_logs"], ["covered"]), node("Exp", ["covered"], ["once"]),
        node("Mul", ["over", "once"], ["share"]),
        node("Sub", ["one", "share"], ["come"]), node("Max", ["come", "kept"], ["left"]),
        node("Log", ["left"], ["less"]), node("Add", ["power_logs", "less"], ["risen"]),
        *(node("Unsqueeze", [heard, "channel"], [f"{heard}_of"]) for heard in ("power_logs", "risen")),
        node("Concat", ["power_logs_of", "risen_of"], ["both"], axis=1),
        node("Add", ["both", "shift"], ["shifted"]), node("Div", ["shifted", "scale"], ["scaled"]),
        node("Transpose", ["scaled"], ["logmel"], perm=[0, 1, 3, 2]),
    ]  # fmt: skip
    after = [
        node("Slice", ["sequence", "recent", "end", "steps"], ["last"]),
        *(
            made
            for part in ("sequence", "last")
            for made in (
                node("ReduceMean", [part], [f"{part}_mean"], axes=[1], keepdims=0),
                node("Gemm", [f"{part}_mean", "line", "bias"], [f"{part}_logits"]),
            )
        ),
        node("Max", ["sequence_logits", "last_logits"], ["logits_of_ours"]),
        node("Sigmoid", ["logits_of_ours"], ["scores"]),
    ]
    for each in net.graph.node:  # the net's own scores give their name to ours
        each.output[:] = ["audioset_scores" if name == "scores" else name for name in each.output]
    integers = {
        "channel": [1], "recent": [-RECENT], "end": [2**31], "steps": [1],
        "power_by_chunk": [-1, CHUNK, len(teacher.mel)],
        "before_by_chunk": [-1, CHUNK // SPARSE, len(teacher.mel)],
    }  # fmt: skip
    constants = [
        *(numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()),
        *(numpy_helper.from_array(np.array(value, np.int64), name) for name, value in integers.items()),
    ]
    sounds = model.line.out_features
    graph = helper.make_graph(
        [*before, *net.graph.node, *after], "opinion",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, frames, teacher.mel.shape[1]])
            for name, frames in (("power", "frames"), ("before", "past"))
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, sounds])],
        [*constants, *net.graph.initializer],
    )  # fmt: skip
    drop_unused(graph)
    _halve(graph)
    model = helper.make_model(graph, opset_imports=net.opset_import, ir_version=net.ir_version)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _halve(graph: onnx.GraphProto) -> None:
    """Weights in float16, each cast when the graph is loaded: ONNX Runtime does so once."""
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size >= LARGE:
            half = f"{weight.name}_half"
            casts.append(helper.make_node("Cast", [half], [weight.name], to=TensorProto.FLOAT))
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
