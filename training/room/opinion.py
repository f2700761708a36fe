"""Stage "opinion": a straight line to our sounds from what the teacher itself makes of the last seconds.

The encoder hears all day and can hold but a part of what its teacher knows: on new recordings it is as far
from the teacher's vectors as on those it learnt from. Where something is to be said, the teacher is asked
itself: it hears the last few seconds whole (runtime/hearing/opinion.py), and the two are wrong about
different sounds (training/LOG.md, "A second opinion"). What is fitted is the line alone, as a head is
(head.py), to windows as the edge will ask about them: a clip's first seconds, as recorded and at home; scenes
of streams; rooms in which nothing sounds.
"""

import itertools
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
import onnx
import torch
from msgspec import Meta
from numpy.random import Generator
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ...runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ...runtime.hearing.opinion import CHUNKS
from ..data.corpus import Clip
from ..loop import Progress
from ..run_folder import Run
from ..sound.compose import Composer, Shares
from ..sound.taxonomy import SYNTHETIC_SHARE
from .head import HeadSettings, fit_head
from .head_features import HISS, ClipEmbeddings, StreamEmbeddings, Stretches, Taught, lived_in
from .teacher import FLOOR, SCALE, SHIFT, WIDTH, Teacher

LEAST_CHUNKS = 3
"""Of a window, the lead among them."""
WINDOWS = 2
"""Of each take, a short and a long one, drawn evenly in log length."""
FILE, GRAPH_FILE = "line.pt", "opinion.onnx"
"""Of the run: the line; of the checkpoint: the graph."""
RECENT = 6
"""Steps of 320 ms: what sounds now may be new in a window that began with something else, so a score is the
better of the whole window's and of its last two seconds'."""
LARGE = 64
"""Numbers of a tensor from which on half precision is worth a cast."""


class OpinionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The opinion stage of a recipe."""

    takes: Annotated[int, Meta(ge=1)] = 3
    """How often each clip is heard: first as recorded, then at home."""
    scenes: Annotated[int, Meta(ge=1)] = 3000
    rooms: Annotated[int, Meta(ge=1)] = 600
    """Windows of empty ones."""
    shares: tuple[float, float, float] = (0.1, 0.4, 0.6)
    """Of scenes: `Shares`."""
    clips: Annotated[float, Meta(ge=0)] = 12.0
    nothing: Annotated[float, Meta(ge=0)] = 12.0
    """Weights of the clips' and the empty rooms' loss beside the scenes'; what follows as `HeadSettings` has
    it."""
    decay: Annotated[float, Meta(ge=0)] = 6e-3
    steps: Annotated[int, Meta(ge=1)] = 600
    learning_rate: Annotated[float, Meta(gt=0)] = 0.03
    seed: int = 1


def train_opinion(
    teacher: Teacher, composer: Composer, clips: Sequence[Clip], run: Run, settings: OpinionSettings,
    progress: Progress = lambda done, what: None,
) -> nn.Linear:  # fmt: skip
    """The line (384 -> sounds) whose sigmoids are the opinion. A finished run is loaded."""
    line = nn.Linear(WIDTH, len(composer.labels))
    finished = run.folder / FILE
    if not finished.exists():
        made = composer.library.indices(name for name, share in SYNTHETIC_SHARE.items() if share >= 0.5)
        taught = hear(teacher, composer, clips, settings, progress)
        head = HeadSettings(
            clips=settings.clips, rooms=settings.nothing, decay=settings.decay, steps=settings.steps,
            learning_rate=settings.learning_rate, seed=settings.seed,
        )  # fmt: skip
        run.keep(finished.name, fit_head(taught, head, made, run, progress).state_dict())
    line.load_state_dict(torch.load(finished, weights_only=True))
    return line


def hear(
    teacher: Teacher, composer: Composer, clips: Sequence[Clip], settings: OpinionSettings,
    progress: Progress = lambda done, what: None,
) -> Taught:  # fmt: skip
    """What the teacher makes of windows: their mean vectors, in the shapes that `fit_head` takes."""
    rng = np.random.default_rng([settings.seed, 16])
    return Taught(
        _streams(rng, teacher, composer, settings, progress),
        _clips(rng, teacher, composer, clips, settings.takes, progress),
        _rooms(rng, teacher, composer, settings.rooms, progress),
        Stretches(*(torch.zeros(0, 1, width) for width in (WIDTH, *2 * [len(composer.labels)]))),
    )


def _heard(teacher: Teacher, samples: Samples, begin: int, chunks: int) -> Tensor:
    """(384,) of a window of so many chunks, or to the end, from sample `begin`."""
    window = samples[max(begin, 0) : max(begin, 0) + chunks * CHUNK_SAMPLES]
    window = np.pad(window, (0, max(0, LEAST_CHUNKS * CHUNK_SAMPLES - len(window)))).astype(np.float32)
    return teacher.sequence(torch.from_numpy(window)[None])[0].mean(0)


def _lengths(rng: Generator) -> list[int]:
    """Chunks of a take's windows."""
    edges = np.exp(np.linspace(np.log(LEAST_CHUNKS), np.log(CHUNKS + 0.99), WINDOWS + 1))
    return [int(rng.uniform(low, high)) for low, high in itertools.pairwise(edges)]


def _clips(
    rng: Generator, teacher: Teacher, composer: Composer, clips: Sequence[Clip], takes: int,
    progress: Progress,
) -> ClipEmbeddings:  # fmt: skip
    """Each window is a clip of one chunk; it begins a chunk before its sound does."""
    library, retake = composer.library, lived_in(composer)
    known = [clip for clip in clips if clip.label in library.index]
    vectors, labels, others = [], [], []
    for done, clip in enumerate(known):
        sound = library.corpus.audio(clip)[: 10 * RATE]
        own = library.index[clip.label]
        for take in range(takes):
            samples, onset, besides = retake(rng, sound)
            if not take:
                hiss = rng.normal(0, HISS, 3 * CHUNK_SAMPLES + len(sound)).astype(np.float32)
                hiss[3 * CHUNK_SAMPLES :] += sound
                samples, besides = hiss, ()
            no_rival = torch.from_numpy(composer.related[[own, *besides]].any(0)).bool()
            no_rival[[*library.indices(clip.labels), *besides]] = True
            no_rival[own] = False
            for chunks in _lengths(rng):
                vectors.append(_heard(teacher, samples, (onset - 1) * CHUNK_SAMPLES, chunks))
                labels.append(own)
                others.append(no_rival)
        if done % 50 == 0:
            progress(done / len(known), "opinion: listening to clips")
    n = len(vectors)
    return ClipEmbeddings(
        torch.stack(vectors)[:, None], torch.ones(n, 1, dtype=torch.bool), torch.tensor(labels),
        torch.stack(others), torch.zeros(n, dtype=torch.int64),
    )  # fmt: skip


def _streams(
    rng: Generator, teacher: Teacher, composer: Composer, settings: OpinionSettings, progress: Progress
) -> StreamEmbeddings:
    """A window of each scene that ends anywhere in it: what sounds in it, and what of that is taught."""
    vectors, heard, weight = [], [], []
    for done in range(settings.scenes):
        scene = composer.draw(rng, Shares(*settings.shares))
        targets = composer.targets(scene)
        chunks = int(np.exp(rng.uniform(np.log(LEAST_CHUNKS), np.log(CHUNKS + 0.99))))
        end = int(rng.integers(min(LEAST_CHUNKS, len(targets.heard)), len(targets.heard) + 1))
        begin = max(0, end - chunks)
        vectors.append(_heard(teacher, scene.samples, begin * CHUNK_SAMPLES, end - begin))
        sounding, taught = targets.heard[begin:end], targets.weight[begin:end]
        heard.append(sounding.max(0))
        weight.append(np.where(sounding.any(0), 1.0, taught.min(0)))
        if done % 50 == 0:
            progress(done / settings.scenes, "opinion: listening to scenes")
    known = (torch.from_numpy(np.stack(each) > 0) for each in (heard, weight))
    return StreamEmbeddings(torch.stack(vectors), *known)


def _rooms(rng: Generator, teacher: Teacher, composer: Composer, count: int, progress: Progress) -> Stretches:
    """Windows of rooms in which nothing sounds."""
    n = CHUNKS * CHUNK_SAMPLES
    rooms = [composer.library.room(rng, n, rng.uniform(-75, -36)) for _ in range(count)]
    vectors = torch.stack([_heard(teacher, room, 0, CHUNKS) for room in rooms])
    progress(1.0, "opinion: listening to empty rooms")
    nothing = torch.zeros(count, len(composer.labels))
    return Stretches(vectors[:, None], nothing, torch.ones_like(nothing))


def graph_of(teacher: Teacher, line: nn.Linear) -> bytes:
    """The ONNX file: `power` (1, frames, 513), of `runtime/hearing/opinion.py`, -> `scores` (1, sounds).

    The teacher's own net between its mel bands and our line; weights are kept in half precision and computed
    with in single.
    """
    net = onnx.load(teacher.net)
    weights = {
        "mel": teacher.mel.T.numpy(), "floor": FLOOR, "shift": SHIFT, "scale": SCALE,
        "line": line.weight.detach().T.numpy(), "bias": line.bias.detach().numpy(),
    }  # fmt: skip
    node = helper.make_node
    before = [
        node("MatMul", ["power", "mel"], ["bands"]), node("Add", ["bands", "floor"], ["floored"]),
        node("Log", ["floored"], ["logs"]), node("Add", ["logs", "shift"], ["shifted"]),
        node("Div", ["shifted", "scale"], ["scaled"]),
        node("Transpose", ["scaled"], ["turned"], perm=[0, 2, 1]),
        node("Unsqueeze", ["turned", "channel"], ["logmel"]),
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
    integers = {"channel": [1], "recent": [-RECENT], "end": [2**31], "steps": [1]}
    constants = [
        *(numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()),
        *(numpy_helper.from_array(np.array(value, np.int64), name) for name, value in integers.items()),
    ]
    sounds = line.out_features
    graph = helper.make_graph(
        [*before, *net.graph.node, *after], "opinion",
        [helper.make_tensor_value_info("power", TensorProto.FLOAT, [1, "frames", teacher.mel.shape[1]])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, sounds])],
        [*constants, *net.graph.initializer],
    )  # fmt: skip
    _drop_unused(graph)
    _halve(graph)
    model = helper.make_model(graph, opset_imports=net.opset_import, ir_version=net.ir_version)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _drop_unused(graph: onnx.GraphProto) -> None:
    """What only the teacher's own classifier wants."""
    wanted = {output.name for output in graph.output}
    for node in reversed(list(graph.node)):
        if wanted.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            wanted.update(node.input)
    for weight in [weight for weight in graph.initializer if weight.name not in wanted]:
        graph.initializer.remove(weight)


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
