"""Every backend on this machine on the same graphs, in one run: latency, throughput, memory, energy, rooms.

Candidates take turns, so that what disturbs one disturbs all. Each carries its own state.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import numpy as np

from edgecap.bench.energy import Meter
from edgecap.bench.memory import own_process
from edgecap.runtime.audio import CHUNK_SAMPLES, RATE
from edgecap.runtime.errors import UnavailableError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Array, Engine, installed_providers
from edgecap.runtime.model.engine_tensorrt import load_engine

if TYPE_CHECKING:
    from edgecap.training.models.graph import ExportGraph

HOP_S = CHUNK_SAMPLES / RATE
ROUNDS = 7
CALLS = 12
"""A candidate's calls in a round."""
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
SIZES = {"n": 12, "beam": 3, "batch": 1, "pieces": 6}
"""Of the dimensions that vary: a segment of 4 s, the usual beam, one room, a short question."""
SLOW_S = 1.0
"""A candidate that takes longer than this once is called once a round."""


class Runs(Protocol):
    """What all that can run a graph has: an Engine, and its likes."""

    graph: Any

    def initial_state(self, **sizes: int) -> Any:
        """Zeros."""

    def step(self, inputs: Mapping[str, Array], state: Any) -> tuple[Any, Any]:
        """Outputs on the CPU, and the state wherever it lives."""


class Candidate(NamedTuple):
    """A graph on a backend, ready."""

    backend: str
    precision: str
    graph: str
    runs: Runs
    memory_mb: float
    """What the process grew by, weights and a first call."""


class Timing(msgspec.Struct, frozen=True):
    """One graph on one backend. Milliseconds a call, by the wall."""

    backend: str
    precision: str
    graph: str
    tight_p50_ms: float
    tight_p95_ms: float
    tight_p99_ms: float
    cpu_ms: float
    """Of the calling thread: what other programs don't disturb."""
    calls_per_s: float
    paced_p50_ms: float | None
    paced_p95_ms: float | None
    paced_p99_ms: float | None
    """Called once every 320 ms, as live: caches are cold. None if that was not asked for."""
    memory_mb: float
    joules: float | None
    """The whole machine's, a call; None where it can't be read."""


class Rooms(msgspec.Struct, frozen=True):
    """How many rooms one thread of a backend hears at real time, encoder alone."""

    backend: str
    precision: str
    batch: int
    hop_p50_ms: float
    hop_p99_ms: float
    rooms: int


def candidates(bundle: Bundle, say: Callable[[str], None]) -> Iterator[Candidate]:
    """Every graph of a bundle on every backend that works here; say: told of those that don't."""
    manifest = bundle.manifest
    for provider in installed_providers():
        for name, graph in manifest.graphs.items():
            backend = f"onnxruntime {provider}"
            try:
                yield _loaded(
                    backend, graph.precision, name, Engine, name, bundle.graph(name), graph, provider
                )
            except UnavailableError as error:
                say(f"left out, {name} on {backend}: {error}")
    for name, graph in manifest.engines.items():
        try:
            yield _loaded(graph.backend, graph.precision, name, load_engine, bundle, name)
        except UnavailableError as error:
            say(f"left out, {name} on {graph.backend}: {error}")


def beside(checkpoint: Path, say: Callable[[str], None]) -> Iterator[Candidate]:
    """A checkpoint's encoder as float32 ONNX, and in torch: eager, compiled, on each device; and over a
    whole window, which is what a net without state would have to hear at every hop.
    """
    from edgecap.export.checkpoint import read_checkpoint

    source = read_checkpoint(checkpoint, windowed=checkpoint.is_dir())
    yield from models([export for export in source.graphs if export.graph.name.startswith("encoder")], say)


def models(exports: "list[ExportGraph]", say: Callable[[str], None]) -> Iterator[Candidate]:
    """Graphs that are in no bundle: written as ONNX now, the number of rooms left open; and in torch."""
    from edgecap.export.export import describe
    from edgecap.export.to_onnx import to_onnx
    from edgecap.training.torch_engine import TorchEngine, devices

    for export in exports:
        name = export.graph.name
        say(f"exporting {name} …")
        content = to_onnx(export, {})
        graph = describe(export, {}, "fp32", content)
        yield _loaded("onnxruntime cpu, exported now", "fp32", name, Engine, name, content, graph)
        for device in devices():
            yield _loaded(f"torch eager {device}", "fp32", name, TorchEngine, export, device)
            try:
                yield _loaded(
                    f"torch.compile {device}", "fp32", name, TorchEngine, export, device, "fp32", True
                )
            except Exception as error:  # its compilers (gcc, Triton) fail in ways of their own
                say(f"left out, torch.compile on {device}: {str(error).splitlines()[0]}")


def measure(found: list[Candidate], paced_s: float, say: Callable[[str], None]) -> list[Timing]:
    """All candidates in turns, tight; then each once every 320 ms for paced_s seconds."""
    meter = Meter()
    streams = [Stream(candidate) for candidate in found]
    for stream in streams:
        stream.warm()
    for turn in range(ROUNDS):
        say(f"in turns, tight, {turn + 1} of {ROUNDS} …")
        for stream in streams:
            meter.joules()
            stream.round()
            stream.spent(meter.joules())
    hops = round(paced_s / HOP_S)
    if hops:
        say(f"as live, {paced_s:g} s …")
    begun = time.monotonic()
    for hop in range(hops):
        time.sleep(max(0.0, begun + hop * HOP_S - time.monotonic()))
        for stream in streams:
            if stream.usual_s < HOP_S:
                stream.paced.append(stream.call())
    return [stream.timing() for stream in streams]


def count_rooms(found: list[Candidate], say: Callable[[str], None]) -> list[Rooms]:
    """For every encoder: how many rooms a batch of each size serves within 320 ms; one where it is fixed."""
    counted = []
    for candidate in found:
        if candidate.graph != "encoder":
            continue
        is_open = isinstance(candidate.runs.graph.inputs[0].shape[0], str)
        for batch in BATCHES if is_open else BATCHES[:1]:
            say(f"{candidate.backend}, {batch} rooms at once …")
            stream = Stream(candidate, batch)
            stream.warm()
            stream.round()
            p50, p99 = (float(np.percentile(stream.tight, q)) for q in (50, 99))
            # Real time is kept where each call ends before the next chunk comes; until then is time for more.
            rooms = int(batch * stream.hop_s / p99)
            figures = (round(p50 * 1000, 3), round(p99 * 1000, 3), rooms)
            counted.append(Rooms(candidate.backend, candidate.precision, batch, *figures))
            if p99 > stream.hop_s:
                break
    return counted


class Stream:
    """A candidate that is called again and again, its state carried."""

    def __init__(self, candidate: Candidate, batch: int = 1) -> None:
        self.candidate = candidate
        runs = candidate.runs
        sizes = SIZES | {"batch": batch}
        rng = np.random.default_rng(0)
        self.inputs = {port.name: _values(port, sizes, rng) for port in runs.graph.inputs}
        self.state = runs.initial_state(**sizes)
        frames = self.inputs["log_mel"].shape[1] if "log_mel" in self.inputs else 32
        self.hop_s = frames * HOP_S / 32 if candidate.graph == "encoder" else HOP_S
        self.tight: list[float] = []
        self.paced: list[float] = []
        self.cpu_s = 0.0
        self.joules: float | None = 0.0
        self.usual_s = 0.0

    def call(self) -> float:
        """Seconds of one call."""
        begun = time.perf_counter()
        _, self.state = self.candidate.runs.step(self.inputs, self.state)
        return time.perf_counter() - begun

    def warm(self) -> None:
        """Caches, allocations, compilers."""
        self.call()
        self.usual_s = min(self.call() for _ in range(2))

    def round(self) -> None:
        """Calls in a row."""
        begun = time.thread_time()
        calls = 1 if self.usual_s > SLOW_S else CALLS
        self.tight += [self.call() for _ in range(calls)]
        self.cpu_s += time.thread_time() - begun

    def spent(self, joules: float | None) -> None:
        """What a round took of energy."""
        self.joules = None if joules is None or self.joules is None else self.joules + joules

    def timing(self) -> Timing:
        """Its figures so far."""
        calls = len(self.tight)
        tight = _percentiles(self.tight)
        paced = _percentiles(self.paced) if self.paced else (None, None, None)
        return Timing(
            backend=self.candidate.backend,
            precision=self.candidate.precision,
            graph=self.candidate.graph,
            tight_p50_ms=tight[0],
            tight_p95_ms=tight[1],
            tight_p99_ms=tight[2],
            cpu_ms=round(self.cpu_s / calls * 1000, 3),
            calls_per_s=round(calls / sum(self.tight), 1),
            paced_p50_ms=paced[0],
            paced_p95_ms=paced[1],
            paced_p99_ms=paced[2],
            memory_mb=round(self.candidate.memory_mb, 1),
            joules=None if self.joules is None else round(self.joules / calls, 4),
        )


def _values(port: Any, sizes: Mapping[str, int], rng: np.random.Generator) -> Array:
    """Decibels for an encoder, small numbers for what follows it; tokens and positions are zeros."""
    shape = [size if isinstance(size, int) else sizes.get(size, 1) for size in port.shape]
    if port.dtype == "int64":
        return np.ones(shape, np.int64)
    low, high = (-90, -20) if port.name == "log_mel" else (-1, 1)
    return rng.uniform(low, high, shape).astype(np.float32)


def _percentiles(seconds: list[float]) -> tuple[float, float, float]:
    """p50, p95 and p99 in milliseconds."""
    p50, p95, p99 = (round(float(np.percentile(seconds, q)) * 1000, 3) for q in (50, 95, 99))
    return p50, p95, p99


def _loaded(backend: str, precision: str, graph: str, load: Callable[..., Any], *arguments: Any) -> Candidate:
    process = own_process()
    before = process.memory_info().rss
    runs = load(*arguments)
    candidate = Candidate(backend, precision, graph, runs, 0.0)
    Stream(candidate).call()
    return candidate._replace(memory_mb=(process.memory_info().rss - before) / 1e6)
