"""The session: samples in, events out. No clock, thread, socket or file inside.

    samples -> front end -> encoder -> alarms -> segmenter -> policy -> (opinion, decoder) -> events

The same samples in any chunking give the same events, bit for bit: samples are gathered to chunks of
10,240, and every stage sees whole chunks only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from .audio import CHUNK_SAMPLES, RATE, SILENT_DB, Samples
from .errors import UsageError
from .events import Caption, Event, Heard, HeardSound, Situation
from .hearing.alarms import Alarms
from .hearing.hearing import Hearing, HearingState
from .hearing.opinion import Opinion
from .hearing.segment import Chunk, Segment, Segmenter, levels_db, mean_level_db
from .model.engine import Engine, Provider
from .model.manifest import Thresholds
from .options import Captions
from .saying.caption_state import Policy
from .saying.choose import Evidence, own_phrases
from .saying.decoder import Decoder, Hypothesis, Vocabulary, packed
from .saying.labels import Labels
from .saying.limits import Limits
from .saying.triggers import FIRST_EMBEDDINGS

if TYPE_CHECKING:
    from .model.bundle import Bundle

SPEAKING = ("adapter", "decoder_prefill", "decoder_step")
"""The graphs that make sentences, in the order of the way; a tagger's bundle has none."""
OPINION = "opinion"
"""The graph that is asked for a second opinion; a bundle may have none."""
MOST_HEARD = 5
"""Sounds that `Session.heard` tells of."""
LONG_GAP = RATE
"""Samples lost, from which on what was heard before says nothing about what is heard after."""


@dataclass(frozen=True)
class Model:
    """What never changes while listening: weights, words, thresholds. Sessions share it."""

    mels: int
    window: int
    """L: the most embeddings of a segment that the adapter takes."""
    thresholds: Thresholds
    labels: Labels
    encoder: Engine
    decoder: Decoder | None = None
    """None in a tagger's bundle: what is said of a sound is its own phrase."""
    opinion: Engine | None = None
    """What gives a second opinion; None: a bundle without one."""

    @classmethod
    def load(cls, bundle: "Bundle", provider: Provider | Literal["auto"] = "auto") -> "Model":
        """Load the graphs of an opened bundle. provider: see `load_engines`.

        Raises BundleError if one is not what it declares, UnavailableError if the provider is not here.
        """
        # Here, not above: what opens files (zipfile) and logs brings threading, which no session needs.
        from .model.engine_tensorrt import load_engines

        manifest = bundle.manifest
        speaks = "decoder_step" in manifest.graphs
        engines = load_engines(bundle, ("encoder", *(SPEAKING if speaks else ())), provider)
        decoder: Decoder | None = None
        if speaks:
            adapter, prefill, step = (engines[name] for name in SPEAKING)
            decoder = Decoder(adapter, prefill, step, Vocabulary.parse(bundle.tokenizer()))
        opinion: Engine | None = None
        if OPINION in manifest.graphs:  # on the CPU wherever the rest is: a window now and then
            opinion = Engine(OPINION, bundle.graph(OPINION), manifest.graphs[OPINION])
        return cls(
            mels=manifest.audio.mels,
            window=manifest.window,
            thresholds=manifest.thresholds,
            labels=Labels(bundle.labels),
            encoder=engines["encoder"],
            decoder=decoder,
            opinion=opinion,
        )

    def hearing(self) -> Hearing:
        """What a stream is heard through, its working memory its own."""
        alarms = Alarms(self.labels.known_alarms, self.mels, self.thresholds.alarms)
        return Hearing(self.mels, self.encoder, alarms)


class Session:
    """One stream being captioned. Holds all that is remembered of it, and nothing that grows."""

    def __init__(self, model: Model, options: Captions | None = None, *, holds_all: bool = False) -> None:
        """options: the user's thresholds; what is None there is the bundle's. holds_all: every sure event is
        said, however often it came before: for a recording's captions, where a room's need not be."""
        options = options or Captions()
        thresholds = model.thresholds
        level = thresholds.level_db if options.level is None else options.level
        self.hearing = model.hearing()
        self.labels, self.decoder = model.labels, model.decoder
        self.segmenter = Segmenter(
            model.window, level, thresholds.novelty, thresholds.segments, self.labels.by_rhythm
        )
        raised_db = thresholds.segments.opinion_db
        self.opinion = Opinion(model.opinion, raised_db) if model.opinion else None
        self._limits = Limits.of(thresholds, options)
        self.policy = Policy(model.labels, self._limits, holds_all)
        self.position = 0
        """Samples so far, lost ones included: where the stream is."""
        self.level_db = SILENT_DB
        """Of the last whole chunk, in dB of full scale; -100 is digital silence."""
        self.non_finite = 0
        """Samples that were NaN or infinite, and were taken as zero."""
        self._chunk = np.zeros(CHUNK_SAMPLES, np.float32)
        self._filled = 0
        self._chunk_start = 0
        self._gap = 0  # samples lost since the last one heard
        self._is_paused = True  # nothing was heard since
        self._is_finished = False
        self._hearing: HearingState
        self._heard_at = 0  # where the last chunk ended
        self._scores: Evidence | None  # of that
        self._semantic: bytes | None = None  # of the open segment, when it was last described
        self._forget()

    @property
    def live(self) -> Caption | None:
        """The caption that stands, as last said."""
        return self.policy.live

    @property
    def quiet(self) -> bool:
        """Nothing to be heard: below the level threshold for longer than a pause."""
        return self.segmenter.is_quiet

    def heard(self) -> Heard:
        """What is heard at this moment, and why it is not said. Asking changes nothing."""
        segment = self.segmenter.open
        scores = segment.belief() if segment else self._scores
        if scores is None:
            return Heard(self.level_db, ())
        surest = np.argsort(-scores, kind="stable")[:MOST_HEARD].tolist()
        sounds = (
            HeardSound(
                self.labels.names[label],
                round(float(scores[label]), 4),
                self.policy.why_not(label, segment, self._heard_at),
            )
            for label in surest
        )
        return Heard(self.level_db, tuple(sounds))

    def push(self, samples: Samples) -> list[Event]:
        """Hear these. samples: (n,) mono float32 at 32 kHz, n >= 0; beyond [-1, 1] is clipped."""
        if self._is_finished:
            raise UsageError("the session is finished", fix="open a new session for more samples")
        samples = self._clean(samples)
        self._is_paused &= not len(samples)
        events: list[Event] = []
        while len(samples):
            if self._filled == 0:
                self._chunk_start = self.position
            self._gap = 0
            taken = samples[: CHUNK_SAMPLES - self._filled]
            self._chunk[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            self.position += len(taken)
            samples = samples[len(taken) :]
            if self._filled == CHUNK_SAMPLES:
                events += self._hear(self.position)
        return events

    def skip(self, n: int) -> list[Event]:
        """n samples were lost here. Time goes on without them.

        A second in all, or more: what is open ends where the loss began, and listening begins anew.
        Less: what came after is joined to what came before, since zeros would be a silence that
        nobody heard.
        """
        if n < 0:
            raise UsageError(f"skip({n}): a gap can't be negative")
        events: list[Event] = []
        before = self._gap
        self._gap += n
        if before < LONG_GAP <= self._gap:
            events = self._break_off(self.position - before)
        self.position += n
        return events

    def pause(self) -> list[Event]:
        """No sound comes any more, and nobody knows whether any was lost: what is open ends here, and
        listening begins anew with the next sample. Nothing the second time."""
        return [] if self._is_paused else self._break_off(self.position - self._gap)

    def _break_off(self, at: int) -> list[Event]:
        events = self._hear_rest(at) + self._cut(at)
        self._forget()
        self._is_paused = True
        return events

    def finish(self) -> list[Event]:
        """The stream is over: the last, incomplete chunk is heard and what is open ends.

        Silence fills that chunk, and follows a sound too young for a sentence, as it would in a room;
        no time passes meanwhile.
        """
        if self._is_finished:
            return []
        self._is_finished = True
        end = self.position - self._gap
        events = self._hear_rest(end)
        self._chunk[:] = 0.0
        self._chunk_start = end
        for _ in range(FIRST_EMBEDDINGS - 1):
            if self.segmenter.open is not None and self.segmenter.open.count < FIRST_EMBEDDINGS:
                events += self._hear(end)
        return events + self._cut(end)

    def _hear_rest(self, now: int) -> list[Event]:
        """What waits for its chunk to fill, filled up with silence."""
        if not self._filled:
            return []
        self._chunk[self._filled :] = 0.0
        return self._hear(now)

    def _hear(self, now: int) -> list[Event]:
        """One whole chunk, which ends at sample `now` of the stream, through all stages."""
        self._filled = 0
        if self.opinion:
            self.opinion.hear(self._chunk)
        embedding, self._hearing = self.hearing.step(self._chunk, self._hearing)
        self._heard_at, self._scores = now, embedding.scores
        levels = levels_db(self._chunk)
        self.level_db = mean_level_db(levels)
        ended = self.segmenter.step(Chunk(self._chunk_start, now, levels, embedding))
        events: list[Event] = [self._over(ended)] if ended else []
        segment = self.segmenter.open

        def describe() -> Sequence[Hypothesis]:
            assert segment is not None
            offered = self._describe(segment)
            events.append(self._situation(segment, now))
            return offered

        def moved() -> None:
            assert segment is not None
            if self.decoder:
                self._semantic = packed(self.decoder.place(segment.embeddings()))
            events.append(self._situation(segment, now))

        def consult() -> None:
            assert segment is not None
            if self.opinion:
                segment.take_opinion(self.opinion.ask(segment.to_hear))

        captions = self.policy.step(now, segment, ended, describe, moved, consult)
        return events + captions

    def _describe(self, segment: Segment) -> list[Hypothesis]:
        """What may be said of it, best first: where no sentence names the surest sound, its own phrase
        does."""
        phrases = own_phrases(self.labels, segment.belief(), self._limits)
        if self.decoder is None:
            return phrases
        offered = self.decoder.describe(segment.embeddings())
        self._semantic = packed(offered[0].semantic)
        return offered + phrases

    def _cut(self, at: int) -> list[Event]:
        """End what is open where the sound was cut."""
        ended = self.segmenter.close()
        if ended is None:
            return [*self.policy.close(None)]
        ended.end = min(ended.end, at)
        return [self._over(ended), *self.policy.close(ended)]

    def _over(self, ended: Segment) -> Situation:
        """A segment ended."""
        situation = self._situation(ended, ended.end)
        self._semantic = None
        return situation

    def _situation(self, segment: Segment, end: int) -> Situation:
        scores = np.round(segment.belief(), 4).tolist()
        return Situation(
            id=segment.number, start=segment.start, end=end, semantic=self._semantic, scores=tuple(scores)
        )

    def _forget(self) -> None:
        """As before the stream's first sample."""
        self._hearing = self.hearing.initial_state()
        self._scores = None
        if self.opinion:
            self.opinion.forget()

    def _clean(self, samples: Samples) -> Samples:
        """Finite and within [-1, 1], so that one bad sample can't poison the carried state."""
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise UsageError(f"samples of shape {samples.shape}", fix="push one channel, as a flat array")
        if not math.isfinite(np.dot(samples, samples)):  # one pass, where all are; else each is looked at
            finite = np.isfinite(samples)
            self.non_finite += int(samples.size - np.count_nonzero(finite))
            samples = np.where(finite, samples, np.float32(0.0))
        return np.clip(samples, -1.0, 1.0)
