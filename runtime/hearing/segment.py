"""Segments: where one situation ends and the next begins, from level and from novelty of the embedding.

Level says whether there is a sound at all, and when one has stopped: the encoder's memory of 11 s
cannot. Novelty says that what sounds now is another situation than what sounded before. Steady sound
above the level threshold keeps a segment open, rain and fan alike: whether it is worth a sentence is
for its scores to say.
"""

from collections import deque
from collections.abc import Collection
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import POWER_FLOOR, RATE, SILENT_DB, Samples
from ..model.manifest import SegmentThresholds
from .encoder import Embedding
from .opinion import CHUNKS, NEAREST, agreed

WINDOW = 1280
"""Samples that a level is taken over: 40 ms, the encoder's own column; a knock fills one."""
FLOOR_RISE_DB, FLOOR_FALL_DB = 0.3, 3.0
"""The noise floor moves at most so much in a chunk of 320 ms: about 1 dB a second up, 10 down; by hand."""
LOUDEST_DECAY_DB = 0.3
"""A chunk: how fast the loudest that a fade is measured from is forgotten; by hand."""
HOLD_SAMPLES = 2 * RATE
"""Pauses shorter than this belong to the sound: between barks, or a smoke alarm's threes (1.5 s)."""
AFTERGLOW_SAMPLES = RATE
"""After a sound stops the encoder still learns what it was; later embeddings are of the silence."""
RECENT = 3
"""Embeddings that are "now" for novelty: about a second."""
EVIDENCE = 6
"""Chunks whose scores count as evidence: about two seconds."""
LATELY = 8
"""Chunks that are heard again where an opinion has grown old: what ended before is not in them; by hand."""
STILL_NOVEL = 0.7
"""Between this share of the threshold of novelty and the threshold itself, novelty stays what it was."""
USUAL = SegmentThresholds()


class Chunk(NamedTuple):
    """One chunk, as the segmenter sees it."""

    start: int  # sample of the stream, gaps counted
    end: int
    levels: NDArray[np.float64]  # (8,) dBFS, one every 40 ms
    embedding: Embedding


def levels_db(chunk: Samples) -> NDArray[np.float64]:
    """(8,) level of each 40 ms of a chunk in dB of full scale (a square wave's RMS), floored at -100.

    Each window's mean is taken off first: a constant offset is no sound.
    """
    windows = chunk.reshape(-1, WINDOW)
    moving = windows - windows.mean(axis=1, keepdims=True)
    power = np.einsum("wn,wn->w", moving, moving) / WINDOW
    levels: NDArray[np.float64] = 10.0 * np.log10(np.maximum(power, POWER_FLOOR, dtype=np.float64))
    return levels


def mean_level_db(levels: NDArray[np.float64]) -> float:
    """One level for several windows: the mean of their powers, in dB."""
    return float(10.0 * np.log10(np.mean(10.0 ** (levels / 10.0))))


class Segment:
    """One situation: from its onset to the last moment that it was heard. Bounded by the window L."""

    def __init__(
        self,
        start: int,
        is_onset: bool,
        window: int,
        thresholds: SegmentThresholds = USUAL,
        number: int = 1,
        apart: Collection[int] = (),
    ) -> None:
        """apart: sounds that are told by more than what is heard now, alarms by their rhythm: of these the
        encoder's scores stand, whatever a second opinion says and however faint they are."""
        self.number = number
        """1, 2, 3 … in a stream."""
        self.start = start
        self.end = start
        """Sample after the last moment that was loud enough."""
        self.is_onset = is_onset
        """Whether it began with a clear rise or change, not by the fading of another."""
        self.count = 0
        """Embeddings heard, also those no longer kept."""
        self.rise_db = SILENT_DB
        """How far its loudest moment rose above the room: its noise floor, or the level threshold where that
        is lower."""
        self.ended_by: Literal["silence", "fade", "change", "gap"] | None = None
        self._thresholds, self._apart = thresholds, list(apart)
        self._vectors: deque[NDArray[np.float32]] = deque(maxlen=window)
        self._scores: deque[NDArray[np.float32]] = deque(maxlen=EVIDENCE)
        self._evidence: NDArray[np.float32] | None = None  # of the chunks so far, once asked for
        self._opinion: NDArray[np.float32] | None = None
        self._heard = 0  # chunks, by that opinion
        self._latest: NDArray[np.float32] | None = None  # these two as they are believed, once asked for
        self._belief: NDArray[np.float32] | None = None
        self._past: NDArray[np.float32] | None = None  # running mean of all but the RECENT newest

    def add(self, embedding: Embedding, rise_db: float = np.inf) -> None:
        """One more chunk, the loudest moment of which rose so far above the room.

        The past, that novelty compares the last second with, is a running mean of what has left that second:
        past += (leaving - past) / min(chunks that have left, 16), a plain mean at first and then exponential
        with a time constant of 16 chunks, about 5 s.
        """
        if len(self._vectors) >= RECENT:
            leaving = self._vectors[-RECENT]
            weight = 1.0 / min(self.count - RECENT + 1, 16)
            self._past = leaving if self._past is None else self._past + weight * (leaving - self._past)
        self._evidence = self._latest = self._belief = None
        self._vectors.append(embedding.vector)
        self._scores.append(embedding.scores)
        self.rise_db = max(self.rise_db, rise_db)
        self.count += 1

    def embeddings(self) -> NDArray[np.float32]:
        """(n, width), the last n <= L, oldest first."""
        return np.stack(self._vectors)

    def recent(self) -> NDArray[np.float32]:
        """(width,) mean of the last second's embeddings."""
        newest = [*self._vectors][-RECENT:]
        mean: NDArray[np.float32] = sum(newest[1:], newest[0]) / np.float32(len(newest))
        return mean

    def take_opinion(self, opinion: NDArray[np.float32]) -> None:
        """A second opinion of it, (sounds,), which stands until the next; see `opinion.agreed`."""
        self._opinion = opinion
        self._heard = self.count
        self._latest = self._belief = None

    @property
    def has_grown(self) -> bool:
        """Whether there is twice as much to hear as when the opinion that stands was given."""
        return 0 < self._heard < CHUNKS and self.count >= 2 * self._heard

    @property
    def has_moved_on(self) -> bool:
        """Whether the opinion that stands is of what was before: it heard none of the last five seconds."""
        return self._heard > 0 and self.count - self._heard >= CHUNKS

    @property
    def to_hear(self) -> int:
        """Chunks of which a next opinion should be."""
        return LATELY if self.has_moved_on else self.count

    @property
    def latest(self) -> NDArray[np.float32]:
        """(sounds,) scores of the newest chunk, as they are believed."""
        if self._latest is None:
            self._latest = self._believed(self._scores[-1])
        return self._latest

    def belief(self) -> NDArray[np.float32]:
        """(sounds,) how sure each sound is: the evidence, with the opinion that stands; less where nothing
        rose clearly above the room."""
        if self._belief is None:
            self._belief = self._believed(self.evidence())
        return self._belief

    def _believed(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        limits = self._thresholds
        if self._opinion is not None:
            scores = agreed(scores, self._opinion, self._apart, limits.opinion)
        faint = limits.faint * (limits.salient_db - self.rise_db)
        return doubted(scores, faint, self._apart) if faint > 0 else scores

    @property
    def is_new(self) -> bool:
        """Whether it has not settled yet."""
        return self.count <= self._thresholds.settled

    def evidence(self) -> NDArray[np.float32]:
        """(sounds,) how sure the encoder is of each: the mean of its best scores of the last two seconds.

        Two chunks must agree at first (`agreeing`), so that one wild score convinces nobody; and a single
        knock, over before the second chunk, still counts while the encoder remembers it. Four later on.
        """
        if self._evidence is None:
            limits = self._thresholds
            agreeing = limits.agreeing if self.is_new else limits.agreeing_later
            best = np.sort(np.array(self._scores), axis=0)[-agreeing:]
            self._evidence = best.sum(axis=0) / np.float32(agreeing)
        return self._evidence

    def novelty(self) -> float:
        """Cosine distance, 0 to 2, of the last second's mean embedding from the past; 0 before nine chunks.

        Its threshold is the bundle's, fitted so that 0.95 of steady validation clips stay one situation
        (`steady_novelty`, by `edgecap evaluate BUNDLE --calibrate CHECKPOINT`).
        """
        if self._past is None or self.count < 3 * RECENT:
            return 0.0
        return cosine_distance(self.recent(), self._past)

    def tail(self) -> list[Embedding]:
        """The RECENT newest chunks, with which a next segment begins."""
        return [
            Embedding(vector, scores)
            for vector, scores in zip([*self._vectors][-RECENT:], [*self._scores][-RECENT:], strict=True)
        ]


def doubted(scores: NDArray[np.float32], doubt: float, apart: Collection[int] = ()) -> NDArray[np.float32]:
    """(sounds,) scores, their log-odds less by so much, but of those apart."""
    p = np.clip(scores, NEAREST, 1 - NEAREST)
    less: NDArray[np.float32] = (p / (p + (1 - p) * np.float32(np.exp(doubt)))).astype(np.float32)
    kept = list(apart)
    less[kept] = scores[kept]
    return less


def cosine_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """1 - cosine, 0 (same direction) to 2; 0 if either is zero."""
    norms = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    return 1.0 - float(np.dot(a, b)) / norms if norms > 0 else 0.0


def _first_above(chunk: Chunk, threshold_db: float) -> int:
    """Sample where the chunk first exceeds the threshold."""
    return chunk.start + WINDOW * int(np.argmax(chunk.levels > threshold_db))


def _last_above(chunk: Chunk, threshold_db: float) -> int:
    """Sample after the last window of the chunk that exceeds the threshold."""
    is_loud = chunk.levels > threshold_db
    if is_loud[-1] or not is_loud.any():
        return chunk.end
    last = int(np.flatnonzero(is_loud)[-1]) + 1
    return min(chunk.start + WINDOW * last, chunk.end)  # a recording's last chunk may end earlier


def _followed(floor_db: float, quietest_db: float) -> float:
    """A noise floor after another chunk: a little nearer to that chunk's quietest moment."""
    return floor_db + min(max(quietest_db - floor_db, -FLOOR_FALL_DB), FLOOR_RISE_DB)


class Segmenter:
    """Opens and closes segments, chunk by chunk. At most one is open."""

    def __init__(
        self,
        window: int,
        level_db: float,
        novelty: float,
        thresholds: SegmentThresholds = USUAL,
        apart: Collection[int] = (),
    ) -> None:
        """window: embeddings kept of a segment (L). level_db, novelty and the others: the bundle's.
        apart: see `Segment`."""
        self.open: Segment | None = None
        self._window, self._level, self._novelty = window, level_db, novelty
        self._thresholds, self._apart, self._count = thresholds, apart, 0
        self._floor = self._room = level_db - thresholds.stands_out_db
        self._loudest = SILENT_DB
        self._stood_out_at = 0
        self._rises: deque[float] = deque(maxlen=RECENT)  # above the room, of the newest chunks
        self._novel_starts: deque[int] = deque(maxlen=RECENT)  # where the chunks of tail() began
        self._was_novel = False

    @property
    def is_quiet(self) -> bool:
        """Nothing above the level threshold, and no pause inside a sound either."""
        return self.open is None

    def step(self, chunk: Chunk) -> Segment | None:
        """Take one chunk. Returns the segment that it ended, if any; `open` is the one going on."""
        peak = float(chunk.levels.max())
        stands_out = peak > self._floor + self._thresholds.stands_out_db
        self._rises.append(peak - min(self._room, self._level))
        risen = stands_out and chunk.start - self._stood_out_at >= HOLD_SAMPLES
        if stands_out:
            self._stood_out_at = chunk.end
        self._track_floor(float(chunk.levels.min()))
        self._loudest = max(peak, self._loudest - LOUDEST_DECAY_DB)
        segment = self.open
        if segment is None:
            if peak > self._level:
                self._begin(chunk, _first_above(chunk, self._level), stands_out)
            return None

        threshold = self._level - self._thresholds.hysteresis_db
        if not stands_out:
            threshold = max(threshold, self._loudest - self._thresholds.fade_db)
        if peak > threshold:
            segment.end = _last_above(chunk, threshold)
        if chunk.end - segment.end >= HOLD_SAMPLES:
            return self._end_faded(segment, chunk, peak)
        if risen:  # something new over a steady background
            segment.ended_by = "change"
            onset = _first_above(chunk, self._floor + self._thresholds.stands_out_db)
            segment.end = min(segment.end, onset)
            self._begin(chunk, onset, True)
            return segment
        if chunk.end - segment.end <= AFTERGLOW_SAMPLES:
            segment.add(chunk.embedding, self._rises[-1])
            self._novel_starts.append(chunk.start)
            return self._split_if_novel(segment)
        return None

    def close(self) -> Segment | None:
        """End what is open, because the sound was cut here. Returns it."""
        segment, self.open = self.open, None
        if segment is not None:
            segment.ended_by = "gap"
        return segment

    def _next(self, start: int, is_onset: bool) -> Segment:
        self._count += 1
        return Segment(start, is_onset, self._window, self._thresholds, self._count, self._apart)

    def _begin(self, chunk: Chunk, start: int, is_onset: bool) -> None:
        self.open = self._next(start, is_onset)
        self.open.end = max(start, _last_above(chunk, self._level - self._thresholds.hysteresis_db))
        self.open.add(chunk.embedding, self._rises[-1])
        self._loudest = float(chunk.levels.max())
        self._novel_starts.clear()
        self._novel_starts.append(chunk.start)
        self._was_novel = False

    def _end_faded(self, segment: Segment, chunk: Chunk, peak: float) -> Segment:
        """The sound is over; what stays, if it is not silence, is a situation of its own."""
        still_on = peak > self._level
        segment.ended_by = "fade" if still_on else "silence"
        self.open = None
        if still_on:
            self._begin(chunk, chunk.start, False)
        return segment

    def _split_if_novel(self, segment: Segment) -> Segment | None:
        novelty = segment.novelty()
        # Two chunks in a row must say so; in between (STILL_NOVEL) nothing changes.
        if novelty > self._novelty and self._was_novel:
            segment.ended_by = "change"
            self._begin_with_tail(segment)
            return segment
        if novelty > self._novelty or novelty < STILL_NOVEL * self._novelty:
            self._was_novel = novelty > self._novelty
        return None

    def _begin_with_tail(self, before: Segment) -> None:
        start = self._novel_starts[0]
        self.open = self._next(start, True)
        for embedding in before.tail():
            self.open.add(embedding, max(self._rises))
        self.open.end = max(before.end, start)  # the sound may have been over before what followed was new
        before.end = start
        self._was_novel = False

    def _track_floor(self, quietest: float) -> None:
        """Both follow the quietest moments; what tells an event from the room is never lower than the level
        threshold needs it."""
        self._floor = max(_followed(self._floor, quietest), self._level - self._thresholds.stands_out_db)
        self._room = _followed(self._room, quietest)
