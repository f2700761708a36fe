"""What a frozen extractor hears of a corpus, kept on the disk: SEE's paper mode trains on nothing else.

A recording becomes (t, width) embeddings and, where there is to be spectrogram noise, its log-mel after bn0,
eight columns to an embedding: that is twice as large again. Extraction goes on where it was stopped.
"""

import copy
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...runtime.audio import RATE
from .. import made_from
from ..models.convnext import WindowedConvNeXt, normalise
from ..room.stream_features import Example
from .corpora import Recording
from .corpus import decode

LONGEST_S = 30
"""Of a longer recording only the beginning is heard: Clotho's longest have 30 s."""
SHORTEST_S = 1
"""A shorter one is followed by silence."""
FRAMES_AN_EMBEDDING = 32
COLUMNS = 8
"""Of the spectrogram to an embedding: four frames each."""


class Place(NamedTuple):
    """Where a recording's embeddings lie: a line of index.jsonl. file: the stamp of what was decoded."""

    id: str
    start: int
    frames: int
    file: str


class Features:
    """Recordings as an extractor heard them, memory-mapped, to draw examples from."""

    def __init__(self, recordings: Sequence[Recording], folder: Path, width: int, mels: int) -> None:
        """folder: where `extract` has left them, for these recordings and maybe others."""
        heard = {place.id: place for place in _index(folder)}
        self.recordings = list(recordings)
        self._places = [heard[recording.id] for recording in recordings]
        self._embeddings = np.memmap(folder / "embeddings.raw", np.float16, "r").reshape(-1, width)
        spectra = folder / "spectra.raw"
        self._spectra = (
            np.memmap(spectra, np.float16, "r").reshape(-1, mels) if spectra.stat().st_size else None
        )

    def __len__(self) -> int:
        return len(self.recordings)

    def some(self, count: int, seed: int) -> "Features":
        """At most so many of them, drawn by a seed."""
        fewer = copy.copy(self)
        chosen = np.random.default_rng(seed).permutation(len(self))[:count].tolist()
        fewer.recordings = [self.recordings[row] for row in chosen]
        fewer._places = [self._places[row] for row in chosen]
        return fewer

    def embeddings(self, row: int) -> NDArray[np.float16]:
        """(t, width) of a recording."""
        _, start, frames, _ = self._places[row]
        return self._embeddings[start : start + frames]

    def example(self, row: int, caption: str) -> Example:
        """A recording with one of its captions."""
        _, start, frames, _ = self._places[row]
        columns = slice(COLUMNS * start, COLUMNS * (start + frames))
        spectrogram = None if self._spectra is None else np.array(self._spectra[columns])
        return Example(np.array(self.embeddings(row)), spectrogram, caption)

    def batch(self, rng: Generator, size: int) -> list[Example]:
        """Different recordings, each with one of its captions: what is a negative is never the same clip."""
        rows = rng.choice(len(self), min(size, len(self)), replace=False)
        return [
            self.example(row, captions[int(rng.integers(len(captions)))])
            for row in rows.tolist()
            for captions in [self.recordings[row].captions]
        ]


@torch.inference_mode()
def extract(
    extractor: WindowedConvNeXt, recordings: Sequence[Recording], folder: Path,
    device: torch.device, progress: Callable[[float, str], None] = lambda done, what: None,
    *, spectra: bool = True,
) -> None:  # fmt: skip
    """Hear what was not heard yet, and what another extractor or another file was heard of.

    spectra: keep the spectrograms too. Says beforehand how much disk it wants. Raises DataError for a
    recording that can't be decoded.
    """
    causes = {"extractor": made_from.of_module(extractor), "longest_s": LONGEST_S, "spectra": spectra}
    made_from.claim(folder, causes, anew=True)
    stamps = {recording.id: made_from.stamp(recording.file) for recording in recordings}
    known = [place for place in _index(folder) if stamps.get(place.id, place.file) == place.file]
    frames = max((place.start + place.frames for place in known), default=0)
    heard = {place.id for place in known}
    left = [recording for recording in recordings if recording.id not in heard]
    extractor = extractor.to(device).eval()
    width, mels = extractor.norm.normalized_shape[0], extractor.mels
    # A line or a recording that was being written when it was stopped goes.
    (folder / "index.jsonl").write_text("".join(map(_line, known)), encoding="utf-8")
    embedding_bytes, spectrum_bytes = 2 * width, 2 * mels * COLUMNS if spectra else 0
    if left:
        wanted = sum(map(_frames, left)) * (embedding_bytes + spectrum_bytes)
        progress(0.0, f"hearing {len(left)} recordings; they take about {wanted / 1e6:.0f} MB in {folder}")
    embeddings, columns = folder / "embeddings.raw", folder / "spectra.raw"
    for path, row_bytes in ((embeddings, embedding_bytes), (columns, spectrum_bytes)):
        path.touch()
        with path.open("r+b") as raw:
            raw.truncate(frames * row_bytes)
    with (
        embeddings.open("ab") as embedded,
        columns.open("ab") as spectral,
        (folder / "index.jsonl").open("a", encoding="utf-8") as index,
    ):
        for done, recording in enumerate(left, 1):
            sound = decode(recording.file)[: LONGEST_S * RATE].astype(np.float32) / 32768.0
            silence = max(0, SHORTEST_S * RATE - len(sound))
            samples = F.pad(torch.from_numpy(sound), (0, silence))[None].to(device)
            found, spectrogram = features(extractor, samples)
            embedded.write(found.half().cpu().numpy().tobytes())
            if spectra:
                spectral.write(spectrogram.half().cpu().numpy().tobytes())
            embedded.flush()
            spectral.flush()
            index.write(_line(Place(recording.id, frames, len(found), stamps[recording.id])))
            index.flush()
            frames += len(found)
            progress(done / len(left), f"hearing {len(left)} recordings")


def _frames(recording: Recording) -> int:
    """About as many embeddings as it will have: three a second, by what its header says."""
    try:
        seconds = float(soundfile.info(recording.file).duration)
    except (OSError, soundfile.LibsndfileError):
        seconds = LONGEST_S
    return math.ceil(min(max(seconds, SHORTEST_S), LONGEST_S) * RATE / (FRAMES_AN_EMBEDDING * 320))


def features(extractor: WindowedConvNeXt, samples: Tensor) -> tuple[Tensor, Tensor]:
    """(1, N) samples -> embeddings (t, width), and the spectrogram (8 t, mels) after bn0."""
    embeddings = extractor.features(samples)[0]
    log_mel = normalise(extractor.bn0, extractor.log_mel(samples))  # (1, 1, T, mels)
    columns = F.interpolate(
        log_mel, size=(COLUMNS * len(embeddings), log_mel.shape[3]), mode="bilinear", antialias=True
    )
    return embeddings, columns[0, 0]


def _line(place: Place) -> str:
    return json.dumps(place._asdict()) + "\n"


def _index(folder: Path) -> list[Place]:
    path = folder / "index.jsonl"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [Place(**json.loads(line)) for line in lines if line.endswith("\n")]
