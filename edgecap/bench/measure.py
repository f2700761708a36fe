"""What captioning costs on this machine: CPU time by stage, latency as live, memory, and peers beside it.

CPU time is the calling thread's own, so other work on the machine disturbs it less than a wall clock;
candidates take turns, so that what disturbs one disturbs all.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgecap.bench.memory import own_process
from edgecap.runtime.audio import CHUNK, CHUNK_SAMPLES, HOP, RATE, Samples, seconds
from edgecap.runtime.demo.scene import Scene
from edgecap.runtime.errors import DataError, UnavailableError
from edgecap.runtime.hearing.frontend import FrontEnd
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.session import Model, Session
from edgecap.runtime.sound.blocks import Block
from edgecap.runtime.sound.feed import paced
from edgecap.runtime.sound.opener import recording_blocks

HOPS_PER_S = RATE / CHUNK_SAMPLES
ROUNDS = 9
HOPS_A_ROUND = 12


class Stages(msgspec.Struct, frozen=True):
    """CPU milliseconds per second of audio, in a tight loop over the scene."""

    front_end: float
    encoder: float
    alarms: float
    segment_policy: float
    adapter_decoder: float
    whole: float
    silence: float
    """The whole session, in a quiet room."""


class Comparison(msgspec.Struct, frozen=True):
    """CPU milliseconds per second of audio of something that could be used instead, and of what."""

    name: str
    per_second: float
    what: str


class Live(msgspec.Struct, frozen=True):
    """A daemon of its own process, its sound paced as live."""

    sound: str
    duration_s: float
    cpu_percent: float
    """Of one core, everything included but a microphone: reading, captions, publishing, status."""
    captions: int
    ready_s: float
    """From the start of the process to the first status message."""
    rss_mb: float
    peak_rss_mb: float | None
    """None where the system does not tell (elsewhere than on Linux)."""
    published_p50_ms: float | None
    published_p95_ms: float | None
    """From the end of a hop, as it sounds, to its captions on the wire; None if there were none."""
    worked_p95_ms: float | None
    """Of that, from the arrival of the block that completes the hop: the wait for that is left out."""


def busy_sound(scene: Scene) -> Samples:
    """The scene's sounds with half a second between them: captions change all the time."""
    parts = []
    for event in scene.events:
        end = min(len(scene.samples), round((event.end + 0.5) * RATE))
        parts.append(scene.samples[round(event.start * RATE) : end])
    return np.concatenate(parts)


def quiet_sound(scene: Scene, duration_s: float) -> Samples:
    """The empty room before the scene's first sound, again and again."""
    quiet = scene.samples[: round(scene.events[0].start * RATE)]
    return np.resize(quiet, round(duration_s * RATE))


def measure_stages(model: Model, busy: Samples, quiet: Samples) -> Stages:
    """Where the time goes, from sound to sentence, one thread, no pause."""
    Session(model).push(busy[: 5 * RATE])  # warm: caches, allocations
    session = Session(model)
    clocks = {
        "front_end": _clocked(session.hearing.frontend, "step"),
        "encoder": _clocked(session.hearing.encoder, "step"),
        "alarms": _clocked(session.hearing.alarms, "step"),
        "adapter_decoder": _clocked(session.decoder, "describe") if session.decoder else _Clock(),
    }
    whole = _cpu_s(lambda: session.push(busy))
    spent = {name: clock.total_s for name, clock in clocks.items()}
    silent = Session(model)
    silence = _cpu_s(lambda: silent.push(quiet))
    per_second = 1000 / seconds(len(busy))
    return Stages(
        front_end=spent["front_end"] * per_second,
        encoder=spent["encoder"] * per_second,
        alarms=spent["alarms"] * per_second,
        adapter_decoder=spent["adapter_decoder"] * per_second,
        segment_policy=(whole - sum(spent.values())) * per_second,
        whole=whole * per_second,
        silence=silence * 1000 / seconds(len(quiet)),
    )


def compare(model: Model, window: Engine | None, sound: Samples, peers: list[Path]) -> list[Comparison]:
    """The streaming encoder, the same encoder without its state, and public taggers, in turns.

    window: the encoder over a whole window, where the bundle has it (`edgecap export --windowed`).
    """
    candidates = [_streaming(model, sound)]
    if window is not None:
        candidates.append(_recomputing(model, window, sound))
    for folder in peers:
        candidates.append(_mn04(folder, sound) if (folder / "mn04.onnx").exists() else _yamnet(folder, sound))
    spent: list[list[float]] = [[] for _ in candidates]
    for _ in range(ROUNDS):
        for times, candidate in zip(spent, candidates, strict=True):
            times.append(_cpu_s_a_call(candidate.step, candidate.calls))
    return [
        Comparison(candidate.name, median(times) * 1000 * candidate.per_second, candidate.what)
        for times, candidate in zip(spent, candidates, strict=True)
    ]


def find_peers(folder: Path) -> list[Path]:
    """The folders in it (or itself) that hold a tagger known here: mn04.onnx or yamnet.onnx."""
    found = [path.parent for name in ("mn04.onnx", "yamnet.onnx") for path in sorted(folder.rglob(name))]
    if not found:
        raise DataError(
            f"{folder} holds no peer",
            why="neither mn04.onnx nor yamnet.onnx is in it",
            fix="name the folder of a tagger's frontend.onnx and model",
        )
    return found


# --- candidates -----------------------------------------------------------------------------------


class _Candidate(NamedTuple):
    name: str
    what: str
    per_second: float  # calls for a second of audio
    step: Callable[[], object]
    calls: int  # in a round


def _streaming(model: Model, sound: Samples) -> _Candidate:
    hearing, chunks = model.hearing(), _chunks(sound)
    state = hearing.initial_state()

    def hop() -> None:
        nonlocal state
        _, state = hearing.step(next(chunks), state)

    what = "our front end, encoder and alarms, state carried"
    return _Candidate("edgecap", what, HOPS_PER_S, hop, HOPS_A_ROUND)


def _recomputing(model: Model, window: Engine, sound: Samples) -> _Candidate:
    """Without state, the whole window is run again at every hop, as one graph."""
    frontend = FrontEnd(model.mels)
    past = frontend.initial_state()
    chunks = _chunks(sound)
    length = window.graph.inputs[0].shape[1]
    frames = np.zeros((1, cast(int, length), model.mels), np.float32)

    def hop() -> None:
        nonlocal past, frames
        log_mel, past = frontend.step(next(chunks), past)  # frames need no repeating
        frames = np.concatenate([frames[:, CHUNK:], log_mel[None]], axis=1)
        window.run({"log_mel": frames})

    what = f"the same encoder on its last {frames.shape[1] * HOP / RATE:.1f} s at every hop, no state"
    return _Candidate("recomputing", what, HOPS_PER_S, hop, 2)


def _mn04(folder: Path, sound: Samples) -> _Candidate:
    """EfficientAT mn04: 5 s of frames at every hop; its front end hears the new 320 ms alone."""
    front, tagger = _onnx(folder / "frontend.onnx"), _onnx(folder / "mn04.onnx")
    chunks = _chunks(sound)
    frames = np.zeros((1, 1, 128, 500), np.float32)

    def hop() -> None:
        nonlocal frames
        (new,) = front.run(None, {"waveform": next(chunks)[None]})
        frames = np.concatenate([frames[..., CHUNK:], new[..., :CHUNK]], axis=-1)
        tagger.run(["scores"], {"logmel": frames})

    what = "EfficientAT's labels of 5 s windows every 320 ms"
    return _Candidate("mn04", what, HOPS_PER_S, hop, HOPS_A_ROUND)


def _yamnet(folder: Path, sound: Samples) -> _Candidate:
    """YAMNet: 0.96 s of frames every 0.48 s at 16 kHz; its front end hears the new 0.48 s alone."""
    import soxr

    front, tagger = _onnx(folder / "frontend.onnx"), _onnx(folder / "yamnet.onnx")
    resampler = soxr.ResampleStream(RATE, 16_000, 1, dtype="float32")
    chunks = _chunks(sound, round(0.48 * RATE))
    frames = np.zeros((1, 96, 64), np.float32)
    heard = np.zeros(8_000, np.float32)

    def hop() -> None:
        nonlocal frames, heard
        heard = np.concatenate([heard, resampler.resample_chunk(next(chunks))])[-7_920:]
        (new,) = front.run(None, {"waveform": heard[None]})  # 48 frames of 10 ms, and the 15 ms they overlap
        frames = np.concatenate([frames[:, new.shape[1] :], new], axis=1)
        tagger.run(["scores"], {"logmel": frames})

    return _Candidate("YAMNet", "labels of 0.96 s windows every 0.48 s", 1 / 0.48, hop, HOPS_A_ROUND)


# --- as live --------------------------------------------------------------------------------------


def measure_live(bundle: str, sound: str, recording: Path) -> Live:
    """Run a daemon on the recording, in a process of its own, at the pace at which it sounds."""
    code = "import sys; from edgecap.bench.measure import run_live; run_live(*sys.argv[1:])"
    started = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code, bundle, sound, str(recording), repr(started)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # as `edgecap run` has it
    )
    if done.returncode:
        raise UnavailableError(
            "the daemon to be measured did not run", why=done.stderr.strip().splitlines()[-1]
        )
    return msgspec.json.decode(done.stdout, type=Live)


def run_live(bundle: str, sound: str, recording: str, started: str) -> None:
    """The measured process: a daemon on free ports, then one line of JSON with its figures."""
    from edgecap.runtime.config.schema import Config
    from edgecap.runtime.daemon import Daemon
    from edgecap.runtime.sound.feed import feed_of

    opened = Bundle.open(bundle)
    began_at, has_ended = 0.0, False
    ready_s: float | None = None
    arrived_at = [0.0]
    waits_s: list[float] = []
    works_s: list[float] = []

    def blocks() -> Iterator[Block]:
        nonlocal began_at, has_ended
        began_at = time.monotonic()
        for block in paced(recording_blocks(Path(recording))):
            arrived_at[0] = time.monotonic()
            yield block
        has_ended = True

    def tell(topic: bytes, data: bytes) -> None:
        """As the daemon's publisher does it, and when."""
        nonlocal ready_s
        send(topic, data)
        now = time.monotonic()
        if ready_s is None:
            ready_s = time.time() - float(started)
        if not topic.startswith(b"caption."):
            return
        if has_ended:  # the recording was cut there: no hop, so no time since its end
            return
        hop_end = room.session.position // CHUNK_SAMPLES * CHUNK_SAMPLES
        waits_s.append(now - began_at - seconds(hop_end))
        works_s.append(now - arrived_at[0])

    anywhere = Config(publish="tcp://127.0.0.1:*", replay="tcp://127.0.0.1:*")
    feeds = {anywhere.room: feed_of(blocks())}
    daemon = Daemon(anywhere, Model.load(opened), opened.title, feeds=feeds)
    room, send = daemon.rooms[anywhere.room], daemon.publisher.send
    daemon.publisher.send = tell  # type: ignore[method-assign]  # it is what is measured
    cpu_before, wall_before = time.process_time(), time.monotonic()
    daemon.run()
    cpu_s, wall_s = time.process_time() - cpu_before, time.monotonic() - wall_before
    figures = Live(
        sound=sound,
        duration_s=round(wall_s, 1),
        cpu_percent=100 * cpu_s / wall_s,
        captions=len(waits_s),
        ready_s=ready_s or 0.0,
        rss_mb=own_process().memory_info().rss / 1e6,
        peak_rss_mb=_peak_rss_mb(),
        published_p50_ms=_percentile_ms(waits_s, 50),
        published_p95_ms=_percentile_ms(waits_s, 95),
        worked_p95_ms=_percentile_ms(works_s, 95),
    )
    print(msgspec.json.encode(figures).decode())


# --- tools ----------------------------------------------------------------------------------------


class _Clock:
    total_s = 0.0


def _clocked(owner: object, name: str) -> _Clock:
    """Wrap a method of one object so that the CPU time within it adds up."""
    clock, original = _Clock(), getattr(owner, name)

    def timed(*arguments: Any) -> Any:
        start = time.thread_time()
        result = original(*arguments)
        clock.total_s += time.thread_time() - start
        return result

    setattr(owner, name, timed)
    return clock


def _cpu_s_a_call(step: Callable[[], object], calls: int) -> float:
    start = time.thread_time()
    for _ in range(calls):
        step()
    return (time.thread_time() - start) / calls


def _cpu_s(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def _chunks(sound: Samples, length: int = CHUNK_SAMPLES) -> Iterator[NDArray[np.float32]]:
    """The sound in equal parts, over and over."""
    while True:
        for start in range(0, len(sound) - length + 1, length):
            yield sound[start : start + length]


def _onnx(path: Path) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _peak_rss_mb() -> float | None:
    """Not getrusage's ru_maxrss: a child's begins with its parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    peak = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024 / 1e6


def _percentile_ms(values_s: list[float], percent: float) -> float | None:
    return float(np.percentile(values_s, percent)) * 1000 if values_s else None
