"""What a bundle says of sounds that nobody taught it, through the same session as the daemon's.

Each held-out clip is heard in a quiet room: a second before it, two after it. Scores are of words:
the sounds that a caption names against the sounds that the clip is labelled with.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ..runtime.bundle import Bundle, Calibration
from ..runtime.config import Captions
from ..runtime.encoder import Encoder
from ..runtime.frontend import FrontEnd
from ..runtime.policy import Caption
from ..runtime.segment import Segment
from ..runtime.session import Model, Session
from . import augment
from .captions import sayable
from .data import Clip, Corpus, Label
from .scenes import RELATED

BEFORE, AFTER = RATE, 2 * RATE
ROOM_DB = -70.0
"""Noise floor of the quiet room in which a clip is heard, dBFS."""

Progress = Callable[[float, str], None]


class Uttered(NamedTuple):
    """What was said of one clip: for each caption, in order of saying, its text and what it names."""

    clip: Clip
    texts: list[str]
    named: list[frozenset[str]]
    confidences: list[float]
    delay: float | None
    """Seconds of sound from the clip's beginning to its first caption."""


class Names:
    """Finds in a sentence the sounds that it names: the longest clauses first, each word once."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._clauses = sorted(sayable(labels).items(), key=lambda item: -len(item[0]))

    def __call__(self, text: str) -> frozenset[str]:
        """Labels that a caption names; a clause that several labels share names them all."""
        rest = text.lower()
        found: set[str] = set()
        for clause, labels in self._clauses:
            if clause in rest:
                rest = rest.replace(clause, " ")
                found.update(labels)
        return frozenset(found)


def caption_events(
    model: Model, samples: Samples, options: Captions | None = None
) -> list[tuple[int, Caption]]:
    """(position, event) of a recording, pushed as a microphone would: 100 ms at a time."""
    session = Session(model, options)
    events: list[tuple[int, Caption]] = []
    for start in range(0, len(samples), RATE // 10):
        events += [(session.position, event) for event in session.push(samples[start : start + RATE // 10])]
    return events + [(session.position, event) for event in session.finish()]


def utter(
    model: Model, corpus: Corpus, clips: Sequence[Clip], names: Names, options: Captions | None = None,
    progress: Progress = lambda done, what: None,
) -> list[Uttered]:  # fmt: skip
    """Caption each clip as heard in a quiet room."""
    rng = np.random.default_rng(0)
    said: list[Uttered] = []
    for done, clip in enumerate(clips, 1):
        sound = corpus.audio(clip)
        samples = augment.noise(rng, BEFORE + len(sound) + AFTER) * np.float32(10 ** (ROOM_DB / 20))
        samples[BEFORE : BEFORE + len(sound)] += sound
        events = [(at, e) for at, e in caption_events(model, samples, options) if e.kind != "end"]
        texts = [event.text for _, event in events]
        delay = (events[0][0] - BEFORE) / RATE if events else None
        confidences = [event.confidence for _, event in events]
        said.append(Uttered(clip, texts, [names(text) for text in texts], confidences, delay))
        progress(done / len(clips), "captioning held-out clips")
    return said


def related(label: str) -> frozenset[str]:
    """The label and those that it does not deny: "someone is speaking" is true of a man who speaks."""
    return frozenset({label}.union(*(group for group in RELATED if label in group)))


def naming(said: Sequence[Uttered]) -> dict[str, float]:
    """How often captions name the clip's sound.

    spoken: clips with a caption. recall: clips whose sound some caption names. first_right: of the clips
    with a caption, those whose first names it. kin: as first_right, a related sound counting too.
    """
    spoken = [u for u in said if u.texts]
    right = [u for u in spoken if u.named[0] & set(u.clip.labels)]
    kin = [u for u in spoken if any(u.named[0] & related(label) for label in u.clip.labels)]
    recalled = [u for u in said if any(named & set(u.clip.labels) for named in u.named)]
    delays = [u.delay for u in spoken if u.delay is not None]
    return {
        "clips": float(len(said)),
        "spoken": len(spoken) / max(len(said), 1),
        "recall": len(recalled) / max(len(said), 1),
        "first_right": len(right) / max(len(spoken), 1),
        "kin": len(kin) / max(len(spoken), 1),
        "captions_a_clip": sum(len(u.texts) for u in said) / max(len(said), 1),
        "delay_median_s": float(np.median(delays)) if delays else float("nan"),
    }


def by_label(said: Sequence[Uttered]) -> dict[str, dict[str, float]]:
    """`naming` of each label's clips."""
    groups: dict[str, list[Uttered]] = {}
    for uttered in said:
        groups.setdefault(uttered.clip.label, []).append(uttered)
    return {label: naming(group) for label, group in sorted(groups.items())}


def chance(clips: Sequence[Clip], taught: Sequence[Clip]) -> dict[str, float]:
    """What ignorance would score on the same clips: a random known label, and always the most frequent."""
    frequency = Counter(clip.label for clip in taught)
    most = frequency.most_common(1)[0][0]
    return {
        "uniform": 1.0 / len(frequency),
        "drawn_as_taught": float(
            np.mean([frequency[clip.label] / sum(frequency.values()) for clip in clips])
        ),
        "most_frequent": float(np.mean([most in clip.labels for clip in clips])),
    }


def quiet_sounds(seconds: float, room_tones: Iterable[Samples] = ()) -> dict[str, Samples]:
    """Sounds of which nothing should be said: digital silence, noises, a fan's hum, room tones."""
    n, rng = int(seconds * RATE), np.random.default_rng(5)
    time = np.arange(n) / RATE
    white = rng.normal(0, 1, n).astype(np.float32)
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    pink = np.fft.irfft(spectrum, n)
    pink = (pink / np.sqrt(np.mean(pink**2))).astype(np.float32)
    hum = sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in (1, 2, 3, 4))
    sounds = {
        "digital silence": np.zeros(n, np.float32),
        "white noise, -50 dBFS": white * np.float32(10 ** (-50 / 20)),
        "white noise, -30 dBFS": white * np.float32(10 ** (-30 / 20)),
        "pink noise, -40 dBFS": pink * np.float32(10 ** (-40 / 20)),
        "mains hum and pink noise, -45 dBFS": (0.004 * np.asarray(hum) + pink * 0.003).astype(np.float32),
    }
    tones = list(room_tones)
    if tones:
        sounds["room tone (held out)"] = np.resize(np.concatenate(tones), n)
    return sounds


def false_captions(
    model: Model, sounds: dict[str, Samples], progress: Progress = lambda done, what: None
) -> dict[str, list[str]]:
    """What is said of sounds that deserve silence."""
    said: dict[str, list[str]] = {}
    for done, (name, samples) in enumerate(sounds.items(), 1):
        said[name] = [event.text for _, event in caption_events(model, samples) if event.kind == "new"]
        progress(done / len(sounds), "listening to silence and noise")
    return said


def fit_calibration(said: Sequence[Uttered]) -> tuple[float, float]:
    """(bias, slope) of Platt scaling: the first captions' support against whether they were right.

    `said` must have been uttered without thresholds and with the identity calibration, so that a
    caption's confidence is its sound's score. Newton's method on the logistic likelihood, with
    Platt's smoothed targets (Platt 1999, eq. 2-4).
    """
    scores = np.array([c for u in said for c in u.confidences[:1]])
    right = np.array([bool(n & set(u.clip.labels)) for u in said for n in u.named[:1]])
    scores = np.clip(scores, 1e-4, 1 - 1e-4)
    x = np.stack([np.ones_like(scores), np.log(scores / (1 - scores))], 1)
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
    weights: NDArray[np.float64] = np.array([0.0, 1.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        weights = weights + np.linalg.solve(hessian, x.T @ (target - p))
    return float(weights[0]), float(weights[1])


SAY_ALL = Captions(confidence=0.0, hedge=0.0)
"""Options under which every sentence is said, to learn how often it is right."""


def credulous(model: Model) -> Model:
    """The model with the identity calibration: a caption's confidence is its sound's score."""
    thresholds = msgspec.structs.replace(model.thresholds, calibration=Calibration())
    return dataclasses.replace(model, thresholds=thresholds)


def steady_novelty(model: Model, corpus: Corpus, clips: Sequence[Clip], share: float = 0.95) -> float:
    """The threshold of novelty under which this share of the clips that last would stay one situation.

    Each clip of five seconds or more is heard from its onset as the session would hear it.
    """
    front_end, encoder = FrontEnd(model.mels), Encoder(model.encoder)
    greatest: list[float] = []
    for clip in clips:
        samples = corpus.audio(clip)
        if len(samples) < 5 * RATE:
            continue
        past, state = front_end.initial_state(), encoder.initial_state()
        segment = Segment(0, True, model.window)
        novelty = [0.0]
        for start in range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
            log_mel, past = front_end.step(samples[start : start + CHUNK_SAMPLES], past)
            embedding, state = encoder.step(log_mel, state)
            segment.add(embedding)
            novelty.append(segment.novelty())
        greatest.append(max(novelty))
    return float(np.quantile(greatest, share))


def open_model(path: str) -> Model:
    """The model of a bundle, by path or name."""
    return Model.load(Bundle.open(path))
