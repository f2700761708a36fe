"""Recordings as frozen public encoders hear them: anew in each step, since SpecAugment stands before them.

Files are decoded ahead by threads; a recording is heard to its 30th second (data/features.py).
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ...runtime.audio import CHUNK_SAMPLES, RATE
from ...runtime.errors import UsageError
from .. import made_from
from ..data.corpora import Recording
from ..data.corpus import decode
from ..data.features import LONGEST_S, SHORTEST_S
from ..loop import Progress
from ..models.edtc import to_steps
from ..models.htsat import STEPS, Htsat
from ..models.public import EXTRACTORS, find, open_file

CROP = 10 * RATE
"""Samples that HTSAT hears at once."""
STRIPES = 2
LONGEST_STRIPE, WIDEST_STRIPE = 64, 8
"""Frames, and bins of 64 mel bins, that a stripe has less than (torchlibrosa's SpecAugmentation)."""
AHEAD = 3
"""Batches that are decoded before they are asked for."""
DECODERS = 8


class Listener:
    """Frozen encoders: samples -> what each hears, stretched to T steps (EDTC-1)."""

    def __init__(self, extractors: Sequence[nn.Module], steps: int) -> None:
        self.extractors, self.steps = [e.eval().requires_grad_(False) for e in extractors], steps
        self.device = torch.device("cpu")

    @property
    def digest(self) -> list[str]:
        """Of each encoder."""
        return [made_from.of_module(extractor) for extractor in self.extractors]

    def to(self, device: torch.device) -> None:
        """Hear there from now on."""
        self.device = device
        self.extractors = [extractor.to(device) for extractor in self.extractors]

    @torch.no_grad()
    def hear(self, sounds: Sequence[Tensor], augment: bool = False) -> list[Tensor]:
        """Recordings (n,) of any lengths -> each encoder's (B, T, d)."""
        lengths = torch.tensor([len(sound) for sound in sounds])
        samples = pad_sequence(list(sounds), batch_first=True).to(self.device)
        found = []
        for extractor in self.extractors:
            columns, per_column = _columns(extractor, samples, augment)
            real = ((lengths + per_column - 1) // per_column).clamp(1, columns.shape[1])
            valid = torch.arange(columns.shape[1]) < real[:, None]
            found.append(to_steps(columns, self.steps, valid.to(self.device)).float())
        return found


def _columns(extractor: Any, samples: Tensor, augment: bool) -> tuple[Tensor, int]:
    """An encoder's columns (B, n, d), and how many samples there are to one."""
    crops = torch.split(samples, CROP, dim=1) if isinstance(extractor, Htsat) else (samples,)
    crops = tuple(crop for crop in crops if crop.shape[1] >= RATE) or crops[:1]
    heard = []
    for crop in crops:
        short = max(0, (CROP if len(crops) > 1 else RATE) - crop.shape[1])
        log_mel = extractor.log_mel(F.pad(crop, (0, short)))
        heard.append(extractor.columns(spec_augment(log_mel) if augment else log_mel))
    columns = torch.cat(heard, dim=1)
    if isinstance(extractor, Htsat):  # a crop has 32, however long it is
        return columns, max(1, (CROP if len(crops) > 1 else max(samples.shape[1], RATE)) // STEPS)
    return columns, CHUNK_SAMPLES


def spec_augment(log_mel: Tensor) -> Tensor:
    """(B, T, mels) with two stripes of time and two of mel silenced in each clip (Park et al. 2019)."""
    clips, frames, mels = log_mel.shape
    floor = log_mel.amin(dim=(1, 2), keepdim=True)
    keep = torch.ones(clips, frames, mels, dtype=torch.bool, device=log_mel.device)
    for axis, size, most in ((1, frames, LONGEST_STRIPE), (2, mels, WIDEST_STRIPE * mels // 64)):
        for _ in range(STRIPES):
            long = (torch.rand(clips, device=log_mel.device) * min(most, size)).long()
            start = (torch.rand(clips, device=log_mel.device) * (size - long)).long()
            at = torch.arange(size, device=log_mel.device)
            hidden = (at >= start[:, None]) & (at < (start + long)[:, None])
            keep &= ~(hidden[:, :, None] if axis == 1 else hidden[:, None])
    return torch.where(keep, log_mel, floor)


def open_listener(
    names: Sequence[str], weights: Path | None, steps: int, texts: Sequence[str], paper: str
) -> Listener:
    """The public encoders of these names; checks first that these and the text models are all there.

    Raises UsageError for a name that is none, InputMissingError, BundleError.
    """
    if unknown := [name for name in names if name not in EXTRACTORS]:
        raise UsageError(
            f"{paper} names the encoder {unknown[0]!r}", fix=f"there are {', '.join(EXTRACTORS)}"
        )
    files = [EXTRACTORS[name] for name in names]
    find(weights, files, [text for text in texts if text], paper)
    return Listener([open_file(file, cast(Path, weights)) for file in files], steps)


def sound_of(recording: Recording, rate: int = RATE) -> Tensor:
    """(n,) float32 at 32 kHz unless told otherwise, a second to half a minute.

    Raises DataError where it can't be decoded.
    """
    samples = decode(recording.file, rate)[: LONGEST_S * rate].astype(np.float32) / 32768.0
    return F.pad(torch.from_numpy(samples), (0, max(0, SHORTEST_S * rate - len(samples))))


class Decoded:
    """Training's recordings in batches, for ever, decoded ahead; every (clip, caption) pair once an epoch."""

    def __init__(self, recordings: Sequence[Recording], batch: int, rate: int = RATE) -> None:
        self._recordings, self._rate = recordings, rate
        self._rows = [(row, n) for row, found in enumerate(recordings) for n in range(len(found.captions))]
        self.pairs, self._batch = len(self._rows), min(batch, len(self._rows))

    def batches(self, *seed: int) -> Iterator[tuple[list[Recording], list[Tensor], list[str]]]:
        """Recordings, their samples and a caption of each."""
        rng = np.random.default_rng(list(seed))
        with ThreadPoolExecutor(DECODERS) as pool:
            waiting: deque[tuple[list[Recording], list[Future[Tensor]], list[str]]] = deque()
            for chosen in self._orders(rng):
                recordings = [self._recordings[row] for row, _ in chosen]
                said = [recording.captions[n] for recording, (_, n) in zip(recordings, chosen, strict=True)]
                waiting.append(
                    (recordings, [pool.submit(sound_of, one, self._rate) for one in recordings], said)
                )
                if len(waiting) > AHEAD:
                    ready, decoding, said = waiting.popleft()
                    yield ready, [one.result() for one in decoding], said

    def _orders(self, rng: np.random.Generator) -> Iterator[list[tuple[int, int]]]:
        while True:
            order = rng.permutation(self.pairs)
            for start in range(0, self.pairs - self._batch + 1, self._batch):
                yield [self._rows[i] for i in order[start : start + self._batch]]


class Heard(NamedTuple):
    """Held-out recordings heard once, without augmentation: each encoder's (N, T, d) in float16."""

    table: list[Tensor]

    @classmethod
    def of(
        cls, listener: Listener, recordings: Sequence[Recording], progress: Progress, batch: int = 8
    ) -> "Heard":
        """Hear them all."""
        parts: list[list[Tensor]] = []
        for start in range(0, len(recordings), batch):
            found = listener.hear([sound_of(one) for one in recordings[start : start + batch]])
            parts.append([x.half().cpu() for x in found])
            progress(
                min(1.0, (start + batch) / len(recordings)), f"hearing {len(recordings)} held-out recordings"
            )
        return cls([torch.cat(stream) for stream in zip(*parts, strict=True)])

    @property
    def rows(self) -> Callable[[Sequence[int]], list[Tensor]]:
        """Of these rows, each encoder's (B, T, d)."""
        return lambda rows: [stream[list(rows)].float() for stream in self.table]
