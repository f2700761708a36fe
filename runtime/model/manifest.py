"""The manifest: what a bundle says of itself, and so the contract between training, export and the edge.

The structs here are the only description of graphs: a model in training declares them,
the exporter writes them, the manifest stores them, the engine checks and runs them.
"""

import math
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from .. import audio

FORMAT = 1
MANIFEST_FILE, TOKENIZER_FILE, LABELS_FILE = "manifest.json", "tokenizer.json", "labels.csv"


class Tensor(msgspec.Struct, frozen=True):
    """One named input or output of a graph; a dimension is a size, or the name of one that varies."""

    name: str
    shape: tuple[int | str, ...]
    dtype: Literal["float32", "int64"] = "float32"


class Graph(msgspec.Struct, frozen=True):
    """What a graph takes and gives. State goes in by one name and comes out as `new_` of it."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[Tensor, ...] = ()

    def state_pairs(self) -> dict[str, str]:
        """Input name -> output name of every state tensor."""
        return {tensor.name: f"new_{tensor.name}" for tensor in self.state}


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """How a graph was compiled ahead of time; two builds of one graph differ in some bytes."""

    library: Literal["tensorrt", "tensorrt-rtx"]
    version: str
    """Engines run under the very version that built them."""
    capabilities: tuple[str, ...] = ()
    """Compute capabilities of the GPUs that it runs on, "8.6"; none: whichever the library supports."""
    source: str
    """sha256 of the ONNX file that it was built from; in the bundle only if it computes in float32."""
    bindings: dict[str, str] = {}
    """Tensor of the graph -> its name in the engine, where the compiler gave it another."""
    profiles: dict[str, tuple[int, int, int]] = {}
    """Named dimension -> least, usual and most that it may be."""


class GraphFile(msgspec.Struct, frozen=True, kw_only=True):
    """A graph as it lies in the bundle."""

    file: str
    sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[Tensor, ...] = ()
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    backend: Literal["onnx", "tensorrt", "tensorrt-rtx"] = "onnx"
    opset: int | None = None
    """Of an ONNX file."""
    build: Build | None = None
    """Of an engine."""


class AudioContract(msgspec.Struct, frozen=True):
    """The constants of runtime/audio.py that the model was trained with."""

    rate: int
    fft: int
    hop: int
    chunk: int
    mels: int
    mel_low_hz: float
    mel_high_hz: float
    power_floor: float


class Calibration(msgspec.Struct, frozen=True):
    """Logistic map from what the model says to the probability that a caption is right.

    p = sigmoid(bias + score * logit(best sound's score) + likelihood * mean token log-probability)

    Fitted by `edgecap evaluate BUNDLE --calibrate CHECKPOINT` on the validation clips (Platt 1999).
    """

    bias: float = 0.0
    score: float = 1.0
    likelihood: float = 0.0

    def probability(self, score: float, log_prob: float) -> float:
        """That a caption is right. score: its best sound's, 0 to 1. log_prob: the mean of its tokens'."""
        return _sigmoid(self.bias + self.score * _logit(score) + self.likelihood * log_prob)

    def score_for(self, probability: float) -> float:
        """The score that a sound needs for this probability, were its words certain (log_prob 0).

        The inverse of `probability`: sigmoid((logit(p) - bias) / score).
        """
        return _sigmoid((_logit(probability) - self.bias) / max(self.score, 1e-3))


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1.0 - 1e-6)
    return math.log(p / (1.0 - p))


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(x, -50.0), 50.0)))


class PolicyThresholds(msgspec.Struct, frozen=True):
    """What scores and words of this model are worth to the policy (runtime/saying).

    The defaults are those of room-small 1.6; training/LOG.md has the trials that are named here.
    """

    strong: float = 0.9
    """From this probability on the first sentence comes a chunk sooner (how much sooner: "When to speak" of
    1.4), and another sound may be said beside an event that is held back; chosen by hand."""
    arrival: float = 0.3
    """A sound whose evidence grew by more than this since the last sentence has arrived: it is told even
    where an older one is louder; chosen by hand."""
    reluctance: float = 0.4
    """By so much more evidence each revision of a caption makes the next one harder: "A caption is revised
    twice" (1.5), of 0.1, 0.25 and 0.4 on steady validation clips."""
    least_log_prob: float = -1.5
    """Mean log-probability of its tokens below which a sentence is not trusted to be one ("someone knocks
    door"), and the sound's own phrase tells it better; chosen by hand (1.6)."""
    asks: float | None = None
    """From this score of the encoder on the second opinion is asked for, while a segment is new ("A second
    opinion" of 2.0, of 0.1, 0.2, 0.3 and 0.35); None: of a bundle without one."""
    urgent: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """The probability from which on what is urgent is said plainly, where that is above `confidence`; an
    alarm needs no more than that, for its rhythm tells it too. At 0.78 nine in ten of the babies, sirens,
    screams and panes of validation clips stay plain, and half of what was taken for one is a guess (2.1)."""
    echo_chunks: int = 10
    """What did not begin, but stayed when something else faded, may be that thing's echo in the encoder's
    memory: it is told after so many chunks (3.2 s); chosen by hand for a memory of 11 s."""


class SegmentThresholds(msgspec.Struct, frozen=True):
    """When a sound is on, and when its scores are believed (runtime/hearing/segment.py)."""

    hysteresis_db: float = 4.0
    """A sound that is on stays on until it is this much below the threshold of level; chosen by hand."""
    stands_out_db: float = 8.0
    """Above the noise floor by this much, a sound is an event and not the room; chosen by hand."""
    fade_db: float = 12.0
    """A fall by this much, back to the room's own level, ends what was sounding; chosen by hand."""
    agreeing: Annotated[int, Meta(ge=1)] = 2
    """So many of the last six chunks must agree on a sound: "When to speak" of 1.4."""
    settled: int = 12
    """After so many chunks nothing is new in a segment, and `agreeing_later` chunks must agree: of hours of a
    fan, some moment sounds like a train ("What a night of nothing sounds like, to a head", 1.6)."""
    agreeing_later: Annotated[int, Meta(ge=1)] = 4
    opinion: Annotated[float, Meta(ge=0)] = 1.0
    """How much the second opinion counts, where the encoder's evidence counts one (`agreed`)."""
    opinion_db: float = -100.0
    """What it hears is raised to this loudness, dBFS, where its louder moments are fainter ("A faint
    microphone", 2.2)."""
    salient_db: float = 20.0
    """What rises less than this above the room's noise floor is doubted: of hours of the room itself some
    moment sounds like a juicer ("What hardly rises above the room", 2.2)."""
    faint: Annotated[float, Meta(ge=0)] = 0.0
    """By so much of log-odds for each dB that it lacks; the same trials."""


class AlarmThresholds(msgspec.Struct, frozen=True):
    """What an alarm's cadence adds to the encoder's score (runtime/hearing/alarms.py).

    logit(p) = logit(encoder's score) + steepness * (correlation - likely): "An alarm's cadence" (1.5), from
    trials over validation clips' noise.
    """

    known: float = 0.75
    """From this score on it is known which alarm it is; chosen by hand."""
    steepness: float = 30.0
    """Log-odds that a correlation of one is worth more than none."""
    likely_t3: float = 0.74
    """The correlation that leaves the odds as they are: between the alarms and the look-alikes."""
    likely_t4: float = 0.62
    unfamiliar: float = 0.01
    """The least that the encoder's score counts: a real alarm may have a timbre that nobody taught. This
    and what follows: `python -m benchmarks.alarms`, over validation clips."""
    twice_t3: float = 0.8
    """Two correlations of so much, a period apart, need no encoder."""
    twice_t4: float = 0.74
    even: float = 0.85
    """From this autocorrelation on something beats evenly (runtime/hearing/beat.py)."""
    veto: float = 0.5
    """The score of music, animals or a clock's tick from which on an even beat is theirs and no alarm's."""

    def likely(self, cadence: "Cadence") -> float:
        """Of this cadence."""
        return self.likely_t3 if cadence == "T3" else self.likely_t4

    def twice(self, cadence: "Cadence") -> float:
        """Of this cadence."""
        return self.twice_t3 if cadence == "T3" else self.twice_t4


class Thresholds(msgspec.Struct, frozen=True):
    """Where the model starts to hear, to tell situations apart and to be believed.

    `novelty` and `calibration` are fitted by `edgecap evaluate BUNDLE --calibrate CHECKPOINT`;
    `confidence` and `hedge` are chosen by the tables "When to speak" of training/LOG.md. What was tuned
    besides stands in groups; a bundle of before these has room-small 1.6's.
    """

    level_db: float = -60.0
    novelty: float = 0.5
    confidence: float = 0.5
    hedge: float = 0.35
    calibration: Calibration = Calibration()
    policy: PolicyThresholds = PolicyThresholds()
    segments: SegmentThresholds = SegmentThresholds()
    alarms: AlarmThresholds = AlarmThresholds()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json, format 1."""

    format: Annotated[int, Meta(ge=1)]
    name: str
    version: str
    created: str
    licence: str
    audio: AudioContract
    labels: int
    window: int
    """L: the most embeddings that the adapter takes."""
    graphs: dict[str, GraphFile]
    thresholds: Thresholds
    engines: dict[str, GraphFile] = {}
    """The same graphs compiled for a GPU; where they can't run, `graphs` do."""
    files: dict[str, str]
    """sha256 of every file that is no graph: labels.csv, tokenizer.json, MODEL_CARD.md, LICENSE."""
    parity: dict[str, dict[str, float]] = {}
    """Tensor -> how far the files are from the model that they were exported from; `verify` made it."""
    training: dict[str, str] = {}
    """Where the weights come from: checkpoint's sha256, sources, commit."""


Priority = Literal["urgent", "call", "ambient", ""]
Cadence = Literal["T3", "T4"]


class Label(NamedTuple):
    """A known sound: row i of labels.csv belongs to score i of the encoder."""

    label: str
    phrase: str
    """How a sentence says it: "a dog barks"."""
    category: str = ""
    priority: Priority = ""
    """urgent: said before all else, and each time. call: it wants somebody to come, as a doorbell does.
    ambient: a background that may go on for hours. Empty: none of these."""
    cadence: Cadence | Literal[""] = ""
    """Of an alarm, the cadence that tells it."""


def audio_contract(mels: int) -> AudioContract:
    """What a manifest must say of sound: the constants of runtime/audio.py, and the model's mel bins."""
    return AudioContract(
        rate=audio.RATE,
        fft=audio.FFT,
        hop=audio.HOP,
        chunk=audio.CHUNK,
        mels=mels,
        mel_low_hz=audio.MEL_LOW_HZ,
        mel_high_hz=audio.MEL_HIGH_HZ,
        power_floor=audio.POWER_FLOOR,
    )
