"""What captioning a dense stream costs, part by part, beside mn04's labels of the same stream in one run.

    python benchmarks/edge_cost.py CORPUS --mn04 WEIGHTS/efficientat-mn04 [--beside OTHER_CHECKOUT]

The stream is CORPUS's validation clips (or every recording under another folder), one after another with a
second of a quiet room between; the quiet is that room alone. Each version of edgecap and mn04 runs in a
process of its own, on one thread, and all take turns, ten seconds of sound each, the whole stream several
times over; of each ten seconds the cheapest time counts, since whatever else the machine does only adds.
Times are the thread's own CPU, in milliseconds a second of sound; trust the ratios rather than the numbers.
Parts are told apart by the classes that do them, found by name, so that another checkout, with other folders,
is measured by this same script.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATE, CHUNK, BLOCK = 32_000, 10_240, 3_200
ROOM_DB, BETWEEN_S = -70.0, 1.0
FRAMES_OF_5_S = 500
SLICE_S = 10.0
Figures = dict[str, float]
"""Milliseconds, or calls, a second of sound."""

PARTS = {
    "front end": ["FrontEnd.step"],
    "encoder": ["Encoder.step"],
    "alarms": ["Alarms.step"],
    "levels and segments": ["Segmenter.step", "levels_db"],
    "second opinion": ["Opinion.hear", "Opinion.ask"],
    "sentences": ["Decoder.describe", "Decoder._next"],
    "policy": ["Policy.heard", "Policy.quiet", "Policy.wants_sentence", "Policy.consider", "Policy.step",
               "Policy.segment_ended", "name_sounds", "own_phrases"],
}  # fmt: skip
"""Part -> what does it; what a version of edgecap doesn't have is left out."""
COUNTED = {"opinions": "Opinion.ask", "asked": "Decoder.describe", "words": "Decoder._next"}
"""Calls that are counted a second of sound: opinions and sentences asked for, and steps of the decoder."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sounds", type=Path, metavar="CORPUS")
    parser.add_argument("--mn04", type=Path, metavar="FOLDER", help="holds frontend.onnx and mn04.onnx")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another version, in turns with this")
    parser.add_argument("--bundle", default="room-small")
    parser.add_argument("--seconds", type=float, default=240.0, help="of the stream, and of the quiet")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--as", dest="role", choices=["edgecap", "mn04"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role:
        work(given)
        return
    here = Path(__file__).resolve().parents[1]
    versions = {"here": here} | ({"beside": given.beside.resolve()} if given.beside else {})
    workers = {name: _Worker(checkout, "edgecap") for name, checkout in versions.items()}
    if given.mn04:
        workers["mn04"] = _Worker(here, "mn04")
    turns = round(given.seconds / SLICE_S)
    best: dict[str, list[Figures]] = {name: [] for name in workers}
    for turn in range(given.passes * turns):
        print(f"turn {turn + 1} of {given.passes * turns} …", file=sys.stderr, end="\r")
        for name, worker in workers.items():
            found, at = worker.turn(), turn % turns
            if turn < turns:
                best[name].append(found)
            elif found["all"] < best[name][at]["all"]:
                best[name][at] = found
    for worker in workers.values():
        worker.close()
    print_table(best)


def print_table(turns: dict[str, list[Figures]]) -> None:
    """Means over the stream, as Markdown."""
    means = {
        name: {row: fmean(one[row] for one in found) for row in found[0]} for name, found in turns.items()
    }
    rows = dict.fromkeys(row for found in means.values() for row in found)
    print(f"\n| | {' | '.join(means)} |\n|---|{'---:|' * len(means)}")
    for row in rows:
        cells = (f"{found[row]:.2f}" if row in found else "" for found in means.values())
        print(f"| {row} | {' | '.join(cells)} |")
    for name in [name for name in means if "mn04" in means and name != "mn04"]:
        print(f"{name}: {means[name]['all'] / means['mn04']['all']:.2f} times mn04")


class _Worker:
    """A process that hears the next ten seconds whenever it is asked, and tells what that cost."""

    def __init__(self, checkout: Path, role: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *sys.argv[1:], "--as", role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(checkout), "OPENBLAS_NUM_THREADS": "1"},
        )

    def turn(self) -> Figures:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("go", file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("a process that was to be measured ended; what it said is above")
        found: Figures = json.loads(answer)
        return found

    def close(self) -> None:
        self._process.communicate()


# --- in a worker ----------------------------------------------------------------------------------


def work(given: argparse.Namespace) -> None:
    """A turn for every line that comes."""
    length = round(SLICE_S * RATE)
    sound = stream(given.sounds, round(given.seconds / SLICE_S) * SLICE_S)
    parts = [sound[start : start + length] for start in range(0, len(sound), length)]
    turns = mn04(given.mn04, parts) if given.role == "mn04" else edgecap(given.bundle, parts)
    for _ in sys.stdin:
        print(json.dumps(next(turns)), flush=True)


def edgecap(bundle: str, parts: list[Samples]) -> Iterator[Figures]:
    """What each part of a stream costs this process's edgecap, and as much quiet; over and over."""
    # An older checkout has the same names in other places.
    import edgecap.runtime.session as session_module

    try:
        from edgecap.runtime.model.bundle import Bundle
    except ImportError:
        from edgecap.runtime.bundle import Bundle  # type: ignore[import-not-found,no-redef]  # an older checkout's
    model = session_module.Model.load(Bundle.open(bundle))
    watches = {name: _Watch(name) for names in PARTS.values() for name in names}
    counts = {what: watches.get(name) or _Watch(name) for what, name in COUNTED.items()}
    while True:
        session, resting = session_module.Session(model), session_module.Session(model)
        for part in parts:
            a_second = RATE / len(part)
            whole, events = _push(session, part)
            found = {
                name: 1000 * a_second * sum(watches[each].taken() for each in PARTS[name]) for name in PARTS
            }
            found["the rest"] = 1000 * a_second * whole - sum(found.values())
            found["all"] = 1000 * a_second * whole
            found |= {f"{what}, a second": watch.counted() * a_second for what, watch in counts.items()}
            found["captions' events, a second"] = events * a_second
            found["all, in quiet"] = 1000 * a_second * _push(resting, quiet(len(part)))[0]
            for watch in watches.values():
                watch.taken(), watch.counted()
            yield found


def _push(session: Any, sound: Samples) -> tuple[float, int]:
    """CPU seconds of a sound, in blocks as from a microphone, and the captions' events that it gave."""
    events: list[Any] = []
    started = time.thread_time()
    for start in range(0, len(sound), BLOCK):
        events += session.push(sound[start : start + BLOCK])
    return time.thread_time() - started, sum(hasattr(event, "text") for event in events)


def mn04(folder: Path, parts: list[Samples]) -> Iterator[Figures]:
    """EfficientAT mn04: 5 s of frames at every 320 ms; its front end hears the new 320 ms alone."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    front, tagger = (
        ort.InferenceSession(str(folder / file), settings, providers=["CPUExecutionProvider"])
        for file in ("frontend.onnx", "mn04.onnx")
    )
    frames = np.zeros((1, 1, 128, FRAMES_OF_5_S), np.float32)
    while True:
        rest = np.zeros(0, np.float32)
        for part in parts:
            sound = np.concatenate([rest, part])
            whole = len(sound) // CHUNK * CHUNK
            started = time.thread_time()
            for start in range(0, whole, CHUNK):
                (new,) = front.run(None, {"waveform": sound[start : start + CHUNK][None]})
                new = new[..., : CHUNK // 320]
                frames = np.concatenate([frames[..., new.shape[-1] :], new], axis=-1)
                tagger.run(["scores"], {"logmel": frames})
            # Of what it heard: as many windows as fit.
            yield {"all": (time.thread_time() - started) * 1000 * RATE / whole}
            rest = sound[whole:]


class _Watch:
    """CPU time within one of edgecap's methods or functions, and its calls, wherever it is defined.

    What another watch sees within it is that one's.
    """

    within_s = 0.0
    """Of all watches: time that was counted inside the call that is under way."""

    def __init__(self, name: str) -> None:
        self._spent_s, self._calls = 0.0, 0
        owner, _, method = name.rpartition(".")
        for module in [m for key, m in sys.modules.items() if key.startswith("edgecap.runtime")]:
            place = getattr(module, owner, None) if owner else module
            function = vars(place).get(method) if place is not None else None
            if callable(function) and not hasattr(function, "is_watched"):
                setattr(place, method, self._watched(function))

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            outside_s, _Watch.within_s = _Watch.within_s, 0.0
            started = time.thread_time()
            try:
                return function(*given, **named)
            finally:
                spent_s = time.thread_time() - started
                self._spent_s += spent_s - _Watch.within_s
                self._calls += 1
                _Watch.within_s = outside_s + spent_s

        timed.is_watched = True  # type: ignore[attr-defined]  # a mark on a function
        return timed

    def taken(self) -> float:
        """Seconds since it was last asked."""
        spent, self._spent_s = self._spent_s, 0.0
        return spent

    def counted(self) -> int:
        """Calls since it was last asked."""
        calls, self._calls = self._calls, 0
        return calls


# --- what is heard --------------------------------------------------------------------------------


def stream(folder: Path, duration_s: float) -> Samples:
    """The recordings one after another, in an order that a fixed seed shuffles, a second between."""
    paths = list(recordings(folder))
    np.random.default_rng(0).shuffle(paths)
    parts: list[Samples] = []
    length, wanted = 0, round(duration_s * RATE)
    while length < wanted:
        for path in paths:
            frames, rate = soundfile.read(path, dtype="float32", always_2d=True)
            sound = np.asarray(soxr.resample(frames.mean(axis=1), rate, RATE), np.float32)
            parts.append(np.concatenate([sound, np.zeros(round(BETWEEN_S * RATE), np.float32)]))
            length += len(parts[-1])
            if length >= wanted:
                break
    sound = np.concatenate(parts)[:wanted]
    return np.asarray(sound + quiet(wanted), np.float32)


def recordings(folder: Path) -> Iterator[Path]:
    """A corpus's validation clips; of any other folder, all that is a recording."""
    table = folder / "clips.csv"
    if table.exists():
        with table.open(encoding="utf-8", newline="") as rows:
            yield from (folder / row["file"] for row in csv.DictReader(rows) if row["split"] == "val")
    else:
        yield from sorted(p for p in folder.rglob("*") if p.suffix in {".flac", ".ogg", ".opus", ".wav"})


def quiet(samples: int) -> Samples:
    """The room alone: white noise at -70 dBFS."""
    noise = np.random.default_rng(1).standard_normal(samples, np.float32)
    return np.asarray(noise * np.float32(10 ** (ROOM_DB / 20)), np.float32)


if __name__ == "__main__":
    main()
